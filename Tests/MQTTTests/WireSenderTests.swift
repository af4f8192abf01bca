import MQTT
import Testing

/// Packets that a sender builds from nothing, decoded again.
@Suite struct WireSenderTests {
    func roundTrip(
        _ packet: Packet, _ arena: [UInt8], _ version: ProtocolVersion,
        to receiver: PacketDecoder.Receiver
    ) -> WireOutcome {
        let bytes = WireHarness.encoded(packet, arena, version)
        var decoder = PacketDecoder(receiver: receiver, version: version)
        return WireHarness.whole(bytes, &decoder)
    }

    func text(_ outcome: WireOutcome) -> String {
        if case .packet(let text, _) = outcome { text } else { "\(outcome)" }
    }

    @Test func aPublishWithPropertiesFromAWriter() {
        var arena = Array("fleet/v1/a".utf8)
        let topic = ByteRange(0..<arena.count)
        arena += Array("payload".utf8)
        var writer = PropertyWriter()
        writer.add(.payloadFormatIndicator, uint8: 1)
        writer.add(.messageExpiryInterval, uint32: 0x0102_0304)
        writer.add(.topicAlias, uint16: 258)
        writer.add(.responseTopic, string: "r/t")
        writer.add(.correlationData, bytes: [0, 255].span)
        writer.addUserProperty(name: "k", value: "v")
        writer.add(.subscriptionIdentifier, variableByteInteger: 300)
        let publish = Publish(
            qos: .atLeastOnce, retain: true, topic: topic, packetID: 10,
            properties: writer.append(to: &arena),
            payload: ByteRange(topic.upperBound..<topic.upperBound + 7))
        let outcome = roundTrip(.publish(publish), arena, .v5_0, to: .client)
        #expect(
            text(outcome)
                == """
                publish q1 retain id=10 "fleet/v1/a" "payload" {payloadFormatIndicator=1 \
                messageExpiryInterval=16909060 topicAlias=258 responseTopic="r/t" \
                correlationData=0x00FF userProperty="k":"v" subscriptionIdentifier=300}
                """)
    }

    @Test func aWriterThatIsUsedAgainStartsEmpty() {
        var writer = PropertyWriter()
        writer.add(.receiveMaximum, uint16: 5)
        writer.removeAll()
        #expect(writer.properties.isEmpty)
        #expect(writer.bytes.isEmpty)
    }

    @Test func propertiesThatWereDecodedAreCopiedInOrder() throws {
        let place = WirePropertyTests.places[3]
        let received = place.packet(
            [0x26, 0, 1, 0x62, 0, 1, 0x31, 0x01, 0x01, 0x26, 0, 1, 0x61, 0, 1, 0x32])
        var decoder = PacketDecoder(receiver: .client, version: .v5_0)
        let decoded = try #require(try decoder.decode(received.span))
        guard case .publish(var publish) = decoded.packet else { return }
        var writer = PropertyWriter()
        writer.add(publish.properties, from: received.span)
        writer.addUserProperty(name: "fleet", value: "x")
        var arena = received
        publish.properties = writer.append(to: &arena)
        #expect(publish.properties.contains(.payloadFormatIndicator))
        let outcome = roundTrip(.publish(publish), arena, .v5_0, to: .client)
        #expect(
            text(outcome)
                == """
                publish q0 "a" 0xFF {userProperty="b":"1" payloadFormatIndicator=1 \
                userProperty="a":"2" userProperty="fleet":"x"}
                """)
    }

    @Test func propertiesAreReadByTheirType() throws {
        var writer = PropertyWriter()
        writer.add(.maximumQoS, uint8: 1)
        writer.add(.receiveMaximum, uint16: 20)
        writer.add(.sessionExpiryInterval, uint32: 3_600)
        writer.add(.assignedClientIdentifier, string: "auto")
        let properties = writer.properties
        let source = writer.bytes.span
        let maximumQoS = properties.uint8(.maximumQoS, in: source)
        #expect(maximumQoS == 1)
        let receiveMaximum = properties.uint16(.receiveMaximum, in: source)
        #expect(receiveMaximum == 20)
        let expiry = properties.uint32(.sessionExpiryInterval, in: source)
        #expect(expiry == 3_600)
        let found = properties.range(.assignedClientIdentifier, in: source)
        let range = try #require(found)
        #expect(Array(writer.bytes[range.range]) == Array("auto".utf8))
        let absent = (
            properties.uint16(.topicAliasMaximum, in: source),
            properties.variableByteInteger(.subscriptionIdentifier, in: source),
            properties.range(.reasonString, in: source)
        )
        #expect(absent == (nil, nil, nil))
    }

    @Test func aSubscribeAndAnUnsubscribeFromAppendedFilters() {
        var payload: [UInt8] = []
        let options = SubscriptionOptions(
            qos: .exactlyOnce, noLocal: true, retainAsPublished: true, retainHandling: .doNotSend)
        Subscribe.append(filter: Array("a/#".utf8).span, options: options, to: &payload)
        Subscribe.append(
            filter: Array("b".utf8).span, options: SubscriptionOptions(qos: .atMostOnce),
            to: &payload)
        let subscribe = Subscribe(
            packetID: 7, filters: ByteRange(0..<payload.count), filterCount: 2)
        #expect(
            text(roundTrip(.subscribe(subscribe), payload, .v5_0, to: .server))
                == "subscribe id=7 [\"a/#\" q2 nl rap rh2] [\"b\" q0]")
        var filters: [UInt8] = []
        Unsubscribe.append(filter: Array("a/#".utf8).span, to: &filters)
        let unsubscribe = Unsubscribe(
            packetID: 8, filters: ByteRange(0..<filters.count), filterCount: 1)
        #expect(
            text(roundTrip(.unsubscribe(unsubscribe), filters, .v3_1_1, to: .server))
                == "unsubscribe id=8 [\"a/#\"]")
    }

    @Test func aHeadWithAForeignTopicAndPayloadIsTheSamePacket() {
        let whole = Array("t/1hi".utf8)
        let publish = Publish(
            qos: .atLeastOnce, topic: ByteRange(0..<3), packetID: 9, payload: ByteRange(3..<5))
        var buffer = ByteBuffer()
        let (topic, none) = (Array("t/1".utf8), [UInt8]())
        publish.encodeHead(
            topic: topic.span, properties: none.span, payloadCount: 2, version: .v5_0,
            into: &buffer)
        buffer.append(Array("hi".utf8))
        let apart = buffer.withSpan { span in span.indices.map { span[$0] } }
        #expect(apart == WireHarness.encoded(.publish(publish), whole, .v5_0))
    }

    @Test(
        arguments: [
            (.success, 0), (.unsupportedProtocolVersion, 1), (.clientIdentifierNotValid, 2),
            (.serverUnavailable, 3), (.serverBusy, 3), (.badUserNameOrPassword, 4),
            (.notAuthorized, 5), (.banned, 5), (.malformedPacket, nil), (.protocolError, nil),
        ] as [(ReasonCode, UInt8?)])
    func aReasonCodeBecomesTheReturnCodeOf3OrNone(_ reason: ReasonCode, _ code: UInt8?) {
        #expect(ConnAck.returnCode(for: reason, version: .v3_1_1) == code)
        #expect(ConnAck.returnCode(for: reason, version: .v3_1) == code)
        #expect(ConnAck.returnCode(for: reason, version: .v5_0) == reason.rawValue)
        if let code, ![.serverBusy, .banned].contains(reason) {
            #expect(ConnAck.reasonCode(forReturnCode: code) == reason)
        }
    }

    @Test func everyReasonCodeThatAPacketMayCarryHasAName() {
        for value in UInt8.min...UInt8.max {
            let code = ReasonCode(rawValue: value)
            let isNamed = !code.name.hasPrefix("reason code")
            let isDefined =
                [0, 1, 2, 4, 0x10, 0x11, 0x18, 0x19].contains(value) || 0x80...0xA2 ~= value
            #expect(isNamed == isDefined, "\(value)")
            #expect(code.isError == (value >= 0x80))
        }
    }
}
