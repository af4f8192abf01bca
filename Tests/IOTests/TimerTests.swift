import MQTT
import Testing

@testable import IO

@Suite struct TimerTests {
    @Test func timersFireInOrderOfDeadlineThenOfMaking() throws {
        let loop = try EventLoop()
        var order: [String] = []
        let start = loop.now
        loop.schedule(at: start + .milliseconds(3)) { order.append("late") }
        loop.schedule(at: start + .milliseconds(1)) { order.append("early") }
        loop.schedule(at: start + .milliseconds(1)) { order.append("early too") }
        loop.run { order.count == 3 }
        #expect(order == ["early", "early too", "late"])
    }

    @Test func noTimerFiresBeforeItsDeadline() throws {
        let loop = try EventLoop()
        for milliseconds in [1, 2, 5, 17] {
            let deadline = SystemClock.monotonic() + .milliseconds(milliseconds)
            var fired: MonotonicTime?
            loop.schedule(at: deadline) { fired = loop.now }
            loop.run { fired != nil }
            #expect(try #require(fired) >= deadline)
            #expect(SystemClock.monotonic() >= deadline)
        }
    }

    @Test func aCancelledTimerDoesNotFire() throws {
        let loop = try EventLoop()
        var fired: [Int] = []
        let first = loop.schedule(after: .milliseconds(1)) { fired.append(1) }
        loop.schedule(after: .milliseconds(2)) { fired.append(2) }
        loop.cancel(first)
        loop.run { !fired.isEmpty }
        #expect(fired == [2])
        // Its slot is another timer's now; the old name must not cancel that one.
        loop.schedule(after: .milliseconds(1)) { fired.append(3) }
        loop.cancel(first)
        loop.run { fired.count == 2 }
    }

    @Test func aTimerMadeByATimerWaitsForTheNextTick() throws {
        let loop = try EventLoop()
        var count = 0
        func again() {
            count += 1
            loop.schedule(after: .zero) { again() }
        }
        again()
        loop.turn(waitingAtMost: .zero)
        #expect(count == 2)
        loop.turn(waitingAtMost: .zero)
        #expect(count == 3)
    }

    @Test func theHeapAgreesWithASortedListWhateverIsDoneToIt() {
        var generator = Seeded(state: 42)
        for _ in 0..<50 {
            var heap = TimerHeap<Int>()
            var model: [(deadline: UInt64, order: Int, id: TimerID)] = []
            for order in 0..<200 {
                switch UInt64.random(in: 0..<10, using: &generator) {
                case 0..<6:
                    let deadline = UInt64.random(in: 0..<50, using: &generator)
                    let id = heap.insert(order, at: MonotonicTime(nanoseconds: deadline))
                    model.append((deadline, order, id))
                case 6..<8:
                    guard let victim = model.randomElement(using: &generator) else { continue }
                    let (first, second) = (heap.cancel(victim.id), heap.cancel(victim.id))
                    #expect(first && !second)
                    model.removeAll { $0.id == victim.id }
                default:
                    let now = MonotonicTime(
                        nanoseconds: UInt64.random(in: 0..<50, using: &generator))
                    model.sort { ($0.deadline, $0.order) < ($1.deadline, $1.order) }
                    let expected = model.first.flatMap {
                        $0.deadline <= now.nanoseconds ? $0.order : nil
                    }
                    if expected != nil { model.removeFirst() }
                    let popped = heap.popDue(at: now, before: .max)
                    #expect(popped == expected)
                }
                heap.checkInvariants()
                #expect(heap.count == model.count)
            }
        }
    }
}

/// SplitMix64: the same numbers in every run.
struct Seeded: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }
}
