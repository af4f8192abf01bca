import MQTT
import Testing

@Suite("Client session: receiving")
struct ClientSessionInboundTests {
    private func connected(
        _ version: ProtocolVersion = .v5_0, receiveMaximum: UInt16 = 10
    ) -> SessionUnderTest {
        let client = SessionUnderTest(version) {
            $0.sessionExpirySeconds = 60
            $0.receiveMaximum = receiveMaximum
        }
        client.connect()
        _ = client.events()
        return client
    }

    @Test("A message arrives whole, with its properties")
    func message() throws {
        let client = connected()
        var writer = PropertyWriter()
        writer.add(.payloadFormatIndicator, uint8: 1)
        writer.add(.messageExpiryInterval, uint32: 9)
        writer.add(.contentType, string: "text/plain")
        writer.add(.responseTopic, string: "r")
        writer.add(.correlationData, bytes: [1, 2].span)
        writer.addUserProperty(name: "n", value: "1")
        writer.addUserProperty(name: "n", value: "2")
        var arena = Array("a/b".utf8) + [7, 8]
        let properties = writer.append(to: &arena)
        client.receive(
            .publish(
                Publish(
                    qos: .atMostOnce, retain: true, topic: ByteRange(0..<3), packetID: nil,
                    properties: properties, payload: ByteRange(3..<5))), from: arena)
        let message = try #require(client.events().messages.first)
        #expect(message.topicText == "a/b" && message.payload == [7, 8])
        #expect(message.retain && message.delivery == nil)
        let got = message.properties
        #expect(got.payloadIsText && got.messageExpiryInterval == 9)
        #expect(got.contentType == Array("text/plain".utf8) && got.responseTopic == [114])
        #expect(got.correlationData == [1, 2])
        #expect(got.userProperties == [UserProperty("n", "1"), UserProperty("n", "2")])
    }

