import MQTT

/// Timers by deadline, and in order of their making where deadlines are equal.
///
/// A binary heap over slots; a slot knows its place, so that cancelling takes O(log n) and leaves nothing.
struct TimerHeap<Payload> {
    private struct Slot {
        var generation: UInt32
        var place: Int
        var deadline: MonotonicTime
        var order: UInt64
        var payload: Payload?
    }

    private var slots: [Slot] = []
    private var free: [Int] = []
    private var heap: [Int] = []
    private var nextOrder: UInt64 = 0

    var count: Int { heap.count }
    var earliest: MonotonicTime? { heap.first.map { slots[$0].deadline } }
    /// Timers made from now on have this number or a greater one.
    var frontier: UInt64 { nextOrder }

    mutating func insert(_ payload: Payload, at deadline: MonotonicTime) -> TimerID {
        let index: Int
        if let reused = free.popLast() {
            index = reused
        } else {
            index = slots.count
            slots.append(
                Slot(generation: 0, place: 0, deadline: .zero, order: 0, payload: nil))
        }
        slots[index].deadline = deadline
        slots[index].order = nextOrder
        slots[index].place = heap.count
        slots[index].payload = payload
        nextOrder += 1
        heap.append(index)
        rise(from: heap.count - 1)
        return TimerID(slot: UInt32(index), generation: slots[index].generation)
    }

    /// Removes a timer; false when it has fired or was cancelled before.
    @discardableResult
    mutating func cancel(_ timer: TimerID) -> Bool {
        let index = Int(timer.slot)
        guard index < slots.count, slots[index].generation == timer.generation,
            slots[index].payload != nil
        else { return false }
        _ = remove(at: slots[index].place)
        return true
    }

    /// The first timer due at `now` that was made before `frontier`.
    mutating func popDue(at now: MonotonicTime, before frontier: UInt64) -> Payload? {
        guard let first = heap.first, slots[first].deadline <= now, slots[first].order < frontier
        else { return nil }
        return remove(at: 0)
    }

    private mutating func remove(at place: Int) -> Payload? {
        let index = heap[place]
        let last = heap.count - 1
        swap(place, last)
        heap.removeLast()
        if place < last {
            rise(from: place)
            sink(from: place)
        }
        let payload = slots[index].payload
        slots[index].payload = nil
        slots[index].generation &+= 1
        free.append(index)
        return payload
    }

    private func precedes(_ left: Int, _ right: Int) -> Bool {
        let (one, other) = (slots[heap[left]], slots[heap[right]])
        return (one.deadline, one.order) < (other.deadline, other.order)
    }

    private mutating func swap(_ left: Int, _ right: Int) {
        heap.swapAt(left, right)
        slots[heap[left]].place = left
        slots[heap[right]].place = right
    }

    private mutating func rise(from start: Int) {
        var place = start
        while place > 0, precedes(place, (place - 1) / 2) {
            swap(place, (place - 1) / 2)
            place = (place - 1) / 2
        }
    }

    private mutating func sink(from start: Int) {
        var place = start
        while true {
            var least = place
            for child in [2 * place + 1, 2 * place + 2]
            where child < heap.count && precedes(child, least) {
                least = child
            }
            if least == place { return }
            swap(place, least)
            place = least
        }
    }

    func checkInvariants() {
        precondition(heap.count + free.count == slots.count)
        for place in heap.indices {
            precondition(slots[heap[place]].place == place)
            precondition(slots[heap[place]].payload != nil)
            precondition(place == 0 || !precedes(place, (place - 1) / 2))
        }
    }
}

/// Names one timer of one `EventLoop`; stale ones are recognised.
public struct TimerID: Hashable, Sendable {
    var slot: UInt32
    var generation: UInt32
}
