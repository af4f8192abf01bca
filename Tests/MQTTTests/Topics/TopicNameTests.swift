import MQTT
import Testing

@Suite struct TopicNameTests {
    private func fault(_ bytes: [UInt8], _ limits: TopicLimits = TopicLimits()) -> TopicError? {
        do throws(TopicError) {
            _ = try TopicName(validating: bytes.span, limits: limits)
            return nil
        } catch {
            return error
        }
    }

    @Test(arguments: [
        "a", "/", "//", "/finance", "a/b/c", "Accounts payable", "$SYS/broker", "grün/☃/🐄", " ",
        "a/", "a//b",
    ])
    func takesWhatTheTextAllows(_ topic: String) throws {
        let name = try TopicName(topic)
        #expect(name.description == topic)
        #expect(name.isReserved == topic.hasPrefix("$"))
    }

    @Test(arguments: [
        ("", "MQTT-4.7.3-1"), ("+", "MQTT-4.7.0-1"), ("a/#", "MQTT-4.7.0-1"),
        ("a+b", "MQTT-4.7.0-1"), ("a\u{0}b", "MQTT-4.7.3-2"),
    ])
    func refusesAndCitesTheClause(_ topic: String, _ clause: String) {
        #expect(fault(Array(topic.utf8))?.clause == clause)
    }

    @Test func refusesIllFormedUTF8AsMalformed() {
        let samples: [[UInt8]] = [
            [0xFF], [0xC0, 0xAF], [0x61, 0xE2, 0x98], [0xED, 0xA0, 0x80], [0xF4, 0x90, 0x80, 0x80],
            [0x80],
        ]
        for sample in samples {
            let error = fault(sample)
            #expect(error?.kind == .malformed)
            #expect(error?.clause == "MQTT-1.5.4-1")
        }
    }

    @Test func limitsLevelsAndLength() {
        let sixteen = Array(repeating: "a", count: 16).joined(separator: "/")
        #expect(fault(Array(sixteen.utf8)) == nil)
        #expect(fault(Array((sixteen + "/").utf8))?.clause == "maximumLevels")
        let limits = TopicLimits(maximumLength: 4)
        #expect(fault(Array("abcd".utf8), limits) == nil)
        #expect(fault(Array("abcde".utf8), limits)?.clause == "maximumLength")
        let longest = [UInt8](repeating: 0x61, count: 65_535)
        #expect(fault(longest) == nil)
        #expect(fault(longest + [0x61])?.clause == "MQTT-4.7.3-3")
    }

    @Test func zeroLengthTopicsAnd65535SlashesAreRefused() {
        #expect(fault([])?.kind == .invalidName)
        #expect(fault([UInt8](repeating: 0x2F, count: 65_535))?.clause == "maximumLevels")
    }

    @Test func errorsSayTheClauseAndNoByteOfTheTopic() throws {
        let error = try #require(fault(Array("secret/+".utf8)))
        #expect(error.description == "a topic name must not contain '+' or '#' [MQTT-4.7.0-1]")
        #expect(error.kind.rawValue == 0x90)
    }
}
