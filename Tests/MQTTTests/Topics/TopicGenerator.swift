import MQTT

/// Topics and filters drawn from few words, so that they often meet.
struct TopicGenerator: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = (state ^ (state >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }

    /// Short words, an empty one, words around the 21 bytes that a level holds in place (some that
    /// differ only behind them), and one that is not ASCII.
    private static let words = [
        "", "a", "b", "ab", "status", "$SYS", "$", "grün", "1234567", "12345678",
        "123456789012345678901", "1234567890123456789012", "1234567890123456789013",
        "a-level-that-is-longer-than-most", "a-level-that-is-longer-than-some",
    ]

    private mutating func word() -> String {
        // Mostly the first few, so that levels repeat.
        let few = Bool.random(using: &self)
        let index = Int.random(in: 0..<(few ? 4 : TopicGenerator.words.count), using: &self)
        return TopicGenerator.words[index]
    }

    mutating func topic() -> String {
        while true {
            let count = Int.random(in: 1...5, using: &self)
            let topic = (0..<count).map { _ in word() }.joined(separator: "/")
            if !topic.isEmpty { return topic }
        }
    }

    mutating func filter() -> String {
        while true {
            let count = Int.random(in: 1...5, using: &self)
            var levels = (0..<count).map { _ in
                Int.random(in: 0..<3, using: &self) == 0 ? "+" : word()
            }
            if Int.random(in: 0..<3, using: &self) == 0 { levels[count - 1] = "#" }
            let filter = levels.joined(separator: "/")
            if !filter.isEmpty { return filter }
        }
    }
}

/// The rules of 4.7 as they stand in the text, on lists of levels. Nothing of the code under test.
enum NaiveMatcher {
    static func levels(_ text: String) -> [[UInt8]] {
        Array(text.utf8).split(separator: 0x2F, omittingEmptySubsequences: false).map(Array.init)
    }

    static func matches(_ filter: String, _ topic: String) -> Bool {
        matches(levels(filter), levels(topic))
    }

    static func matches(_ filter: [[UInt8]], _ topic: [[UInt8]]) -> Bool {
        let leadingWildcard = filter[0] == [0x2B] || filter[0] == [0x23]
        if topic[0].first == 0x24, leadingWildcard { return false }
        var index = 0
        while index < filter.count {
            // "#" stands for the parent level and all below it.
            if filter[index] == [0x23] { return topic.count >= index }
            guard index < topic.count else { return false }
            guard filter[index] == [0x2B] || filter[index] == topic[index] else { return false }
            index += 1
        }
        return topic.count == filter.count
    }
}

/// Holds a value, so that `#expect` can call what changes it.
final class Held<Tree> {
    var tree: Tree

    init(_ tree: Tree) { self.tree = tree }
}

extension Held<SubscriptionTree> {
    func insert(_ filter: String, subscriber: UInt32, options: UInt32) throws
        -> SubscriptionTree.Insertion
    {
        tree.insert(try TopicFilter(filter), subscriber: subscriber, options: options)
    }

    func remove(_ filter: String, subscriber: UInt32) throws -> Bool {
        tree.remove(try TopicFilter(filter), subscriber: subscriber)
    }

    func removeAll(_ subscriber: UInt32) -> Int { tree.removeAll(subscriber) }
}

extension Held<RetainedTree<Int>> {
    func set(_ topic: String, _ value: Int, bytes: Int = 10) -> Int? {
        tree.set(Array(topic.utf8).span, value, bytes: bytes)
    }

    func remove(_ topic: String) -> Int? { tree.remove(Array(topic.utf8).span) }
}
