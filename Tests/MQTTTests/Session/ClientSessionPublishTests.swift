import MQTT
import Testing

@Suite("Client session: publishing")
struct ClientSessionPublishTests {
    private func publish(
        _ topic: String, _ id: UInt16?, _ qos: QoS = .atLeastOnce, dup: Bool = false,
        retain: Bool = false
    ) -> SentPacket {
        .publish(topic: topic, payload: "x", qos: qos, id: id, dup: dup, retain: retain)
    }

    private func connected(
        _ version: ProtocolVersion = .v5_0,
        _ configure: (inout ClientSessionConfiguration) -> Void = { _ in },
        _ properties: (inout PropertyWriter) -> Void = { _ in }
    ) -> SessionUnderTest {
        let client = SessionUnderTest(version) {
            $0.sessionExpirySeconds = 60
            configure(&$0)
        }
        client.connect(properties)
        _ = client.events()
        return client
    }

    @Test("QoS 0, 1 and 2 go their ways and end with the server's reason code")
    func flows() {
        let client = connected()
        client.publish("a", qos: .atMostOnce, token: 1)
        client.publish("b", qos: .atLeastOnce, token: 2)
        client.publish("c", qos: .exactlyOnce, token: 3)
        #expect(
            client.sent() == [
                publish("a", nil, .atMostOnce), publish("b", 1), publish("c", 2, .exactlyOnce),
            ])
        #expect(client.events().outcomes.map(\.token) == [1])
        client.receiveAck(.pubRec, 2)
        #expect(client.sent() == [.ack(.pubRel, 2, .success)])
        #expect(client.events().outcomes.isEmpty)
        client.receiveAck(.pubComp, 2)
        client.receiveAck(.pubAck, 1, .quotaExceeded)
        let outcomes = client.events().outcomes
        #expect(outcomes.map(\.token) == [3, 2])
        #expect(
            outcomes.map(\.result) == [.acknowledged(.success), .acknowledged(.quotaExceeded)])
        #expect(outcomes.map(\.isSuccess) == [true, false])
        #expect(client.isDrained && client.queuedBytes == 0)
    }

    @Test("A PUBREC with an error ends the message, and its identifier is not released")
    func refusedExactlyOnce() {
        let client = connected()
        client.publish("c", qos: .exactlyOnce, token: 3)
        _ = client.sent()
        client.receiveAck(.pubRec, 1, .notAuthorized)
        #expect(client.sent().isEmpty)
        #expect(client.events().outcomes.map(\.result) == [.acknowledged(.notAuthorized)])
    }

    @Test(
        "Session present: PUBREL, then PUBLISH with DUP and the same identifiers, then what is new")
    func sessionPresent() {
        let client = connected()
        client.publish("a", token: 1)
        client.publish("b", qos: .exactlyOnce, token: 2)
        client.publish("c", qos: .exactlyOnce, token: 3)
        _ = client.sent()
        client.receiveAck(.pubRec, 3)
        client.close()
        client.publish("d", token: 4)
        client.connect(sessionPresent: true)
        #expect(
            client.sent() == [
                .ack(.pubRel, 3, .success), publish("a", 1, dup: true),
                publish("b", 2, .exactlyOnce, dup: true), publish("d", 4),
            ])
        client.receiveAck(.pubComp, 3, .packetIdentifierNotFound)
        client.receiveAck(.pubAck, 1)
        client.receiveAck(.pubRec, 2)
        client.receiveAck(.pubComp, 2)
        let outcomes = client.events().outcomes
        #expect(outcomes.map(\.token) == [3, 1, 2])
        #expect(outcomes.allSatisfy { $0.isSuccess && !$0.publishedAgain })
    }

    @Test("Session lost: all goes again as new, in order, and old identifiers complete nothing")
    func sessionLost() {
        let client = connected()
        client.publish("a", token: 1)
        client.publish("b", qos: .exactlyOnce, token: 2)
        client.publish("c", token: 3)
        _ = client.sent()
        client.receiveAck(.pubRec, 2)
        client.receiveAck(.pubAck, 1)
        client.publish("d", token: 4)
        client.close()
        client.connect(sessionPresent: false)
        #expect(
            client.sent() == [
                publish("b", 5, .exactlyOnce), publish("c", 6), publish("d", 7),
            ])
        client.receiveAck(.pubAck, 3)
        client.receiveAck(.pubAck, 4)
        _ = client.events()
        client.receiveAck(.pubAck, 6)
        let outcomes = client.events().outcomes
        #expect(outcomes.map(\.token) == [3])
        #expect(outcomes.map(\.publishedAgain) == [true])
        #expect(client.queuedMessages == 2)
    }

    @Test("What was not acknowledged can be taken along to another session, in its order")
    func handover() {
        let client = connected()
        client.publish("a", token: 1)
        client.publish("b", qos: .exactlyOnce, token: 2)
        client.publish("c", token: 3)
        _ = client.sent()
        client.receiveAck(.pubAck, 1)
        client.close()
        var last = OutgoingMessage(topic: "d", payload: [1, 2], retain: true)
        last.properties.correlationData = [7]
        #expect(client.send(last) == nil)
        let messages = client.session.takeMessages()
        #expect(messages.map { String(decoding: $0.topic, as: UTF8.self) } == ["b", "c", "d"])
        #expect(messages.map(\.qos) == [.exactlyOnce, .atLeastOnce, .atLeastOnce])
        #expect(messages.last == last)
        #expect(client.queuedMessages == 0 && client.queuedBytes == 0)
        #expect(client.session.takeMessages().isEmpty)
    }

    @Test("The server's receive maximum is never exceeded, also after a reconnect")
    func receiveMaximum() {
        let client = connected(.v5_0, { _ in }, { $0.add(.receiveMaximum, uint16: 2) })
        for token in 1...5 { client.publish("t", token: UInt64(token)) }
        #expect(client.sent() == [publish("t", 1), publish("t", 2)])
        client.receiveAck(.pubAck, 1)
        #expect(client.sent() == [publish("t", 3)])
        client.close()
        client.connect(sessionPresent: true) { $0.add(.receiveMaximum, uint16: 1) }
        #expect(client.sent() == [publish("t", 2, dup: true)])
        client.receiveAck(.pubAck, 2)
        #expect(client.sent() == [publish("t", 3, dup: true)])
        client.receiveAck(.pubAck, 3)
        #expect(client.sent() == [publish("t", 4)])
    }

    @Test("QoS 0 keeps its place behind messages that wait")
    func orderOverQoS() {
        let client = connected(.v5_0, { $0.maximumInFlight = 1 })
        client.publish("t", token: 1)
        client.publish("t", token: 2)
        client.publish("t", qos: .atMostOnce, token: 3)
        #expect(client.sent() == [publish("t", 1)])
        client.receiveAck(.pubAck, 1)
        #expect(client.sent() == [publish("t", 2), publish("t", nil, .atMostOnce)])
    }

    @Test("What is too large for the server is refused with sizes and never sent")
    func tooLarge() {
        let client = connected(.v5_0, { _ in }, { $0.add(.maximumPacketSize, uint32: 20) })
        // 2 bytes of header, 2 + 1 topic, 2 identifier, 1 property length, 12 payload.
        let fits = String(repeating: "p", count: 12)
        #expect(client.publish("t", fits) == nil)
        #expect(client.publish("t", fits + "p") == .tooLarge(bytes: 21, maximum: 20))
        #expect(client.sent().count == 1)
        #expect(client.publish("t", fits + "p", qos: .atMostOnce) == nil, "no identifier: it fits")
    }

    @Test("A queued message that the next server cannot take is refused then")
    func tooLargeLater() {
        let client = SessionUnderTest()
        client.publish("t", String(repeating: "p", count: 100), token: 1)
        client.publish("t", token: 2)
        client.connect { $0.add(.maximumPacketSize, uint32: 50) }
        let outcomes = client.events().outcomes
        #expect(outcomes.map(\.token) == [1])
        #expect(outcomes.map(\.result) == [.refused(.tooLarge(bytes: 108, maximum: 50))])
        #expect(client.sent() == [publish("t", 1)])
    }

    @Test("A lower QoS and no RETAIN: sent as the server can, and told")
    func downgraded() {
        let client = connected(
            .v5_0, { _ in },
            {
                $0.add(.maximumQoS, uint8: 0)
                $0.add(.retainAvailable, uint8: 0)
            })
        client.publish("t", qos: .exactlyOnce, retain: true, token: 1)
        #expect(client.sent() == [publish("t", nil, .atMostOnce)])
        let outcome = client.events().outcomes.first
        #expect(outcome?.qos == .atMostOnce && outcome?.retainDropped == true)
        #expect(outcome?.isSuccess == true)
    }

    @Test(
        "A server that takes less than the required QoS gets nothing, not even what was on its way")
    func requiredQoS() {
        let client = SessionUnderTest {
            $0.sessionExpirySeconds = 60
            $0.requiredQoS = .atLeastOnce
        }
        client.connect()
        client.publish("t", token: 1)
        _ = client.sent()
        client.close()
        client.connect { $0.add(.maximumQoS, uint8: 0) }
        #expect(client.events().outcomes.isEmpty)
        #expect(client.sent().allSatisfy { $0 != publish("t", nil, .atMostOnce) })
        #expect(client.session.queuedMessages == 1)
    }

    @Test("The queue refuses at its limits, and takes again when there is room")
    func queueLimits() {
        let client = SessionUnderTest {
            $0.maximumQueuedMessages = 3
            $0.maximumQueuedBytes = 10
        }
        #expect(client.publish("t", "1234567") == nil)
        #expect(client.publish("t", "12") == .queueFull, "8 + 3 bytes are more than 10")
        #expect(client.publish("t", "1") == nil)
        client.connect()
        _ = client.sent()
        #expect(client.publish("t", "1") == .queueFull, "what is on its way counts")
        client.receiveAck(.pubAck, 1)
        #expect(client.publish("t", "1") == nil)
        #expect(client.publish("t", "1") == nil)
        #expect(client.publish("t", "") == .queueFull, "three messages")
    }

    @Test("Nothing piles up behind a transport that takes no bytes")
    func outputLimit() {
        let client = connected(
            .v5_0,
            {
                $0.maximumOutputBytes = 100
                $0.maximumQueuedBytes = 300
            })
        var taken = 0
        while client.publish("t", String(repeating: "p", count: 19), qos: .atMostOnce) == nil {
            taken += 1
            #expect(client.outputCount < 130)
        }
        #expect(taken >= 15)
        #expect(client.sent().count == taken, "all goes once the transport takes bytes")
    }

    @Test(
        "Topics and properties that cannot be sent are refused at once",
        arguments: [
            "", "a/+", "#", "a\0b",
        ])
    func invalidTopics(topic: String) {
        #expect(SessionUnderTest().publish(topic) == .invalidTopic)
    }

    @Test("Properties that cannot be encoded are refused")
    func invalidProperties() {
        let client = SessionUnderTest()
        var message = OutgoingMessage(topic: "t", payload: [])
        message.properties.userProperties = [UserProperty(name: [0xFF], value: [])]
        #expect(client.send(message) == .invalidProperty)
        message.properties = MessageProperties()
        message.properties.responseTopic = Array("a/#".utf8)
        #expect(client.send(message) == .invalidProperty)
    }

    @Test("An acknowledgement without its message is ignored; the wrong kind is an error")
    func strayAcknowledgements() {
        let client = connected()
        client.receiveAck(.pubAck, 9)
        client.receiveAck(.pubComp, 9)
        #expect(client.sent().isEmpty)
        client.receiveAck(.pubRec, 9)
        #expect(client.sent() == [.ack(.pubRel, 9, .packetIdentifierNotFound)])
        #expect(client.isConnected)
        client.publish("c", qos: .exactlyOnce)
        client.receiveAck(.pubAck, 1)
        #expect(client.sent().last == .disconnect(.protocolError))
    }

    @Test("At a quota of 0 only messages wait, and what comes is answered")
    func quotaHoldsBackMessagesOnly() {
        // [MQTT-3.3.4-8], [MQTT-4.9.0-3]
        let client = connected(
            .v5_0, { $0.keepAliveSeconds = 30 }, { $0.add(.receiveMaximum, uint16: 1) })
        client.publish("a", qos: .exactlyOnce, token: 1)
        client.publish("b", token: 2)
        #expect(client.sent() == [publish("a", 1, .exactlyOnce)])
        client.session.subscribe([SubscriptionRequestItem("f")], token: 3, at: client.now)
        client.session.unsubscribe(["g"], token: 4, at: client.now)
        client.receivePublish("m", qos: .atLeastOnce, id: 8)
        client.acknowledge(client.events().messages.first?.delivery)
        client.receivePublish("m", qos: .exactlyOnce, id: 9)
        client.acknowledge(client.events().messages.first?.delivery)
        client.receiveAck(.pubRel, 9)
        client.receiveAck(.pubRec, 1)
        #expect(
            client.sent() == [
                .subscribe(id: 2, filters: ["f"]), .unsubscribe(id: 3, filters: ["g"]),
                .ack(.pubAck, 8, .success), .ack(.pubRec, 9, .success),
                .ack(.pubComp, 9, .success), .ack(.pubRel, 1, .success),
            ])
        client.pass(.seconds(30))
        #expect(client.sent() == [.pingReq])
        client.receiveAck(.pubComp, 1)
        #expect(client.sent() == [publish("b", 4)])
    }

    @Test(
        "No topic alias is sent, whatever the server takes", arguments: [nil, 0, 10] as [UInt16?])
    func noTopicAlias(maximum: UInt16?) throws {
        // [MQTT-3.2.2-17], [MQTT-3.2.2-18], [MQTT-3.3.2-9]
        let client = connected(.v5_0, { _ in }) { writer in
            if let maximum { writer.add(.topicAliasMaximum, uint16: maximum) }
        }
        for _ in 0..<3 { client.publish("t", qos: .atMostOnce) }
        let bytes = client.takeOutput()
        var decoder = PacketDecoder(receiver: .server, version: .v5_0)
        var offset = 0
        var count = 0
        while let decoded = try decoder.decode(bytes.span, from: offset) {
            guard case .publish(let packet) = decoded.packet else { continue }
            #expect(!packet.properties.contains(.topicAlias))
            #expect(packet.topic.range.count == 1)
            offset = decoded.end
            count += 1
        }
        #expect(count == 3)
    }
}
