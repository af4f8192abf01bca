import MQTT
import Testing

@Suite struct SubscriptionTreePropertyTests {
    private struct Key: Hashable {
        let filter: String
        let subscriber: UInt32
        let levels: [[UInt8]]

        init(filter: String, subscriber: UInt32) {
            self.filter = filter
            self.subscriber = subscriber
            levels = NaiveMatcher.levels(filter)
        }
    }

    private func expected(_ model: [Key: UInt32], _ topic: String) -> [String] {
        let levels = NaiveMatcher.levels(topic)
        return model.filter { NaiveMatcher.matches($0.key.levels, levels) }
            .map { "\($0.key.subscriber) \($0.value)" }.sorted()
    }

    @Test(arguments: [UInt64(11), 12, 13, 14])
    func findsWhatTheNaiveMatcherFinds(_ seed: UInt64) throws {
        var generator = TopicGenerator(seed: seed)
        let held = Held(SubscriptionTree(seed: seed))
        var model: [Key: UInt32] = [:]
        for index in 0..<1_200 {
            let key = Key(filter: generator.filter(), subscriber: UInt32(index % 50))
            _ = try held.insert(
                key.filter,
                subscriber: key.subscriber, options: UInt32(index))
            model[key] = UInt32(index)
        }
        held.tree.checkInvariants()
        #expect(held.tree.count == model.count)
        var buffer = MatchBuffer()
        for _ in 0..<400 {
            let topic = generator.topic()
            held.tree.match(Array(topic.utf8).span, into: &buffer)
            let found = buffer.matches.map { "\($0.subscriber) \($0.options)" }.sorted()
            #expect(found == expected(model, topic), "seed \(seed): \(topic)")
            if buffer.mayOverlap {
                let order = buffer.matches.map(\.subscriber)
                #expect(order == order.sorted(), "seed \(seed): \(topic)")
            }
        }
    }

    @Test(arguments: [UInt64(21), 22, 23, 24, 25, 26])
    func staysWholeThroughInsertionsAndRemovals(_ seed: UInt64) throws {
        var generator = TopicGenerator(seed: seed)
        let held = Held(
            SubscriptionTree(
                seed: seed, limits: TopicLimits(maximumWildcardFilters: 1_000_000)))
        var model: [Key: UInt32] = [:]
        var keys: [Key] = []
        var buffer = MatchBuffer()
        for step in 0..<3_000 {
            // It grows, then shrinks to nothing, and so on.
            let grows = (step / 750) % 2 == 0
            let draw = Int.random(in: 0..<100, using: &generator)
            if draw < (grows ? 70 : 15) {
                let subscriber = UInt32.random(in: 0..<20, using: &generator)
                let key = Key(filter: generator.filter(), subscriber: subscriber)
                let insertion = try held.insert(
                    key.filter, subscriber: subscriber, options: UInt32(step))
                #expect(insertion == (model[key] == nil ? .added : .replaced))
                if model.updateValue(UInt32(step), forKey: key) == nil { keys.append(key) }
            } else if draw < 98, !keys.isEmpty {
                let key = keys.remove(at: Int.random(in: 0..<keys.count, using: &generator))
                model[key] = nil
                #expect(try held.remove(key.filter, subscriber: key.subscriber))
                #expect(try !held.remove(key.filter, subscriber: key.subscriber))
            } else {
                let subscriber = UInt32.random(in: 0..<20, using: &generator)
                let gone = keys.filter { $0.subscriber == subscriber }
                #expect(held.removeAll(subscriber) == gone.count)
                for key in gone { model[key] = nil }
                keys.removeAll { $0.subscriber == subscriber }
            }
            #expect(held.tree.count == model.count)
            if step % 50 == 0 {
                held.tree.checkInvariants()
                let topic = generator.topic()
                held.tree.match(Array(topic.utf8).span, into: &buffer)
                let found = buffer.matches.map { "\($0.subscriber) \($0.options)" }.sorted()
                #expect(found == expected(model, topic), "seed \(seed), step \(step): \(topic)")
            }
        }
        for subscriber in UInt32(0)..<20 { _ = held.removeAll(subscriber) }
        held.tree.checkInvariants()
        #expect(held.tree.nodeCount == 0)
    }

    @Test func theSeedChangesNothingThatCanBeSeen() throws {
        var found: [[MatchBuffer.Match]] = []
        for seed in [UInt64(0), 1, .max] {
            var generator = TopicGenerator(seed: 77)
            let held = Held(SubscriptionTree(seed: seed))
            for index in 0..<500 {
                let filter = generator.filter()
                _ = try held.insert(filter, subscriber: UInt32(index % 9), options: 1)
            }
            var buffer = MatchBuffer()
            held.tree.match(Array("a/b".utf8).span, into: &buffer)
            found.append(buffer.matches)
        }
        #expect(found[0] == found[1] && found[1] == found[2])
        #expect(!found[0].isEmpty)
    }
}
