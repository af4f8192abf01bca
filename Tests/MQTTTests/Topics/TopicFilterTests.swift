import MQTT
import Testing

@Suite struct TopicFilterTests {
    private func fault(_ filter: String, shared: Bool = true) -> TopicError? {
        do throws(TopicError) {
            _ = try TopicFilter(
                validating: Array(filter.utf8).span, sharedSubscriptions: shared)
            return nil
        } catch {
            return error
        }
    }

    @Test(arguments: [
        ("a/b", 2, false), ("#", 1, true), ("+", 1, true), ("/+", 2, true), ("+/#", 2, true),
        ("a/+/b", 3, true), ("/", 2, false), ("$SYS/#", 2, true), ("$share", 1, false),
        ("a/b+c", 0, false),
    ])
    func countsLevelsAndWildcards(_ text: String, _ levels: Int, _ wildcard: Bool) throws {
        guard levels > 0 else {
            #expect(fault(text)?.clause == "MQTT-4.7.1-2")
            return
        }
        let filter = try TopicFilter(text)
        #expect(filter.levelCount == levels)
        #expect(filter.hasWildcard == wildcard)
        #expect(filter.description == text)
    }

    @Test(arguments: [
        ("", "MQTT-4.7.3-1"), ("a#", "MQTT-4.7.1-1"), ("#/a", "MQTT-4.7.1-1"),
        ("a/#/", "MQTT-4.7.1-1"), ("##", "MQTT-4.7.1-1"), ("+a", "MQTT-4.7.1-2"),
        ("a/++", "MQTT-4.7.1-2"), ("a\u{0}", "MQTT-4.7.3-2"), ("a/+/b+", "MQTT-4.7.1-2"),
        ("$share/", "MQTT-4.8.2-1"), ("$share//a", "MQTT-4.8.2-1"),
        ("$share/g", "MQTT-4.8.2-2"), ("$share/g/", "MQTT-4.8.2-2"),
        ("$share/g+/a", "MQTT-4.8.2-2"), ("$share/#/a", "MQTT-4.8.2-2"),
        ("$share/g/a#", "MQTT-4.7.1-1"),
    ])
    func refusesAndCitesTheClause(_ filter: String, _ clause: String) {
        let error = fault(filter)
        #expect(error?.clause == clause)
        #expect(error?.kind == (clause == "MQTT-4.7.3-2" ? .malformed : .invalidFilter))
    }

    @Test func refusesIllFormedUTF8() {
        #expect(throws: TopicError.self) {
            try TopicFilter(validating: [0x61, 0xFF].span, sharedSubscriptions: true)
        }
    }

    @Test func cutsTheShareNameOff() throws {
        let filter = try TopicFilter("$share/group-1/sport/+")
        #expect(filter.isShared)
        #expect(filter.shareName == Array("group-1".utf8))
        #expect(filter.levelCount == 2)
        #expect(filter.matches(try TopicName("sport/tennis")))
        #expect(!filter.matches(try TopicName("$share/group-1/sport/tennis")))
    }

    @Test func shareIsAnOrdinaryLevelWithoutSharedSubscriptions() throws {
        let span = Array("$share/g".utf8).span
        let filter = try TopicFilter(validating: span, sharedSubscriptions: false)
        #expect(!filter.isShared)
        #expect(filter.shareName == nil)
        #expect(filter.matches(try TopicName("$share/g")))
        #expect(fault("$share/g+/a", shared: false)?.clause == "MQTT-4.7.1-2")
    }

    @Test func theShareNameIsNoLevel() {
        let sixteen = Array(repeating: "+", count: 16).joined(separator: "/")
        #expect(fault("$share/g/" + sixteen) == nil)
        #expect(fault("$share/g/" + sixteen + "/a")?.clause == "maximumLevels")
    }

    /// The examples that stand in 4.7.1 and 4.7.2 of the text.
    @Test(arguments: [
        ("sport/tennis/player1/#", "sport/tennis/player1", true),
        ("sport/tennis/player1/#", "sport/tennis/player1/ranking", true),
        ("sport/tennis/player1/#", "sport/tennis/player1/score/wimbledon", true),
        ("sport/#", "sport", true), ("sport/tennis/+", "sport/tennis/player1", true),
        ("sport/tennis/+", "sport/tennis/player1/ranking", false), ("sport/+", "sport", false),
        ("sport/+", "sport/", true), ("+/+", "/finance", true), ("/+", "/finance", true),
        ("+", "/finance", false), ("#", "$SYS/a", false),
        ("+/monitor/Clients", "$SYS/monitor/Clients", false),
        ("$SYS/#", "$SYS/a", true), ("$SYS/monitor/+", "$SYS/monitor/Clients", true),
        ("ACCOUNTS", "Accounts", false), ("/finance", "finance", false),
    ])
    func matchesTheExamplesOfTheText(_ filter: String, _ topic: String, _ expected: Bool) throws {
        #expect(try TopicFilter(filter).matches(TopicName(topic)) == expected)
        #expect(NaiveMatcher.matches(filter, topic) == expected)
    }

    @Test func characterSequencesAreNotNormalised() throws {
        let composed = try TopicName("gr\u{FC}n")
        let decomposed = try TopicFilter("gru\u{308}n")
        #expect(!decomposed.matches(composed))
        #expect(try decomposed.matches(TopicName("gru\u{308}n")))
    }

    @Test(arguments: [UInt64(1), 2, 3, 4])
    func agreesWithTheNaiveMatcher(_ seed: UInt64) throws {
        var generator = TopicGenerator(seed: seed)
        var met = 0
        for _ in 0..<10_000 {
            let filter = generator.filter()
            let topic = generator.topic()
            let expected = NaiveMatcher.matches(filter, topic)
            met += expected ? 1 : 0
            let text = "seed \(seed): \(filter) on \(topic)"
            #expect(try TopicFilter(filter).matches(TopicName(topic)) == expected, "\(text)")
        }
        #expect(met > 250)
    }
}
