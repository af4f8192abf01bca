import MQTT
import Testing

@testable import BrokerCore

@Suite struct StructureTests {
    struct Element: ~Copyable {
        var value: Int
    }

    @Test func `a slab's names outlive their elements and find no stranger`() {
        var slab = Slab<Element>()
        let first = slab.insert(Element(value: 1))
        let second = slab.insert(Element(value: 2))
        slab[second.index].value += 10
        let value = slab[second.index].value
        #expect(value == 12)
        let removed = slab.remove(first.index).value
        #expect(removed == 1)
        let third = slab.insert(Element(value: 3))
        #expect(third.index == first.index && third != first)
        let (knowsFirst, knowsThird) = (slab.contains(first), slab.contains(third))
        #expect(!knowsFirst && knowsThird)
        slab.checkInvariants()
    }

    @Test func `a slab agrees with a dictionary`() {
        var random = SplitMix(state: 3)
        var slab = Slab<Element>()
        var model: [Slab<Element>.Key: Int] = [:]
        for step in 0..<5_000 {
            if model.isEmpty || random.next() % 5 < 3 {
                model[slab.insert(Element(value: step))] = step
            } else if let key = model.keys.min(by: { $0.packed < $1.packed }) {
                let removed = slab.remove(key.index).value
                #expect(removed == model.removeValue(forKey: key))
            }
        }
        let count = slab.count
        #expect(count == model.count)
        for (key, value) in model {
            let kept = slab[key.index].value
            #expect(kept == value)
        }
        slab.checkInvariants()
    }

    struct Rare: EmptyAtFirst, ~Copyable {
        static let empty = Empty<Rare>()

        var values: [Int] = []
    }

    @Test func `what was never changed is empty, and is not made by being looked at`() {
        var rare = OnDemand<Rare>()
        let found = rare.value.values
        #expect(found.isEmpty)
        var isMade = rare.isMade
        #expect(!isMade)
        rare.value.values.append(7)
        let (changed, other) = (rare.value.values, OnDemand<Rare>().value.values)
        #expect(changed == [7] && other.isEmpty)
        rare.release()
        isMade = rare.isMade
        let released = rare.value.values
        #expect(!isMade && released.isEmpty)
    }

    @Test func `an idle session and connection take few bytes`() {
        #expect(MemoryLayout<Session>.stride <= 64)
        #expect(MemoryLayout<Connection>.stride <= 152)
    }

    @Test func `deadlines that nobody notes any more are told`() {
        var deadlines = Deadlines()
        for number in 0..<200 {
            let time = MonotonicTime(nanoseconds: UInt64(number))
            deadlines.add(
                Deadlines.Entry(
                    time: time, index: UInt32(number), generation: 0, subject: .connection))
            #expect(!deadlines.isMostlyStale)
        }
        for number in 0..<165 { deadlines.abandon(MonotonicTime(nanoseconds: UInt64(number))) }
        deadlines.abandon(.distantFuture)
        #expect(deadlines.isMostlyStale)
        deadlines.keep { $0.index >= 165 }
        #expect(!deadlines.isMostlyStale && deadlines.count == 35)
    }

    @Test func `deadlines come up in order`() {
        var random = SplitMix(state: 5)
        var deadlines = Deadlines()
        var times: [UInt64] = []
        for _ in 0..<1_000 {
            let time = random.next() % 500
            times.append(time)
            deadlines.add(
                Deadlines.Entry(
                    time: MonotonicTime(nanoseconds: time), index: UInt32(time), generation: 0,
                    subject: .session))
        }
        deadlines.keep { $0.index % 3 != 0 }
        deadlines.checkInvariants()
        var popped: [UInt64] = []
        while let entry = deadlines.popDue(at: MonotonicTime(nanoseconds: 400)) {
            popped.append(entry.time.nanoseconds)
        }
        #expect(popped == times.filter { $0 % 3 != 0 && $0 <= 400 }.sorted())
    }

    @Test func `a set of packet identifiers agrees with a Set`() {
        var random = SplitMix(state: 9)
        var set = PacketIDSet()
        var model: Set<UInt16> = []
        for _ in 0..<20_000 {
            let id = UInt16(random.next() % 300) + 1
            if random.next() % 2 == 0 {
                if !set.contains(id) { set.insert(id) }
                model.insert(id)
            } else {
                #expect(set.remove(id) == (model.remove(id) != nil))
            }
            #expect(set.count == model.count)
        }
        for id: UInt16 in 1...300 { #expect(set.contains(id) == model.contains(id)) }
    }
}

/// Random numbers that a seed replays.
struct SplitMix: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }
}
