/// A table of non-copyable elements that are named by index and generation.
///
/// An index is used again after its element has gone, with another generation, so a name that outlived
/// its element finds nothing instead of a stranger. Elements are reached in place: no copy, no
/// reference counting, no search.
@safe
struct Slab<Element: ~Copyable>: ~Copyable {
    /// Names one element for as long as it lives.
    struct Key: Hashable, Sendable {
        var index: UInt32
        var generation: UInt32
    }

    // SAFETY: owned by this struct alone and freed in deinit; the slot `i` is initialised exactly while
    // `generations[i]` is odd, and every access checks that first.
    private var elements: UnsafeMutablePointer<Element>
    private var capacity: Int
    private var generations: [UInt32] = []
    private var vacant: [UInt32] = []
    private(set) var count = 0

    var isEmpty: Bool { count == 0 }

    init() {
        // SAFETY: nothing is initialised in it until `insert` says so.
        unsafe elements = UnsafeMutablePointer<Element>.allocate(capacity: 0)
        capacity = 0
    }

    deinit {
        for index in generations.indices where generations[index] & 1 == 1 {
            // SAFETY: an odd generation marks an initialised slot.
            unsafe (elements + index).deinitialize(count: 1)
        }
        // SAFETY: allocated by this struct; nothing initialised is left in it.
        unsafe elements.deallocate()
    }

    /// One above the highest index ever used: `0..<slotCount` visits every element.
    var slotCount: UInt32 { UInt32(truncatingIfNeeded: generations.count) }

    func isOccupied(_ index: UInt32) -> Bool {
        Int(index) < generations.count && generations[Int(index)] & 1 == 1
    }

    func contains(_ key: Key) -> Bool {
        Int(key.index) < generations.count && generations[Int(key.index)] == key.generation
            && key.generation & 1 == 1
    }

    /// The name of the element that lives at `index` now.
    func key(at index: UInt32) -> Key {
        precondition(isOccupied(index), "no element at this index")
        return Key(index: index, generation: generations[Int(index)])
    }

    mutating func insert(_ element: consuming Element) -> Key {
        let index: UInt32
        if let reused = vacant.popLast() {
            index = reused
        } else {
            precondition(generations.count < Int(UInt32.max), "slab is full")
            index = UInt32(generations.count)
            generations.append(0)
            if generations.count > capacity { grow() }
        }
        generations[Int(index)] &+= 1
        // SAFETY: index < capacity, and its generation was even: the slot was not initialised.
        unsafe (elements + Int(index)).initialize(to: element)
        count += 1
        return Key(index: index, generation: generations[Int(index)])
    }

    mutating func remove(_ index: UInt32) -> Element {
        precondition(isOccupied(index), "no element at this index")
        generations[Int(index)] &+= 1
        vacant.append(index)
        count -= 1
        // SAFETY: the slot was initialised, and is marked empty from here on.
        return unsafe (elements + Int(index)).move()
    }

    subscript(index: UInt32) -> Element {
        @inline(__always)
        _read {
            precondition(isOccupied(index), "no element at this index")
            // SAFETY: the slot is initialised; the access holds the slab for its length.
            yield unsafe elements[Int(index)]
        }
        @inline(__always)
        _modify {
            precondition(isOccupied(index), "no element at this index")
            // SAFETY: the slot is initialised; the access holds the slab for its length.
            yield unsafe &elements[Int(index)]
        }
    }

    /// Lends the element at `index` to `body`: for its computed properties, in functions that do not mutate.
    ///
    /// There, Swift 6.2 would end a subscript's borrow too late, and its verifier refuses that.
    @inline(__always)
    func read<Value>(_ index: UInt32, _ body: (borrowing Element) -> Value) -> Value {
        precondition(isOccupied(index), "no element at this index")
        // SAFETY: the slot is initialised; the call holds the slab for its length.
        return unsafe body(elements[Int(index)])
    }

    private mutating func grow() {
        let larger = max(8, capacity * 2)
        let target = UnsafeMutablePointer<Element>.allocate(capacity: larger)
        for index in 0..<capacity where generations[index] & 1 == 1 {
            // SAFETY: initialised elements are moved one by one to the same index, and the old memory
            // is freed when none is left in it.
            unsafe (target + index).moveInitialize(from: elements + index, count: 1)
        }
        unsafe elements.deallocate()
        unsafe elements = target
        capacity = larger
    }

    /// Traps when the counts and the vacant list disagree.
    func checkInvariants() {
        precondition(generations.count <= max(capacity, 8))
        precondition(generations.count(where: { $0 & 1 == 1 }) == count)
        precondition(vacant.count == generations.count - count)
        precondition(vacant.allSatisfy { !isOccupied($0) })
    }
}

extension Slab.Key where Element: ~Copyable {
    /// Both halves in one word, for places that keep a name as a number.
    var packed: UInt64 { UInt64(generation) << 32 | UInt64(index) }

    init(packed: UInt64) {
        self.init(
            index: UInt32(truncatingIfNeeded: packed),
            generation: UInt32(truncatingIfNeeded: packed >> 32))
    }
}
