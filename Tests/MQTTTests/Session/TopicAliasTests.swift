import Testing

@testable import MQTT

@Suite struct TopicAliasTests {
    private let tagger = TopicTagger(seed: 3)

    private func use(_ aliases: inout OutgoingAliases, _ topic: String) -> OutgoingAliases.Plan {
        let bytes = Array(topic.utf8)
        let tag = tagger.tag(bytes.span)
        let plan = aliases.plan(bytes.span, tag)
        aliases.commit(plan, bytes.span, tag)
        return plan
    }

    @Test func `those that are used most end up with the aliases`() {
        var aliases = OutgoingAliases(maximum: 4, maximumBytes: 10_000)
        // Four that come once have all the places.
        for number in 0..<4 { _ = use(&aliases, "once/\(number)") }
        var hits = 0
        for round in 0..<1_000 {
            for topic in ["often/a", "often/b", "often/c"] {
                if case .alias = use(&aliases, topic) { hits += 1 }
            }
            _ = use(&aliases, "rare/\(round)")
        }
        #expect(hits > 2_700)
        #expect(aliases.count == 4)
    }

    @Test func `a topic that falls silent gives way in the end`() {
        var aliases = OutgoingAliases(maximum: 1, maximumBytes: 10_000)
        for _ in 0..<5_000 { _ = use(&aliases, "before") }
        var misses = 0
        while use(&aliases, "after") == .topic { misses += 1 }
        #expect(misses == 1_000)
        #expect(use(&aliases, "after") == .alias(1))
    }

    @Test func `a plan that was not carried out changes nothing`() {
        let aliases = OutgoingAliases(maximum: 2, maximumBytes: 100)
        let topic = Array("topic".utf8)
        for _ in 0..<3 {
            #expect(aliases.plan(topic.span, tagger.tag(topic.span)) == .both(1))
        }
        #expect(aliases.count == 0)
    }

    @Test func `the topics have a limit in bytes`() {
        var aliases = OutgoingAliases(maximum: 10, maximumBytes: 20)
        #expect(use(&aliases, "ten/bytes/") == .both(1))
        #expect(use(&aliases, "ten/byte//") == .both(2))
        #expect(use(&aliases, "ten/three/") == .topic)
        #expect(aliases.byteCount == 20)
        #expect(use(&aliases, "twenty/one/and/more/x") == .topic)
    }

    @Test func `topics with the same tag are told apart`() {
        var aliases = OutgoingAliases(maximum: 10, maximumBytes: 1_000)
        let tag = TopicTag(rawValue: 7)
        for name in ["one/topic", "two/topic", "three"] {
            let bytes = Array(name.utf8)
            aliases.commit(aliases.plan(bytes.span, tag), bytes.span, tag)
        }
        let found = ["one/topic", "two/topic", "three"].map { name in
            let bytes = Array(name.utf8)
            return aliases.plan(bytes.span, tag)
        }
        #expect(found == [.alias(1), .alias(2), .alias(3)])
    }

    @Test func `incoming aliases are those that were given`() {
        var aliases = IncomingAliases()
        #expect(aliases.topic(of: 1) == nil && aliases.topic(of: 0) == nil)
        aliases.set(3, [1, 2].span)
        #expect(aliases.topic(of: 3) == [1, 2])
        #expect(aliases.topic(of: 2) == nil && aliases.topic(of: 65_535) == nil)
        aliases.set(3, [9].span)
        #expect(aliases.topic(of: 3) == [9] && aliases.byteCount == 1)
    }
}
