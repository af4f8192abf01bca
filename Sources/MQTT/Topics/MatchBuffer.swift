/// What a match found, and the room that the search needs. Reused from match to match, so that a
/// match allocates nothing once the buffer has grown to the largest result.
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

        fileprivate var order: UInt64 { UInt64(subscriber) << 32 | UInt64(options) }
    }

    /// The subscriptions found. Those of one subscriber stand side by side.
    ///
    /// A subscriber whose filters overlap is there once for each of them.
    public internal(set) var matches: [Match] = []

    /// Nodes of the tree that the last match looked at.
    public internal(set) var visitedNodes = 0

    /// The numbers of the topic's levels.
    var levels: [UInt32] = []

    /// Nodes still to visit.
    var pending: [Pending] = []

    struct Pending {
        let node: UInt32
        let depth: UInt32
    }

    public init() {}

    public var isEmpty: Bool { matches.isEmpty }

    /// Whether more than one list of subscriptions was found. With one list nobody is there twice.
    public internal(set) var mayOverlap = false

    @inline(__always)
    mutating func clear() {
        matches.removeAll(keepingCapacity: true)
        levels.removeAll(keepingCapacity: true)
        pending.removeAll(keepingCapacity: true)
        visitedNodes = 0
        mayOverlap = false
    }

    /// Brings the subscriptions of each subscriber together, in place: `Array.sort` may allocate.
    mutating func groupBySubscriber() {
        if matches.count <= 16 {
            sortByInsertion()
        } else {
            sortByHeap()
        }
    }

    private mutating func sortByInsertion() {
        var next = 1
        while next < matches.count {
            let match = matches[next]
            var hole = next
            while hole > 0, matches[hole - 1].order > match.order {
                matches[hole] = matches[hole - 1]
                hole -= 1
            }
            matches[hole] = match
            next += 1
        }
    }

    private mutating func sortByHeap() {
        var root = matches.count / 2
        while root > 0 {
            root -= 1
            siftDown(root, end: matches.count)
        }
        var end = matches.count
        while end > 1 {
            end -= 1
            matches.swapAt(0, end)
            siftDown(0, end: end)
        }
    }

    private mutating func siftDown(_ start: Int, end: Int) {
        let match = matches[start]
        var hole = start
        while 2 * hole + 1 < end {
            var child = 2 * hole + 1
            if child + 1 < end, matches[child + 1].order > matches[child].order { child += 1 }
            guard matches[child].order > match.order else { break }
            matches[hole] = matches[child]
            hole = child
        }
        matches[hole] = match
    }
}
