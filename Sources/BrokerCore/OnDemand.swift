/// What is made, empty, when it is needed for the first time.
protocol EmptyAtFirst: ~Copyable {
    init()
    /// What a value that was never made looks like.
    static var empty: Empty<Self> { get }
}

/// One empty value for all who look at what was never made; nobody changes it.
@safe
struct Empty<Value: EmptyAtFirst & ~Copyable>: @unchecked Sendable {
    // SAFETY: initialised here, read by many, and never changed or freed.
    fileprivate let place: UnsafeMutablePointer<Value>

    init() {
        // SAFETY: new memory, for one value.
        unsafe place = .allocate(capacity: 1)
        unsafe place.initialize(to: Value())
    }
}

/// A value that most of its owners never need: eight bytes until it is changed for the first time.
///
/// Reached in place, without reference counting, as the elements of a `Slab` are.
@safe
struct OnDemand<Value: EmptyAtFirst & ~Copyable>: ~Copyable {
    // SAFETY: owned by this value alone; allocated and initialised together in `make`, and the other way
    // round in `release` and deinit.
    private var place: UnsafeMutablePointer<Value>?

    init() { unsafe place = nil }

    deinit {
        guard let place = unsafe place else { return }
        // SAFETY: made by `make`, and nobody else has it.
        unsafe place.deinitialize(count: 1)
        unsafe place.deallocate()
    }

    @inline(__always)
    var isMade: Bool { unsafe place != nil }

    /// Reading makes nothing: it finds what would be made.
    @inline(__always)
    var value: Value {
        // One way out, or it is not inlined.
        _read {
            // SAFETY: initialised as long as it is there; the access holds this value for its length.
            yield unsafe (place ?? Value.empty.place).pointee
        }
        _modify {
            let place = unsafe self.place ?? make()
            // SAFETY: as above.
            yield unsafe &place.pointee
        }
    }

    @inline(never)
    private mutating func make() -> UnsafeMutablePointer<Value> {
        let made = UnsafeMutablePointer<Value>.allocate(capacity: 1)
        // SAFETY: new memory, for one value.
        unsafe made.initialize(to: Value())
        unsafe place = made
        return unsafe made
    }

    /// Gives the value back; there is an empty one again.
    mutating func release() {
        guard let old = unsafe place else { return }
        unsafe place = nil
        // SAFETY: made by `make`, and forgotten above.
        unsafe old.deinitialize(count: 1)
        unsafe old.deallocate()
    }
}
