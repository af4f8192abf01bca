import MQTT
import Testing

@Suite struct SubscriptionTreeTests {
    private func match(_ tree: SubscriptionTree, _ topic: String) -> [MatchBuffer.Match] {
        var buffer = MatchBuffer()
        tree.match(Array(topic.utf8).span, into: &buffer)
        return buffer.matches
    }

    private func subscribers(_ tree: SubscriptionTree, _ topic: String) -> [UInt32] {
        match(tree, topic).map(\.subscriber)
    }

    @Test func insertsReplacesAndRemoves() throws {
        let held = Held(SubscriptionTree(seed: 1))
        let text = "barn/+/temperature"
        let filter = try TopicFilter(text)
        #expect(try held.insert(text, subscriber: 7, options: 1) == .added)
        #expect(try held.insert(text, subscriber: 7, options: 2) == .replaced)
        #expect(held.tree.count == 1)
        #expect(held.tree.options(filter, subscriber: 7) == 2)
        #expect(match(held.tree, "barn/1/temperature").map(\.options) == [2])
        let other = "barn/+"
        #expect(try !held.remove(other, subscriber: 7))
        #expect(try !held.remove(text, subscriber: 8))
        #expect(try held.remove(text, subscriber: 7))
        #expect(held.tree.count == 0)
        #expect(held.tree.nodeCount == 0)
        #expect(match(held.tree, "barn/1/temperature").isEmpty)
        held.tree.checkInvariants()
    }

    @Test func oneSubscriberWithOverlappingFiltersStandsSideBySide() throws {
        let held = Held(SubscriptionTree(seed: 1))
        for filter in ["a/b", "a/+", "a/#", "#", "+/b"] {
            for subscriber in [UInt32(3), 1, 2] {
                let inserted = try held.insert(filter, subscriber: subscriber, options: 0)
                #expect(inserted == .added)
            }
        }
        #expect(subscribers(held.tree, "a/b") == [1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 3, 3, 3, 3, 3])
        #expect(subscribers(held.tree, "a") == [1, 1, 2, 2, 3, 3])
    }

    @Test func oneListIsLeftAsItIsAndSaysThatNothingOverlaps() throws {
        let held = Held(SubscriptionTree(seed: 1))
        for subscriber in UInt32(0)..<100 {
            _ = try held.insert("a", subscriber: subscriber, options: 0)
        }
        var buffer = MatchBuffer()
        held.tree.match(Array("a".utf8).span, into: &buffer)
        #expect(buffer.matches.count == 100)
        #expect(!buffer.mayOverlap)
        _ = try held.insert("+", subscriber: 5, options: 0)
        held.tree.match(Array("a".utf8).span, into: &buffer)
        #expect(buffer.mayOverlap)
        #expect(buffer.matches.map(\.subscriber) == (Array(0..<100) + [5]).sorted())
    }

    @Test func removesAllOfASubscriberAndListsItsFilters() throws {
        let held = Held(SubscriptionTree(seed: 9))
        let texts = ["a/b", "+/b", "#", "$SYS/#", "/", "a//b/#"]
        for (index, text) in texts.enumerated() {
            _ = try held.insert(text, subscriber: 1, options: UInt32(index))
            _ = try held.insert(text, subscriber: 2, options: 9)
        }
        var listed: [String] = []
        held.tree.forEachFilter(of: 1) { filter, options in
            var bytes: [UInt8] = []
            for index in filter.indices { bytes.append(filter[index]) }
            listed.append("\(options) \(String(decoding: bytes, as: UTF8.self))")
        }
        #expect(listed == texts.enumerated().map { "\($0) \($1)" }.reversed())
        #expect(held.tree.filterCount(of: 1) == 6)
        #expect(held.tree.wildcardFilterCount(of: 1) == 4)
        #expect(held.removeAll(1) == 6)
        #expect(held.removeAll(1) == 0)
        #expect(held.tree.filterCount(of: 1) == 0)
        #expect(held.tree.wildcardFilterCount(of: 1) == 0)
        #expect(subscribers(held.tree, "a/b") == [2, 2, 2])
        held.tree.checkInvariants()
        #expect(held.removeAll(2) == 6)
        #expect(held.tree.nodeCount == 0)
        held.tree.checkInvariants()
    }

