import Testing

@testable import MQTT

@Suite("Intersection of topic filters")
struct TopicFilterIntersectionTests {
    /// All strings of up to `depth` levels from `levels`, a last level from `ends` included.
    private func texts(_ levels: [String], ends: [String] = [], depth: Int) -> [String] {
        var all: [String] = []
        var open = [""]
        for level in 1...depth {
            let prefixes = level == 1 ? [""] : open.map { $0 + "/" }
            open = prefixes.flatMap { prefix in levels.map { prefix + $0 } }
            all += open + prefixes.flatMap { prefix in ends.map { prefix + $0 } }
        }
        return all.filter { !$0.isEmpty }
    }

    @Test("says the same as trying every topic of a small alphabet")
    func bruteForce() throws {
        let filters = try texts(["a", "", "+", "$s"], ends: ["#"], depth: 3)
            .map { try TopicFilter($0) }
        // One level more than any filter has, and a level that no filter names.
        let topics = try texts(["a", "", "$s", "z"], depth: 4)
            .map { try TopicName(validating: Array($0.utf8).span) }
        let matches = filters.map { filter in topics.map { filter.matches($0) } }
        for (i, first) in filters.enumerated() {
            for (j, second) in filters.enumerated() {
                let expected = zip(matches[i], matches[j]).contains { $0 && $1 }
                #expect(first.intersects(second) == expected, "\(first) and \(second)")
            }
        }
    }

    @Test("covers no filter that asks for more, and each one that it says with other words alone")
    func coverage() throws {
        let filters = try texts(["a", "", "+", "$s"], ends: ["#"], depth: 3)
            .map { try TopicFilter($0) }
        let topics = try texts(["a", "", "$s", "z"], depth: 4)
            .map { try TopicName(validating: Array($0.utf8).span) }
        let matches = filters.map { filter in topics.map { filter.matches($0) } }
        for (i, outer) in filters.enumerated() {
            for (j, inner) in filters.enumerated() {
                let expected = !zip(matches[i], matches[j]).contains { !$0 && $1 }
                if outer.covers(inner) {
                    #expect(expected, "\(outer) and \(inner)")
                } else if expected {
                    // `#` where a `+` stands; or `/#`, whose parent is no topic.
                    let isKnown = inner.bytes.contains(UInt8(ascii: "#"))
                    #expect(isKnown, "\(outer) and \(inner)")
                }
            }
        }
    }

    @Test("looks behind the name of a shared subscription")
    func shared() throws {
        let shared = try TopicFilter("$share/group/a/#")
        #expect(shared.intersects(try TopicFilter("a/b")))
        #expect(!shared.intersects(try TopicFilter("b/+")))
    }
}
