/// An open-addressing table of indices: eight bytes a slot, linear probing, no tombstones.
///
/// It knows a 32-bit tag of each entry and no more; the caller compares the key itself, which
/// stands in the slab that the index points into.
struct SlotTable: Sendable {
    static let none = UInt32.max

    private struct Slot {
        var tag: UInt32
        var index: UInt32
    }

    private var slots: [Slot] = []
    private(set) var count = 0

    private static let minimumCapacity = 8

    /// The index with this tag for which `isKey` holds, or `none`.
    @inline(__always)
    func find(_ tag: UInt32, _ isKey: (UInt32) -> Bool) -> UInt32 {
        guard !slots.isEmpty else { return SlotTable.none }
        let mask = slots.count &- 1
        var position = Int(tag) & mask
        while true {
            let slot = slots[position]
            if slot.index == SlotTable.none { return SlotTable.none }
            if slot.tag == tag, isKey(slot.index) { return slot.index }
            position = (position &+ 1) & mask
        }
    }

    /// The index that stands where the search for this tag begins, or `none` where that has another tag:
    /// most often what `find` says. Whoever looks for several has the machine fetch all at once by it.
    @inline(__always)
    func guess(_ tag: UInt32) -> UInt32 {
        guard !slots.isEmpty else { return SlotTable.none }
        let slot = slots[Int(tag) & (slots.count &- 1)]
        return slot.tag == tag ? slot.index : SlotTable.none
    }

    /// Adds an index that the table does not hold.
    mutating func insert(_ tag: UInt32, _ index: UInt32) {
        // At most five eighths full: a search that fails looks at about four slots.
        if (count + 1) * 8 > slots.count * 5 {
            resize(to: max(SlotTable.minimumCapacity, slots.count * 2))
        }
        place(Slot(tag: tag, index: index))
        count += 1
    }

    /// Removes an index that the table holds, and moves up what it had displaced.
    mutating func remove(_ tag: UInt32, _ index: UInt32) {
        let mask = slots.count - 1
        var hole = Int(tag) & mask
        while slots[hole].index != index {
            precondition(slots[hole].index != SlotTable.none, "removed an index that is not held")
            hole = (hole + 1) & mask
        }
        var next = (hole + 1) & mask
        while slots[next].index != SlotTable.none {
            let home = Int(slots[next].tag) & mask
            // It may move up only if its home is not between the hole and itself.
            if ((next - home) & mask) >= ((next - hole) & mask) {
                slots[hole] = slots[next]
                hole = next
            }
            next = (next + 1) & mask
        }
        slots[hole].index = SlotTable.none
        count -= 1
        if count == 0 {
            slots = []
        } else if count * 8 < slots.count, slots.count > SlotTable.minimumCapacity {
            resize(to: slots.count / 2)
        }
    }

    private mutating func resize(to capacity: Int) {
        let old = slots
        slots = Array(repeating: Slot(tag: 0, index: SlotTable.none), count: capacity)
        for slot in old where slot.index != SlotTable.none { place(slot) }
    }

    private mutating func place(_ slot: Slot) {
        let mask = slots.count - 1
        var position = Int(slot.tag) & mask
        while slots[position].index != SlotTable.none { position = (position + 1) & mask }
        slots[position] = slot
    }

    /// Bytes of memory that the table holds.
    var byteCount: Int { slots.capacity * MemoryLayout<Slot>.stride }

    /// Traps unless every entry can be found from its home, and `count` is right.
    func checkInvariants() {
        let mask = slots.count - 1
        var held = 0
        for (position, slot) in slots.enumerated() where slot.index != SlotTable.none {
            held += 1
            var probe = Int(slot.tag) & mask
            while probe != position {
                precondition(slots[probe].index != SlotTable.none, "a hole before an entry")
                probe = (probe + 1) & mask
            }
        }
        precondition(held == count, "the count of a table is wrong")
    }
}