    @Test("Acknowledgements leave in the order of arrival, whatever the application's order")
    func order() {
        let client = connected()
        client.receivePublish("a", qos: .atLeastOnce, id: 11)
        client.receivePublish("b", qos: .exactlyOnce, id: 12)
        client.receivePublish("c", qos: .atLeastOnce, id: 13)
        let messages = client.events().messages
        #expect(client.sent().isEmpty, "nothing before the application says so")
        client.acknowledge(messages[2].delivery)
        client.acknowledge(messages[1].delivery)
        #expect(client.sent().isEmpty)
        client.acknowledge(messages[0].delivery)
        #expect(
            client.sent() == [
                .ack(.pubAck, 11, .success), .ack(.pubRec, 12, .success),
                .ack(.pubAck, 13, .success),
            ])
        client.acknowledge(messages[0].delivery)
        #expect(client.sent().isEmpty, "twice is once")
    }

    @Test("QoS 2 is delivered once: sent again it is only acknowledged, until PUBREL")
    func exactlyOnce() {
        let client = connected()
        client.receivePublish("a", qos: .exactlyOnce, id: 5)
        let first = client.events().messages
        client.receivePublish("a", qos: .exactlyOnce, id: 5, dup: true)
        #expect(client.events().messages.isEmpty)
        client.acknowledge(first[0].delivery)
        #expect(client.sent() == [.ack(.pubRec, 5, .success)])
        client.receivePublish("a", qos: .exactlyOnce, id: 5, dup: true)
        #expect(client.events().messages.isEmpty)
        #expect(client.sent() == [.ack(.pubRec, 5, .success)])
        client.receiveAck(.pubRel, 5)
        #expect(client.sent() == [.ack(.pubComp, 5, .success)])
        client.receiveAck(.pubRel, 5)
        #expect(client.sent() == [.ack(.pubComp, 5, .packetIdentifierNotFound)])
        client.receivePublish("b", qos: .exactlyOnce, id: 5)
        #expect(client.events().messages.count == 1, "the identifier is free again")
    }

    @Test("QoS 2 over a reconnect: one delivery, acknowledged when the server asks again")
    func exactlyOnceOverReconnect() {
        let client = connected()
        client.receivePublish("a", qos: .exactlyOnce, id: 5)
        client.receivePublish("b", qos: .exactlyOnce, id: 6)
        let messages = client.events().messages
        client.close()
        client.acknowledge(messages[0].delivery)
        client.connect(sessionPresent: true)
        #expect(client.sent().isEmpty, "no PUBREC for what this connection has not seen")
        client.receivePublish("a", qos: .exactlyOnce, id: 5, dup: true)
        client.receivePublish("b", qos: .exactlyOnce, id: 6, dup: true)
        #expect(client.events().messages.isEmpty)
        #expect(client.sent() == [.ack(.pubRec, 5, .success)])
        client.acknowledge(messages[1].delivery)
        #expect(client.sent() == [.ack(.pubRec, 6, .success)])
        client.receiveAck(.pubRel, 5)
        client.receiveAck(.pubRel, 6)
        #expect(
            client.sent() == [.ack(.pubComp, 5, .success), .ack(.pubComp, 6, .success)])
        _ = client.events()
    }

    @Test("A delivery of an earlier connection acknowledges nothing on the next")
    func staleDelivery() {
        let client = connected()
        client.receivePublish("a", qos: .atLeastOnce, id: 1)
        let stale = client.events().messages[0].delivery
        client.close()
        client.connect(sessionPresent: false)
        client.receivePublish("other", qos: .atLeastOnce, id: 1)
        let fresh = client.events().messages[0].delivery
        client.acknowledge(stale)
        #expect(client.sent().isEmpty)
        client.acknowledge(fresh)
        #expect(client.sent() == [.ack(.pubAck, 1, .success)])
    }

    @Test("The session lost, a QoS 2 identifier is new again")
    func lostSession() {
        let client = connected()
        client.receivePublish("a", qos: .exactlyOnce, id: 5)
        client.acknowledge(client.events().messages[0].delivery)
        client.close()
        client.connect(sessionPresent: false)
        client.receivePublish("b", qos: .exactlyOnce, id: 5)
        #expect(client.events().messages.count == 1)
    }

    @Test("A refusal of QoS 2 ends the exchange; one that was not sent is delivered again")
    func refusal() {
        let client = connected()
        client.receivePublish("a", qos: .exactlyOnce, id: 5)
        client.acknowledge(client.events().messages[0].delivery, .quotaExceeded)
        #expect(client.sent() == [.ack(.pubRec, 5, .quotaExceeded)])
        client.receivePublish("b", qos: .exactlyOnce, id: 5)
        let held = client.events().messages
        #expect(held.count == 1, "the identifier was free")
        client.close()
        client.acknowledge(held[0].delivery, .quotaExceeded)
        client.connect(sessionPresent: true)
        client.receivePublish("b", qos: .exactlyOnce, id: 5, dup: true)
        #expect(client.events().messages.count == 1)
    }

    @Test("A server that exceeds the receive maximum is disconnected")
    func receiveMaximumExceeded() {
        let client = connected(receiveMaximum: 2)
        client.receivePublish("a", qos: .atLeastOnce, id: 1)
        client.receivePublish("b", qos: .exactlyOnce, id: 2)
        let messages = client.events().messages
        client.acknowledge(messages[0].delivery)
        client.acknowledge(messages[1].delivery)
        _ = client.sent()
        client.receivePublish("c", qos: .atLeastOnce, id: 3)
        #expect(client.isConnected)
        // QoS 2 counts until PUBCOMP.
        client.receivePublish("d", qos: .atLeastOnce, id: 4)
        #expect(client.sent().last == .disconnect(.receiveMaximumExceeded))
        #expect(!client.isConnected)
    }

    @Test("In 3.1.1 the session stops wanting bytes instead, and goes on after acknowledgements")
    func backPressure() {
        let client = connected(.v3_1_1, receiveMaximum: 2)
        var bytes: [UInt8] = []
        for id in UInt16(1)...4 {
            let publish = Publish(
                qos: .atLeastOnce, topic: ByteRange(0..<1), packetID: id,
                payload: ByteRange(0..<1))
            bytes += SessionUnderTest.bytes(.publish(publish), from: [65], .v3_1_1)
        }
        let used = client.session.received(bytes.span, at: client.now)
        #expect(used == bytes.count / 2)
        #expect(!client.wantsInput)
        let messages = client.events().messages
        #expect(messages.count == 2)
        // It does not read, so silence proves nothing.
        client.pass(.seconds(30))
        client.pass(.seconds(30))
        #expect(client.isConnected)
        for message in messages { client.acknowledge(message.delivery) }
        #expect(client.wantsInput)
        client.receive(Array(bytes[used...]))
        #expect(client.events().messages.count == 2)
    }

    @Test("An application that pauses is told nothing, and silence then proves nothing")
    func pause() {
        let client = connected()
        client.session.pausesInput = true
        let publish = Publish(
            qos: .atLeastOnce, topic: ByteRange(0..<1), packetID: 1, payload: ByteRange(0..<1))
        let bytes = SessionUnderTest.bytes(.publish(publish), from: [65], .v5_0)
        #expect(client.session.received(bytes.span, at: client.now) == 0)
        for _ in 0..<5 { client.pass(.seconds(30)) }
        #expect(client.isConnected && client.events().isEmpty)
        client.session.pausesInput = false
        #expect(client.session.received(bytes.span, at: client.now) == bytes.count)
        #expect(client.events().messages.count == 1)
        for _ in 0..<5 { client.pass(.seconds(30)) }
        #expect(client.events().end == .pingTimeout)
    }

    @Test("A topic alias, and PUBREL before PUBREC, are protocol errors")
    func errors() {
        let client = connected()
        var writer = PropertyWriter()
        writer.add(.topicAlias, uint16: 1)
        var arena: [UInt8] = [65]
        let properties = writer.append(to: &arena)
        client.receive(
            .publish(
                Publish(
                    qos: .atMostOnce, topic: ByteRange(0..<1), packetID: nil,
                    properties: properties, payload: .empty)), from: arena)
        #expect(client.sent() == [.disconnect(.topicAliasInvalid)])
        let other = connected()
        other.receivePublish("a", qos: .exactlyOnce, id: 5)
        other.receiveAck(.pubRel, 5)
        #expect(other.sent() == [.disconnect(.protocolError)])
    }

    @Test("After PUBACK an identifier is that of a new message, DUP or not")
    func newAfterPubAck() {
        // [MQTT-4.3.2-5]
        let client = connected()
        for dup in [false, true] {
            client.receivePublish("a", qos: .atLeastOnce, id: 5, dup: dup)
            let messages = client.events().messages
            #expect(messages.count == 1)
            client.acknowledge(messages[0].delivery)
            #expect(client.sent() == [.ack(.pubAck, 5, .success)])
        }
    }
}
