import MQTT
import Testing

@Suite struct RetainedTreeTests {
    private func text(_ span: Span<UInt8>) -> String {
        var bytes: [UInt8] = []
        for index in span.indices { bytes.append(span[index]) }
        return String(decoding: bytes, as: UTF8.self)
    }

    private func lookUp(_ held: Held<RetainedTree<Int>>, _ filter: String) throws -> [String] {
        var found: [String] = []
        held.tree.forEach(matching: try TopicFilter(filter)) { topic, value in
            found.append("\(text(topic))=\(value)")
            return true
        }
        return found
    }

    @Test func keepsReplacesCountsAndForgets() {
        let held = Held(RetainedTree<Int>(seed: 1))
        #expect(held.set("a/b", 1) == nil)
        #expect(held.set("a", 2) == nil)
        #expect(held.set("a/b", 3) == 1)
        #expect(held.tree.count == 2)
        #expect(held.tree.byteCount == 24)
        #expect(held.set("a", 4, bytes: 100) == 2)
        #expect(held.tree.byteCount == 114)
        #expect(held.tree.value(for: Array("a/b".utf8).span) == 3)
        #expect(held.tree.value(for: Array("a/c".utf8).span) == nil)
        #expect(held.tree.value(for: Array("a/b/c".utf8).span) == nil)
        held.tree.checkInvariants()
        #expect(held.remove("a/b") == 3)
        #expect(held.remove("a/b") == nil)
        #expect(held.tree.nodeCount == 1)
        #expect(held.remove("a") == 4)
        #expect(held.tree.count == 0)
        #expect(held.tree.byteCount == 0)
        #expect(held.tree.nodeCount == 0)
        held.tree.checkInvariants()
    }

    @Test func aTopicAboveAnotherHasNoValueOfItsOwn() throws {
        let held = Held(RetainedTree<Int>(seed: 1))
        _ = held.set("a/b/c", 1)
        #expect(held.tree.value(for: Array("a/b".utf8).span) == nil)
        #expect(held.remove("a/b") == nil)
        #expect(try lookUp(held, "a/+") == [])
        #expect(try lookUp(held, "a/b/#") == ["a/b/c=1"])
    }

    @Test func looksUpInTheOrderOfTheLevels() throws {
        let held = Held(RetainedTree<Int>(seed: 1))
        // "a b" sorts behind "a/x": levels are compared, not whole topics.
        let topics = ["b", "a b", "a/x", "a", "a/", "a/x/1", "$SYS/x", "grün/x", "/x"]
        for (value, topic) in topics.enumerated() { _ = held.set(topic, value) }
        let all = ["/x=8", "a=3", "a/=4", "a/x=2", "a/x/1=5", "a b=1", "b=0", "grün/x=7"]
        #expect(try lookUp(held, "#") == all)
        #expect(try lookUp(held, "+") == ["a=3", "a b=1", "b=0"])
        #expect(try lookUp(held, "+/x") == ["/x=8", "a/x=2", "grün/x=7"])
        #expect(try lookUp(held, "a/+") == ["a/=4", "a/x=2"])
        #expect(try lookUp(held, "a/#") == ["a=3", "a/=4", "a/x=2", "a/x/1=5"])
        #expect(try lookUp(held, "a/") == ["a/=4"])
        #expect(try lookUp(held, "$SYS/#") == ["$SYS/x=6"])
        #expect(try lookUp(held, "$SYS/+") == ["$SYS/x=6"])
        #expect(try lookUp(held, "+/+/+") == ["a/x/1=5"])
        held.tree.checkInvariants()
    }

    @Test func aLookUpEndsWhenItsReaderHasEnough() throws {
        let held = Held(RetainedTree<Int>(seed: 1))
        for value in 0..<10 { _ = held.set("t/\(value)", value) }
        var seen: [Int] = []
        held.tree.forEach(matching: try TopicFilter("t/#")) { _, value in
            seen.append(value)
            return seen.count < 3
        }
        #expect(seen == [0, 1, 2])
    }

    @Test(arguments: [UInt64(31), 32, 33, 34])
    func findsWhatTheNaiveMatcherFindsThroughChanges(_ seed: UInt64) throws {
        var generator = TopicGenerator(seed: seed)
        let held = Held(RetainedTree<Int>(seed: seed))
        var model: [String: Int] = [:]
        for step in 0..<4_000 {
            let topic = generator.topic()
            let bytes = Array(topic.utf8)
            let grows = (step / 500) % 2 == 0
            if Int.random(in: 0..<10, using: &generator) < (grows ? 8 : 3) {
                #expect(held.set(topic, step, bytes: step) == model[topic])
                model[topic] = step
            } else {
                #expect(held.remove(topic) == model.removeValue(forKey: topic))
            }
            #expect(held.tree.count == model.count)
            #expect(held.tree.value(for: bytes.span) == model[topic])
            if step % 40 == 0 {
                held.tree.checkInvariants()
                let filter = generator.filter()
                let found = try lookUp(held, filter)
                let expected = model.filter { NaiveMatcher.matches(filter, $0.key) }
                    .sorted {
                        NaiveMatcher.levels($0.key).lexicographicallyPrecedes(
                            NaiveMatcher.levels($1.key)
                        ) { before($0, $1) }
                    }
                    .map { "\($0.key)=\($0.value)" }
                #expect(found == expected, "seed \(seed), step \(step): \(filter)")
                let bytes = model.reduce(0) { $0 + $1.key.utf8.count + $1.value }
                #expect(held.tree.byteCount == bytes)
            }
        }
        for topic in model.keys { _ = held.remove(topic) }
        #expect(held.tree.nodeCount == 0)
        held.tree.checkInvariants()
    }

    private func before(_ a: [UInt8], _ b: [UInt8]) -> Bool { a.lexicographicallyPrecedes(b) }
}
