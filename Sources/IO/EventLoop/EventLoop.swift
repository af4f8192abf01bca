import MQTT

/// One thread's loop over descriptors, timers, signals and work from other threads, epoll(7).
///
/// Level-triggered: what was not read or written is reported again. One dynamic call per event, and no
/// allocation. The loop belongs to the thread that runs it; others reach it through `remote` or a `Port`.
/// Each tick: wait, read the clock, events, signals, mail, timers, end-of-tick hooks.
public final class EventLoop {
    /// The longest wait without an event. epoll(7) does not count time asleep, so after a suspend a
    /// timer is at most this late.
    public static let maximumWait = Duration.seconds(60)

    private struct Registration {
        var handler: (any EventHandler)?
        var token: UInt64 = 0
        var generation: UInt32 = 0
        var interest: Readiness = []
        var isActive = false
    }

    /// The time of this tick, `CLOCK_BOOTTIME`: read once, so that all of a tick happens at one time.
    public private(set) var now: MonotonicTime
    /// The way for other threads to this loop.
    public let remote: Remote

    private let poller: Poller
    /// By descriptor number: the kernel gives the lowest free one, so the table is dense.
    private var registrations: [Registration] = []
    private var timers = TimerHeap<() -> Void>()
    private var hooks: [(id: UInt64, body: () -> Void)] = []
    private var ports: [UInt64: (any Sendable) -> Void] = [:]
    private var nextID: UInt64 = 1
    private var signals: FileDescriptor?
    private var signalHandlers: [Int32: (Int32) -> Void] = [:]
    private var isRunning = false
    private var stopRequested = false

    /// Makes a loop for the calling thread. From now on the process ignores SIGPIPE: a write to a
    /// closed connection is an error and not the end of it.
    public init() throws(IOError) {
        Syscalls.ignoreBrokenPipeSignal()
        poller = try Poller()
        remote = try Remote()
        now = SystemClock.monotonic()
        try watch(remote.counterDescriptor, token: 0, handler: nil, interest: .readable)
    }

    deinit {
        remote.close()
    }

    // MARK: Descriptors

    /// Watches `descriptor`, which stays the caller's and must be removed before it is closed.
    ///
    /// The handler is kept until `remove`.
    public func add(
        _ descriptor: borrowing FileDescriptor, interest: Readiness, token: UInt64,
        handler: any EventHandler
    ) throws(IOError) {
        try watch(descriptor.rawValue, token: token, handler: handler, interest: interest)
    }

    /// Changes what a descriptor is watched for; free of a system call when nothing changes.
    public func modify(
        _ descriptor: borrowing FileDescriptor, interest: Readiness
    ) throws(IOError) {
        let index = activeIndex(descriptor.rawValue)
        guard registrations[index].interest != interest else { return }
        try poller.modify(
            descriptor.rawValue, generation: registrations[index].generation, interest: interest)
        registrations[index].interest = interest
    }

    /// Forgets a descriptor; events of it that this batch still holds are dropped.
    public func remove(_ descriptor: borrowing FileDescriptor) {
        unwatch(descriptor.rawValue)
    }

    private func watch(
        _ number: Int32, token: UInt64, handler: (any EventHandler)?, interest: Readiness
    ) throws(IOError) {
        let index = Int(number)
        while registrations.count <= index { registrations.append(Registration()) }
        precondition(!registrations[index].isActive, "a descriptor was closed before its removal")
        // A new generation for each registration: the event of an earlier owner of this number,
        // still in the batch, must not reach the new one.
        registrations[index].generation &+= 1
        try poller.add(
            number, generation: registrations[index].generation, interest: interest)
        registrations[index].handler = handler
        registrations[index].token = token
        registrations[index].interest = interest
        registrations[index].isActive = true
    }

    private func unwatch(_ number: Int32) {
        let index = activeIndex(number)
        registrations[index].handler = nil
        registrations[index].isActive = false
        // Fails only for what epoll does not know, which `activeIndex` has excluded.
        try? poller.remove(number)
    }

    private func activeIndex(_ number: Int32) -> Int {
        let index = Int(number)
        precondition(
            index < registrations.count && registrations[index].isActive,
            "this descriptor is not watched")
        return index
    }

    // MARK: Timers and hooks

    /// Runs `body` once, at `deadline` or a little later.
    @discardableResult
    public func schedule(at deadline: MonotonicTime, _ body: @escaping () -> Void) -> TimerID {
        timers.insert(body, at: deadline)
    }

    /// Runs `body` once, `delay` from now.
    @discardableResult
    public func schedule(after delay: Duration, _ body: @escaping () -> Void) -> TimerID {
        if !isRunning { now = SystemClock.monotonic() }
        return timers.insert(body, at: now + delay)
    }

