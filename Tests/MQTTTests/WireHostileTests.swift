import MQTT
import Testing

/// What strangers send: the lines of the threat list that end in the codec, each under its name.
@Suite struct WireHostileTests {
    func outcome(
        _ bytes: [UInt8], _ version: ProtocolVersion = .v5_0, awaitsConnect: Bool = false,
        limits: WireLimits = WireLimits()
    ) -> WireOutcome {
        var decoder = PacketDecoder(
            receiver: .server, version: version, limits: limits, awaitsConnect: awaitsConnect)
        return WireHarness.whole(bytes, &decoder)
    }

    func code(_ outcome: WireOutcome) -> ReasonCode? {
        if case .refused(let error) = outcome { error.reasonCode } else { nil }
    }

    @Test func aFirstPacketThatIsNotConnectIsRefusedFromItsFirstByte() {
        for type in PacketType.allCases where type != .connect {
            let flags: UInt8 =
                [.pubRel, .subscribe, .unsubscribe].contains(type) ? 0b0010 : 0
            let first = type.rawValue << 4 | flags
            let isRefused = code(outcome([first], awaitsConnect: true)) == .protocolError
            #expect(isRefused, "\(type)")
        }
        #expect(outcome([0x10], awaitsConnect: true) == .incomplete)
    }

    @Test func afterConnectTheDecoderTakesOtherPackets() throws {
        let connect: [UInt8] = [0x10, 13, 0, 4, 0x4D, 0x51, 0x54, 0x54, 4, 2, 0, 60, 0, 1, 0x63]
        var decoder = PacketDecoder(receiver: .server, version: .v5_0, awaitsConnect: true)
        _ = try decoder.decode(connect.span)
        #expect(decoder.version == .v3_1_1)
        #expect(WireHarness.whole([0xC0, 0], &decoder) == .packet("pingReq", end: 2))
    }

    @Test func aRemainingLengthOf256MiBBeforeConnectIsRefusedFromTheFixedHeader() {
        let refusal = outcome([0x10, 0xFF, 0xFF, 0xFF, 0x7F], awaitsConnect: true)
        #expect(code(refusal) == .packetTooLarge)
        // One byte above the limit for CONNECT, and one at it.
        let limits = WireLimits(maximumConnectSize: 100)
        #expect(code(outcome([0x10, 99], limits: limits)) == .packetTooLarge)
        #expect(outcome([0x10, 98], limits: limits) == .incomplete)
    }

    @Test func aPacketAboveTheMaximumSizeIsRefusedAndOneAtItIsNot() {
        let limits = WireLimits(maximumPacketSize: 10)
        #expect(code(outcome([0x30, 9], limits: limits)) == .packetTooLarge)
        #expect(outcome([0x30, 8, 0, 1, 0x61], limits: limits) == .incomplete)
    }

    @Test func theLargestPacketOfTheProtocolIsWithinTheDefaultLimit() {
        #expect(outcome([0x30, 0xFF, 0xFF, 0xFF, 0x7F]) == .incomplete)
    }

    @Test(
        arguments: [0x10, 0x30, 0x32, 0x40, 0x50, 0x62, 0x70, 0x82, 0xA2, 0xC0, 0xE0, 0xF0]
            as [UInt8])
    func aFiveByteVariableByteIntegerIsMalformed(_ first: UInt8) {
        let bytes: [UInt8] = [first, 0x80, 0x80, 0x80, 0x80, 0x01]
        var decoder = PacketDecoder(receiver: .server, version: .v5_0)
        let (outcome, count) = WireHarness.bytewise(bytes, &decoder)
        #expect(code(outcome) == .malformedPacket)
        #expect(count == 5)
    }

    @Test(arguments: WireVectors.valid)
    func aTruncatedPacketOfEveryTypeCutAtEveryByteIsIncompleteAndNeverAnError(
        _ vector: WireVector
    ) {
        var counts = Array(0..<min(vector.bytes.count, 600))
        if vector.bytes.count > 600 { counts += [vector.bytes.count / 2, vector.bytes.count - 1] }
        for count in counts {
            var decoder = vector.decoder
            #expect(WireHarness.whole(Array(vector.bytes[..<count]), &decoder) == .incomplete)
        }
    }

    @Test(arguments: WireVectors.valid.filter { $0.bytes.count < 128 })
    func aPacketWhoseLengthSaysLessThanItsFieldsNeedEndsTheSameWholeAndByteByByte(
        _ vector: WireVector
    ) {
        for length in 0..<(vector.bytes.count - 2) {
            var bytes = Array(vector.bytes[..<(2 + length)])
            bytes[1] = UInt8(length)
            var first = vector.decoder
            var second = vector.decoder
            let whole = WireHarness.whole(bytes, &first)
            #expect(whole != .incomplete)
            #expect(WireHarness.bytewise(bytes, &second).outcome == whole)
        }
    }

    @Test func manyThousandUserPropertiesAreRefusedAboveTheLimitAndNotAtIt() {
        let one: [UInt8] = [0x26, 0, 1, 0x6B, 0, 1, 0x76]
        let place = WirePropertyTests.places[3]
        func publish(_ count: Int) -> [UInt8] {
            place.packet(Array(repeatElement(one, count: count).joined()))
        }
        #expect(code(outcome(publish(256))) == nil)
        #expect(code(outcome(publish(257))) == .quotaExceeded)
        #expect(code(outcome(publish(50_000))) == .quotaExceeded)
    }

