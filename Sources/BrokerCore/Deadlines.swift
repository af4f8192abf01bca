import MQTT

/// What a deadline is about.
enum DeadlineSubject: UInt8 {
    case connection
    case session
    /// A connection's next look-up of retained messages.
    case lookup
    /// A client that published faster than it may goes on.
    case publishRate
    /// The search for expired retained messages.
    case sweep
    /// Whether there is room by now, in the store or in memory, for which publishers wait.
    case room
}

/// All deadlines of a shard in one binary heap, earliest first.
///
/// A deadline is never moved: its owner notes which one counts (`Connection.deadline`,
/// `Session.deadline`), and one that comes up and is not the noted one is dropped. So a packet that arrives
/// costs a store to memory and no work here.
struct Deadlines {
    struct Entry {
        var time: MonotonicTime
        var index: UInt32
        var generation: UInt32
        var subject: DeadlineSubject
    }

    private var heap: [Entry] = []
    /// Entries, about, that their owners do not note any more.
    private(set) var staleCount = 0

    /// Whether so many are stale that it is time to forget them; that costs each of them little.
    var isMostlyStale: Bool { staleCount > 64 + heap.count / 2 }

    /// Its owner notes another deadline than `time`, or none.
    mutating func abandon(_ time: MonotonicTime) {
        if time != .distantFuture { staleCount += 1 }
    }

    var count: Int { heap.count }
    var earliest: MonotonicTime? { heap.first?.time }

    mutating func add(_ entry: Entry) {
        heap.append(entry)
        var child = heap.count - 1
        while child > 0 {
            let parent = (child - 1) / 2
            if !(heap[child].time < heap[parent].time) { break }
            heap.swapAt(child, parent)
            child = parent
        }
    }

    /// Takes the earliest entry that is due at `now`.
    mutating func popDue(at now: MonotonicTime) -> Entry? {
        guard let first = heap.first, first.time <= now else { return nil }
        staleCount = min(staleCount, heap.count - 1)
        let last = heap.removeLast()
        if !heap.isEmpty {
            heap[0] = last
            siftDown(from: 0)
        }
        return first
    }

    /// Forgets the entries that no longer count; called when they outnumber those that do.
    mutating func keep(where counts: (Entry) -> Bool) {
        heap.removeAll { !counts($0) }
        staleCount = 0
        if heap.count < 2 { return }
        for parent in stride(from: heap.count / 2 - 1, through: 0, by: -1) {
            siftDown(from: parent)
        }
    }

    private mutating func siftDown(from start: Int) {
        var parent = start
        while true {
            var child = 2 * parent + 1
            if child >= heap.count { return }
            if child + 1 < heap.count && heap[child + 1].time < heap[child].time { child += 1 }
            if !(heap[child].time < heap[parent].time) { return }
            heap.swapAt(child, parent)
            parent = child
        }
    }

    func checkInvariants() {
        for child in heap.indices.dropFirst() {
            precondition(!(heap[child].time < heap[(child - 1) / 2].time), "heap out of order")
        }
    }
}
