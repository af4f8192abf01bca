import Testing

@testable import MQTT

@Suite struct TopicInterestTests {
    private func bytes(_ text: String) -> [UInt8] { Array(text.utf8) }

    private func wanted(_ table: TopicInterest, _ topic: String) -> UInt64 {
        table.shards(wanting: bytes(topic).span, among: .max)
    }

    @Test(arguments: [
        ("a/b", "a/b"), ("a/+", "a/b"), ("a/#", "a"), ("a/#", "a/b/c"), ("#", "a/b"), ("+", "a"),
        ("+/b", "a/b"), ("/+", "/a"), ("/", "/"), ("a//#", "a//b"), ("a/b/+/d", "a/b/c/d"),
    ])
    func aFilterIsFoundByTheTopicsThatItMatches(filter: String, topic: String) {
        let table = TopicInterest()
        var own = OwnInterest(of: 5, in: table)
        #expect(wanted(table, topic) == 0)
        own.insert(bytes(filter).span)
        own.insert(bytes(filter).span)
        #expect(wanted(table, topic) == 1 << 5)
        own.remove(bytes(filter).span)
        #expect(wanted(table, topic) == 1 << 5)
        own.remove(bytes(filter).span)
        #expect(wanted(table, topic) == 0)
    }

    @Test func topicsThatNobodyAskedForAreMostlyKnownAsSuch() {
        let table = TopicInterest()
        var own = OwnInterest(of: 0, in: table)
        for number in 0..<200 { own.insert(bytes("site/node\(number)/command/#").span) }
        let wrong = (0..<1_000).count { wanted(table, "site/node\($0)/measurement") != 0 }
        #expect(wrong < 200)
        #expect(wanted(table, "site/node7/command/reboot") == 1)
    }

    @Test func theTreeKeepsItAndNeverMissesASubscription() throws {
        let table = TopicInterest()
        var tree = SubscriptionTree(seed: 1, interest: OwnInterest(of: 3, in: table))
        let levels = ["a", "b", "", "+"]
        var state: UInt64 = 1
        func random(_ bound: Int) -> Int {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return Int(state >> 33) % bound
        }
        func filterText() -> String {
            var parts = (0...random(3)).map { _ in levels[random(4)] }
            if random(3) == 0 { parts.append("#") }
            let text = parts.joined(separator: "/")
            return text.isEmpty ? "a" : text
        }
        for step in 0..<2_000 {
            let filter = try TopicFilter(filterText())
            switch random(3) {
            case 0: _ = tree.remove(filter, subscriber: UInt32(random(4)))
            case 1 where random(20) == 0: tree.removeAll(UInt32(random(4)))
            default: _ = tree.insert(filter, subscriber: UInt32(random(4)), options: 0)
            }
            let topic = (0...random(3)).map { _ in levels[random(3)] }.joined(separator: "/")
            guard !topic.isEmpty else { continue }
            var found = MatchBuffer()
            tree.match(bytes(topic).span, into: &found)
            if !found.matches.isEmpty {
                #expect(wanted(table, topic) == 1 << 3, "step \(step), \(topic)")
            }
        }
        for subscriber in 0..<4 { tree.removeAll(UInt32(subscriber)) }
        tree.checkInvariants()
        #expect(wanted(table, "a/b") == 0)
    }
}