    @Test func manyThousandSubscriptionIdentifiersAreRefusedAboveTheLimit() {
        let place = WirePropertyTests.places[3]
        var decoder = PacketDecoder(receiver: .client, version: .v5_0)
        let bytes = place.packet(Array(repeatElement([0x0B, 1] as [UInt8], count: 257).joined()))
        #expect(code(WireHarness.whole(bytes, &decoder)) == .quotaExceeded)
    }

    @Test func userPropertiesOfTheWillHaveTheirOwnCount() {
        let one: [UInt8] = [0x26, 0, 0, 0, 0]
        let many = Array(repeatElement(one, count: 256).joined())
        let will = WirePropertyTests.places[1]
        let limits = WireLimits(maximumConnectSize: 1 << 20)
        #expect(code(outcome(will.packet(many), limits: limits)) == nil)
        #expect(code(outcome(will.packet(many + one), limits: limits)) == .quotaExceeded)
    }

    @Test func aStringAboveTheLimitIsRefusedFromItsLength() {
        let limits = WireLimits(maximumStringLength: 4)
        #expect(code(outcome([0x30, 20, 0, 5], limits: limits)) == .quotaExceeded)
        #expect(outcome([0x30, 20, 0, 4], limits: limits) == .incomplete)
    }

    @Test func aTopicOf65535SlashesIsOneTopic() {
        let topic = [UInt8](repeating: 0x2F, count: 65_535)
        let body = [0xFF, 0xFF] + topic + [0]
        let bytes = [0x30] + WirePropertyTests.Place.length(body.count) + body
        #expect(
            outcome(bytes) == .packet("publish q0 2F*65535 \"\"", end: bytes.count))
    }

    @Test(arguments: 1...40)
    func oneWrongByteAnywhereInATopicIsFound(_ length: Int) {
        func publish(_ topic: [UInt8]) -> [UInt8] {
            [0x30, UInt8(topic.count + 3), 0, UInt8(topic.count)] + topic + [0]
        }
        for position in 0..<length {
            for wrong in [0x00, 0x23, 0x2B, 0x80, 0xA3, 0xAB, 0xFF] as [UInt8] {
                var topic = [UInt8](repeating: 0x61, count: length)
                topic[position] = wrong
                #expect(code(outcome(publish(topic))) == .malformedPacket, "\(position) \(wrong)")
            }
            for right in [0x01, 0x22, 0x24, 0x2A, 0x2C, 0x2F, 0x33, 0x3B, 0x7F] as [UInt8] {
                var topic = [UInt8](repeating: 0x61, count: length)
                topic[position] = right
                #expect(code(outcome(publish(topic))) == nil, "\(position) \(right)")
            }
        }
    }

    @Test func everySingleFirstByteIsAPacketOrARefusalInEveryVersion() {
        for version in [ProtocolVersion.v3_1, .v3_1_1, .v5_0] {
            for receiver in [PacketDecoder.Receiver.server, .client] {
                for first in UInt8.min...UInt8.max {
                    var decoder = PacketDecoder(receiver: receiver, version: version)
                    let outcome = WireHarness.whole([first], &decoder)
                    if first >> 4 == 0 { #expect(code(outcome) == .malformedPacket) }
                    if case .packet = outcome { Issue.record("\(first)") }
                }
            }
        }
    }

    @Test func aPeerThatSendsOneByteASecondCostsNoMoreThanItsBytes() {
        // A topic list of 200,000 bytes, looked at with each byte, would take 20 billion steps.
        var payload: [UInt8] = []
        while payload.count < 200_000 { payload += [0, 1, 0x61] }
        let body = [0, 1, 0] + payload
        let bytes = [0xA2] + WirePropertyTests.Place.length(body.count) + body
        var decoder = PacketDecoder(receiver: .server, version: .v5_0)
        var steps = 0
        for count in 1..<bytes.count {
            do throws(WireError) {
                let span = bytes.span.extracting(0..<count)
                if try decoder.decode(span) == nil { steps += 1 }
            } catch {
                Issue.record("\(error)")
            }
        }
        #expect(steps == bytes.count - 1)
        let end = WireHarness.whole(bytes, &decoder)
        if case .packet(_, let end) = end { #expect(end == bytes.count) }
    }

    /// Bytes without sense, from a seed: they are refused or waited for, and whole and byte by byte
    /// agree.
    @Test(arguments: 0..<200)
    func garbageNeverTrapsAndEndsTheSameWholeAndByteByByte(_ seed: Int) {
        var state = UInt64(seed) &* 0x9E37_79B9_7F4A_7C15 &+ 1
        func next() -> UInt8 {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return UInt8(truncatingIfNeeded: state >> 33)
        }
        let valid = WireVectors.valid.filter { $0.bytes.count < 300 }
        let vector = valid[seed % valid.count]
        for _ in 0..<50 {
            var bytes = vector.bytes
            for _ in 0...(next() % 3) { bytes[Int(next()) % bytes.count] = next() }
            var first = vector.decoder
            var second = vector.decoder
            let whole = WireHarness.whole(bytes, &first)
            #expect(WireHarness.bytewise(bytes, &second).outcome == whole)
        }
    }
}
