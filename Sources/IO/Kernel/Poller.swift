import CLinux
import Glibc

/// An epoll instance and the room for one batch of its events, epoll(7).
@safe
struct Poller: ~Copyable {
    /// Events that one wait can bring; more come with the next.
    static let batchSize = 128

    /// One event: whom it is for, and what happened.
    struct Event {
        var descriptor: Int32
        var generation: UInt32
        var readiness: Readiness
    }

    private let epoll: FileDescriptor
    // SAFETY: made in init, freed in deinit, lent to the kernel for each wait only.
    private let events: UnsafeMutablePointer<epoll_event>

    init() throws(IOError) {
        let number = try Syscalls.retrying("epoll_create1") {
            Int(epoll_create1(Int32(EPOLL_CLOEXEC)))
        }
        epoll = FileDescriptor(takingOwnership: Int32(number))
        // SAFETY: owned here, freed in deinit; epoll_event is plain memory.
        unsafe events = .allocate(capacity: Self.batchSize)
    }

    deinit {
        // SAFETY: allocated in init, and nobody else has it.
        unsafe events.deallocate()
    }

    func add(_ descriptor: Int32, generation: UInt32, interest: Readiness) throws(IOError) {
        try control(EPOLL_CTL_ADD, descriptor, generation, interest)
    }

    func modify(_ descriptor: Int32, generation: UInt32, interest: Readiness) throws(IOError) {
        try control(EPOLL_CTL_MOD, descriptor, generation, interest)
    }

    func remove(_ descriptor: Int32) throws(IOError) {
        try control(EPOLL_CTL_DEL, descriptor, 0, [])
    }

    /// Waits for events, epoll_wait(2): their number, 0 after `milliseconds` (-1: for ever) or a signal.
    func wait(milliseconds: Int32) -> Int {
        // SAFETY: the kernel fills at most `batchSize` events, which `events` has room for.
        let count = unsafe epoll_wait(epoll.rawValue, events, Int32(Self.batchSize), milliseconds)
        precondition(count >= 0 || errno == EINTR, "epoll_wait on what is not ours")
        return max(0, Int(count))
    }

    /// Event `index` of the last batch.
    func event(at index: Int) -> Event {
        precondition(index >= 0 && index < Self.batchSize)
        // SAFETY: within the batch, which was filled by the last wait.
        let event = unsafe events[index]
        // SAFETY: every registration sets the u64 member and no other.
        let data = unsafe event.data.u64
        let bits = unsafe event.events
        var readiness: Readiness = []
        if bits & EPOLLIN.rawValue != 0 { readiness.insert(.readable) }
        if bits & EPOLLOUT.rawValue != 0 { readiness.insert(.writable) }
        if bits & (EPOLLERR.rawValue | EPOLLHUP.rawValue) != 0 { readiness.insert(.hangUp) }
        return Event(
            descriptor: Int32(truncatingIfNeeded: data),
            generation: UInt32(truncatingIfNeeded: data >> 32), readiness: readiness)
    }

    private func control(
        _ operation: Int32, _ descriptor: Int32, _ generation: UInt32, _ interest: Readiness
    ) throws(IOError) {
        var bits: UInt32 = 0
        if interest.contains(.readable) { bits |= EPOLLIN.rawValue }
        if interest.contains(.writable) { bits |= EPOLLOUT.rawValue }
        let data = UInt64(generation) << 32 | UInt64(UInt32(bitPattern: descriptor))
        // SAFETY: the struct lives for the call, and the kernel copies it.
        var event = unsafe epoll_event(events: bits, data: epoll_data_t(u64: data))
        _ = try Syscalls.retrying("epoll_ctl") {
            unsafe Int(epoll_ctl(epoll.rawValue, operation, descriptor, &event))
        }
    }
}
