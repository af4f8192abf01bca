/// What a match found, and the room that the search needs. Reused from match to match, so that a
/// match allocates nothing once the buffer has grown to the largest result.
///
/// It is nearly a kilobyte: keep one for each thread and pass it `inout`.
public struct MatchBuffer: Sendable {
    /// One subscription that asks for the topic.
    public struct Match: Hashable, Sendable {
        public let subscriber: UInt32
        /// The options that the subscription was made with, as given.
        public let options: UInt32

        @inline(__always)
        init(subscriber: UInt32, options: UInt32) {
            self.subscriber = subscriber
            self.options = options
        }
    }

    struct Pending: Sendable {
        let node: UInt32
        let depth: UInt32
    }

    /// The subscriptions found. Where `mayOverlap`, they are in the order of their subscribers, so
    /// that those of one subscriber stand side by side.
    ///
    /// A subscriber whose filters overlap is there once for each of them.
    public private(set) var matches: [Match] = []

    /// Nodes of the tree that the last match looked at.
    public internal(set) var visitedNodes = 0

    /// Lists of subscriptions found, each of one filter.
    var lists = 0

    /// The numbers of the topic's levels, as far as the search has come.
    var levels = InlineArray<64, UInt32>(repeating: 0)
    /// What the keys of these levels have.
    var tags = InlineArray<64, UInt32>(repeating: 0)
    var levelCount = 0
    /// Levels that are looked for together.
    static let levelsAtOnce = 8
    var keys = InlineArray<8, LevelKey>(repeating: .empty)
    /// Where the next level begins; behind the topic's end when all are read.
    var nextLevelStart = 0

    /// Nodes still to visit: one `+` a level at most, as a search goes down before it goes on.
    var pending = InlineArray<64, Pending>(repeating: Pending(node: 0, depth: 0))
    var pendingCount = 0

    /// Room for `groupBySubscriber`.
    private var scratch: [Match] = []

    public init() {}

    public var isEmpty: Bool { matches.isEmpty }

    /// Whether more than one filter was found. With one filter nobody is there twice.
    public var mayOverlap: Bool { lists > 1 }

    @inline(__always)
    mutating func clear() {
        if !matches.isEmpty { matches.removeAll(keepingCapacity: true) }
        visitedNodes = 0
        lists = 0
        levelCount = 0
        nextLevelStart = 0
        pendingCount = 0
    }

    @inline(__always)
    mutating func append(_ match: Match) { matches.append(match) }

    /// Leaves out what `isUnwanted` says.
    public mutating func removeAll(where isUnwanted: (Match) -> Bool) {
        matches.removeAll(where: isUnwanted)
    }

    /// Orders the subscriptions by subscriber, those of one subscriber as they were found.
    ///
    /// `Array.sort` may allocate. This one does so only when a result is larger than any before.
    mutating func groupBySubscriber() {
        if matches.count <= 32 {
            sortByInsertion()
        } else {
            sortByRadix()
        }
    }

    private mutating func sortByInsertion() {
        var next = 1
        while next < matches.count {
            let match = matches[next]
            var hole = next
            while hole > 0, matches[hole - 1].subscriber > match.subscriber {
                matches[hole] = matches[hole - 1]
                hole -= 1
            }
            matches[hole] = match
            next += 1
        }
    }

    /// One pass for each byte in which subscribers differ.
    private mutating func sortByRadix() {
        var bits: UInt32 = 0
        for match in matches { bits |= match.subscriber ^ matches[0].subscriber }
        for shift in stride(from: UInt32(0), to: 32, by: 8) where bits >> shift & 0xFF != 0 {
            var ends = InlineArray<256, Int>(repeating: 0)
            for match in matches { ends[Int(match.subscriber >> shift & 0xFF)] += 1 }
            var end = 0
            for digit in ends.indices {
                end += ends[digit]
                ends[digit] = end
            }
            if scratch.count < matches.count {
                let missing = matches.count - scratch.count
                scratch.append(contentsOf: repeatElement(matches[0], count: missing))
            }
            var index = matches.count
            while index > 0 {
                index -= 1
                let digit = Int(matches[index].subscriber >> shift & 0xFF)
                ends[digit] -= 1
                scratch[ends[digit]] = matches[index]
            }
            for index in matches.indices { matches[index] = scratch[index] }
        }
    }
}
