import MQTT
import Testing

/// `Tests/Vectors`, each fed in every way.
@Suite struct WireVectorTests {
    @Test func everyVectorFileIsReadAndNoNameComesTwice() throws {
        var names: Set<String> = []
        for file in WireVectors.files {
            let lines = try WireVectors.lines(of: file)
            #expect(lines.count > 15)
            _ = try WireVectors.parse(file: file)
            for fields in lines {
                #expect(names.insert(fields[2]).inserted, "\(fields[2])")
            }
        }
        #expect(names.count > 400)
    }

    @Test(arguments: WireVectors.all)
    func aVectorFedWholeGivesWhatItSays(_ vector: WireVector) {
        var decoder = vector.decoder
        let outcome = WireHarness.whole(vector.bytes, &decoder)
        switch (vector.expectation, outcome) {
        case (.packet(let expected, _), .packet(let text, let end)):
            #expect(text == expected)
            #expect(end == vector.bytes.count)
        case (.refusal(let code, _), .refused(let error)):
            #expect(error.reasonCode == code)
            let clause = vector.clause
            let cited = error.clause.description
            #expect(cited == clause || cited == "MQTT-" + clause)
            #expect(!error.detail.description.isEmpty)
        default:
            Issue.record("\(vector): \(outcome)")
        }
    }

    @Test(arguments: WireVectors.all)
    func aVectorFedByteByByteEndsAsTheWholeAndNoLaterThanItSays(_ vector: WireVector) {
        var first = vector.decoder
        var second = vector.decoder
        let (outcome, count) = WireHarness.bytewise(vector.bytes, &second)
        #expect(outcome == WireHarness.whole(vector.bytes, &first))
        switch vector.expectation {
        case .packet: #expect(count == vector.bytes.count)
        case .refusal(_, let by?): #expect(count == by)
        case .refusal(_, nil): break
        }
    }

    @Test(arguments: WireVectors.all.filter { $0.bytes.count < 1_000 }, [0x00, 0xFF] as [UInt8])
    func whatFollowsAVectorChangesNothing(_ vector: WireVector, _ next: UInt8) {
        var first = vector.decoder
        var second = vector.decoder
        let followed = vector.bytes + [UInt8](repeating: next, count: 16)
        let alone = WireHarness.whole(vector.bytes, &first)
        #expect(WireHarness.whole(followed, &second) == alone)
    }

    @Test(arguments: WireVectors.valid)
    func aValidVectorEncodesToTheSameBytesOrToAnotherFormOfThePacket(_ vector: WireVector) throws {
        guard case .packet(let text, let isCanonical) = vector.expectation else { return }
        var decoder = vector.decoder
        let decoded = try #require(try decoder.decode(vector.bytes.span))
        let again = WireHarness.encoded(decoded.packet, vector.bytes, vector.version)
        if isCanonical {
            #expect(again == vector.bytes)
        } else {
            #expect(again != vector.bytes)
            var another = vector.decoder
            #expect(WireHarness.whole(again, &another) == .packet(text, end: again.count))
        }
    }

    @Test(
        arguments: [ProtocolVersion.v3_1, .v3_1_1, .v5_0],
        [PacketDecoder.Receiver.server, .client])
    func manyVectorsAtOnceAreTakenApartInOrder(
        _ version: ProtocolVersion, _ receiver: PacketDecoder.Receiver
    ) {
        let vectors = WireVectors.valid.filter {
            $0.version == version && $0.receiver == receiver
        }
        #expect(vectors.count > 20)
        let stream = vectors.flatMap(\.bytes)
        var decoder = PacketDecoder(
            receiver: receiver, version: version, limits: WireVector.limits)
        var offset = 0
        for vector in vectors {
            guard case .packet(let text, _) = vector.expectation else { continue }
            let end = offset + vector.bytes.count
            let outcome = WireHarness.whole(stream, &decoder, from: offset)
            #expect(outcome == .packet(text, end: end), "\(vector)")
            offset = end
        }
        #expect(WireHarness.whole(stream, &decoder, from: offset) == .incomplete)
    }
}