    /// Forgets a timer; one that has fired already is no error.
    public func cancel(_ timer: TimerID) {
        timers.cancel(timer)
    }

    /// Runs `body` at the end of each tick, after everything that the tick brought: the place to write
    /// what has gathered.
    @discardableResult
    public func atEndOfTick(_ body: @escaping () -> Void) -> HookID {
        let id = makeID()
        hooks.append((id, body))
        return HookID(value: id)
    }

    /// Forgets a hook.
    public func removeHook(_ hook: HookID) {
        hooks.removeAll { $0.id == hook.value }
    }

    // MARK: Signals

    /// Calls `handler` on the loop for each of `numbers`, instead of their default action, signal(7).
    ///
    /// Blocks them in the calling thread, so call it before other threads start (those of this module
    /// block all signals anyway). A second call for the same number replaces the first.
    public func onSignal(
        _ numbers: [SignalNumber], _ handler: @escaping (SignalNumber) -> Void
    ) throws(IOError) {
        for number in numbers {
            signalHandlers[number.rawValue] = { handler(SignalNumber(rawValue: $0)) }
        }
        let watched = signalHandlers.keys.sorted()
        if let existing = signals?.rawValue {
            _ = try Syscalls.watchSignals(watched, on: existing)
        } else {
            let number = try Syscalls.watchSignals(watched, on: nil)
            signals = FileDescriptor(takingOwnership: number)
            try watch(number, token: 0, handler: nil, interest: .readable)
        }
    }

    // MARK: Ports

    /// A way for other threads to send values to `handler` on this loop, until it is closed.
    public func makePort<Message: Sendable>(
        _ handler: @escaping (Message) -> Void
    ) -> Port<Message> {
        let id = makeID()
        ports[id] = { value in
            guard let message = value as? Message else {
                preconditionFailure("a port's messages have its type")
            }
            handler(message)
        }
        return Port(id: id, remote: remote)
    }

    /// Forgets a port's handler; what arrives for it later is dropped.
    public func close<Message>(_ port: Port<Message>) {
        ports[port.id] = nil
    }

    func deliver(_ message: any Sendable, to port: UInt64) {
        ports[port]?(message)
    }

    // MARK: Running

    /// Runs until `stop`.
    public func run() {
        stopRequested = false
        while !stopRequested { turn(waitingAtMost: Self.maximumWait) }
    }

    /// Ends `run` after this tick.
    public func stop() {
        stopRequested = true
    }

    /// One tick: waits for something to happen, at most `limit`, and handles all of it.
    public func turn(waitingAtMost limit: Duration) {
        precondition(!isRunning, "a loop does not run inside itself")
        isRunning = true
        defer { isRunning = false }
        let count = poller.wait(milliseconds: waitMilliseconds(limit))
        now = SystemClock.monotonic()
        for index in 0..<count { dispatch(poller.event(at: index)) }
        fireTimers()
        // By index: a hook may remove itself or others.
        var index = 0
        while index < hooks.count {
            let id = hooks[index].id
            hooks[index].body()
            if index < hooks.count, hooks[index].id == id { index += 1 }
        }
    }

    private func waitMilliseconds(_ limit: Duration) -> Int32 {
        var wait = min(limit, Self.maximumWait)
        if let earliest = timers.earliest {
            wait = min(wait, earliest - SystemClock.monotonic())
        }
        guard wait > .zero else { return 0 }
        let (seconds, attoseconds) = wait.components
        // Rounded up: a wait that ends before the deadline would only be repeated.
        let milliseconds = (attoseconds + 999_999_999_999_999) / 1_000_000_000_000_000
        return Int32(clamping: seconds * 1_000 + milliseconds)
    }

    private func dispatch(_ event: Poller.Event) {
        let registration = registrations[Int(event.descriptor)]
        guard registration.isActive, registration.generation == event.generation else { return }
        if let handler = registration.handler {
            var readiness = event.readiness
            if readiness.contains(.hangUp) { readiness.formUnion(registration.interest) }
            handler.ready(token: registration.token, readiness: readiness)
        } else if event.descriptor == remote.counterDescriptor {
            for work in remote.takeAll() { work(self) }
        } else {
            while let number = Syscalls.nextSignal(event.descriptor) {
                signalHandlers[number]?(number)
            }
        }
    }

    private func fireTimers() {
        // Timers that are made here wait for the next tick, so that a tick ends.
        let frontier = timers.frontier
        while let body = timers.popDue(at: now, before: frontier) { body() }
    }

    private func makeID() -> UInt64 {
        nextID += 1
        return nextID - 1
    }
}

/// Names an end-of-tick hook.
public struct HookID: Hashable, Sendable {
    var value: UInt64
}