    @Test func refusesTheNextWildcardFilterOfAClientThatHasItsShare() throws {
        let held = Held(SubscriptionTree(seed: 1, limits: TopicLimits(maximumWildcardFilters: 2)))
        #expect(try held.insert("a/#", subscriber: 1, options: 0) == .added)
        #expect(try held.insert("a/+", subscriber: 1, options: 0) == .added)
        #expect(try held.insert("b/+", subscriber: 1, options: 0) == .refused)
        #expect(try held.insert("a/+", subscriber: 1, options: 5) == .replaced)
        #expect(try held.insert("b/b", subscriber: 1, options: 0) == .added)
        #expect(try held.insert("b/+", subscriber: 2, options: 0) == .added)
        #expect(try held.remove("a/#", subscriber: 1))
        #expect(try held.insert("b/+", subscriber: 1, options: 0) == .added)
        #expect(
            subscribers(held.tree, "b/c") == [2, 1] || subscribers(held.tree, "b/c") == [1, 2])
        held.tree.checkInvariants()
    }

    @Test func dollarTopicsAreMissedByLeadingWildcards() throws {
        let held = Held(SubscriptionTree(seed: 1))
        for (index, text) in ["#", "+/up", "$SYS/#", "$SYS/+", "$SYS/up"].enumerated() {
            _ = try held.insert(text, subscriber: UInt32(index), options: 0)
        }
        #expect(subscribers(held.tree, "$SYS/up") == [2, 3, 4])
        #expect(subscribers(held.tree, "SYS/up") == [0, 1])
    }

    @Test func aMatchVisitsNoMoreThanItsLevelsReachWhateverElseIsSubscribed() throws {
        var visited: [Int] = []
        for others in [0, 10, 10_000] {
            let held = Held(SubscriptionTree(seed: 5))
            _ = try held.insert("fleet/v1/s/n/m/+", subscriber: 0, options: 0)
            for index in 0..<others {
                let filter = "fleet/v1/site-\(index)/n/m/+"
                _ = try held.insert(filter, subscriber: 1, options: 0)
            }
            var buffer = MatchBuffer()
            held.tree.match(Array("fleet/v1/s/n/m/t".utf8).span, into: &buffer)
            #expect(buffer.matches.count == 1)
            visited.append(buffer.visitedNodes)
        }
        #expect(visited == [7, 7, 7])
    }

    @Test func hostileFiltersOfAlternatingWildcardsCostNoMoreThanTheirNodes() throws {
        // Every way to put '+' or the level itself into the first ten levels of sixteen, with a
        // last level that no topic has: everything is visited, nothing is found.
        let limits = TopicLimits(maximumWildcardFilters: 2_000)
        let held = Held(SubscriptionTree(seed: 5, limits: limits))
        for mask in 0..<1_024 {
            let levels = (0..<10).map { mask >> $0 & 1 == 1 ? "+" : "a" }
            let text = (levels + ["+", "a", "+", "a", "+", "no"]).joined(separator: "/")
            _ = try held.insert(text, subscriber: 0, options: 0)
        }
        var buffer = MatchBuffer()
        let topic = Array(repeating: "a", count: 16).joined(separator: "/")
        held.tree.match(Array(topic.utf8).span, into: &buffer)
        #expect(buffer.matches.isEmpty)
        // Each level at most doubles what is reached; behind the tenth it only goes on.
        #expect(buffer.visitedNodes <= 2_047 + 1_024 * 5)
        #expect(buffer.visitedNodes <= held.tree.nodeCount + 1)
        held.tree.checkInvariants()
    }

    @Test func refusesFiltersDeeperThanItCanSearch() throws {
        let unlimited = TopicLimits(maximumLevels: 65_535)
        var tree = SubscriptionTree(seed: 1, limits: unlimited)
        let deepest = Array(repeating: "+", count: 64).joined(separator: "/")
        let filter = try TopicFilter(deepest, limits: unlimited)
        let deeper = try TopicFilter(deepest + "/+", limits: unlimited)
        let below = try TopicFilter(deepest.dropLast(2) + "/#", limits: unlimited)
        let inserted = [filter, deeper, below].map {
            tree.insert($0, subscriber: 1, options: 0)
        }
        #expect(inserted == [.added, .refused, .added])
        let levels = (0..<65).map { _ in "a" }
        #expect(subscribers(tree, levels.dropLast().joined(separator: "/")) == [1, 1])
        #expect(subscribers(tree, levels.joined(separator: "/")) == [1])
    }

    @Test func aTopicDeeperThanEveryFilterMeetsOnlyTheirHash() throws {
        let held = Held(SubscriptionTree(seed: 1))
        _ = try held.insert("a/#", subscriber: 1, options: 0)
        _ = try held.insert("a/b", subscriber: 2, options: 0)
        let deep = "a/" + Array(repeating: "b", count: 200).joined(separator: "/")
        #expect(subscribers(held.tree, deep) == [1])
    }

    @Test func `a subscription to all outlives the last other one`() throws {
        var tree = SubscriptionTree(seed: 1)
        var buffer = MatchBuffer()
        let all = try TopicFilter("#")
        let other = try TopicFilter("a/+")
        _ = tree.insert(all, subscriber: 1, options: 0)
        _ = tree.insert(other, subscriber: 2, options: 0)
        let isRemoved = tree.remove(other, subscriber: 2)
        #expect(isRemoved)
        tree.checkInvariants()
        let topic = try TopicName("a/b")
        tree.match(topic.bytes.span, into: &buffer)
        #expect(buffer.matches.map(\.subscriber) == [1])
    }
}
