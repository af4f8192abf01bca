import MQTT
import Synchronization

/// One thread beside the loop for calls that block: name resolution, password hashing, slow sensors.
///
/// Work runs in the order in which it came; its result is handed to a closure on the loop. The thread
/// exists while there is work. When a call takes longer than `giveUpAfter`, its caller is told so and
/// another thread goes on with the next: the hanging one is abandoned and ends when its call does.
public final class BlockingThread {
    /// What is done with a queue or with too many hanging calls, by name.
    public struct Limits: Hashable, Sendable {
        /// Work that may wait; more is refused at once.
        public var queueLength = 64
        /// How long one call may take; for ever when `nil`.
        public var giveUpAfter: Duration?
        /// Hanging calls that may be left behind at one time; then nothing new starts until one ends.
        public var abandonedThreads = 4

        public init(
            queueLength: Int = 64, giveUpAfter: Duration? = nil, abandonedThreads: Int = 4
        ) {
            self.queueLength = queueLength
            self.giveUpAfter = giveUpAfter
            self.abandonedThreads = abandonedThreads
        }
    }

    /// Why there is no result.
    public enum Failure: Error, Hashable, Sendable {
        /// `Limits.queueLength` pieces of work wait already.
        case queueFull
        /// The call took longer than `Limits.giveUpAfter`.
        case gaveUp
        /// `Limits.abandonedThreads` earlier calls still hang.
        case tooManyHang
        /// The kernel gave no thread.
        case noThread(IOError)
    }

    private let loop: EventLoop
    private let name: String
    private let limits: Limits
    private let shared = Shared()
    /// Callers that wait for their result, on the loop's side: whoever takes one out answers it.
    private var waiting: [UInt64: Caller] = [:]
    private var nextJob: UInt64 = 1
    private var watchdog: TimerID?

    public init(loop: EventLoop, name: String, limits: Limits = Limits()) {
        self.loop = loop
        self.name = name
        self.limits = limits
    }

    /// Work that waits or runs.
    public var count: Int { waiting.count }

    /// Runs `work` on the thread, then `completion` on the loop with its result, once.
    ///
    /// Throws, and never calls `completion`, when the work is refused at once.
    @discardableResult
    public func submit<Value: Sendable>(
        _ work: @escaping @Sendable () -> Value,
        completion: @escaping (Result<Value, Failure>) -> Void
    ) throws(Failure) -> JobID {
        let id = nextJob
        nextJob += 1
        var port: EventLoop.Port<Value>?
        let reply = loop.makePort { [weak self] (value: Value) in
            if let port { self?.loop.close(port) }
            guard let self, self.waiting.removeValue(forKey: id) != nil else { return }
            self.watch()
            completion(.success(value))
        }
        port = reply
        let loop = loop
        let job = Job(id: id) { reply.send(work()) }
        do throws(Failure) {
            try start(job)
        } catch {
            loop.close(reply)
            throw error
        }
        waiting[id] = Caller(
            fail: { completion(.failure($0)) }, forget: { loop.close(reply) })
        watch()
        return JobID(value: id)
    }

    /// Forgets work: it does not start any more, and its completion is not called.
    public func cancel(_ job: JobID) {
        guard let caller = waiting.removeValue(forKey: job.value) else { return }
        caller.forget()
        shared.state.withLock { state in state.queue.removeAll { $0.id == job.value } }
    }

    private func start(_ job: Job) throws(Failure) {
        let limits = limits
        let verdict = shared.state.withLock { state -> Result<UInt64?, Failure> in
            guard state.queue.count < limits.queueLength else { return .failure(.queueFull) }
            guard state.abandoned < limits.abandonedThreads else {
                return .failure(.tooManyHang)
            }
            state.queue.append(job)
            return .success(state.beginThreadIfNone())
        }
        if let thread = try verdict.get() { try startThread(thread) }
    }

    private func startThread(_ generation: UInt64) throws(Failure) {
        let shared = shared
        do throws(IOError) {
            try SystemThread.start(name: name) { shared.work(generation) }
        } catch {
            shared.state.withLock { state in
                state.isRunning = false
                state.queue.removeAll()
            }
            throw .noThread(error)
        }
    }

    // MARK: Giving up

    /// Sets the timer for the call that runs now.
    private func watch() {
        guard let limit = limits.giveUpAfter else { return }
        if let watchdog { loop.cancel(watchdog) }
        watchdog = nil
        guard !waiting.isEmpty else { return }
        let started = shared.state.withLock { $0.current?.started }
        // Nothing has started yet: look again when it could have taken too long.
        let deadline = (started ?? SystemClock.monotonic()) + limit
        watchdog = loop.schedule(at: deadline) { [weak self] in self?.giveUp(limit) }
    }

    private func giveUp(_ limit: Duration) {
        watchdog = nil
        let now = loop.now
        let abandonedLimit = limits.abandonedThreads
        let (hanging, next, refused) = shared.state.withLock { state in
            state.abandonCurrent(startedBefore: now, limit, abandonedLimit)
        }
        if let next {
            do throws(Failure) {
                try startThread(next)
            } catch {
                for id in waiting.keys.sorted() { answer(id, error) }
                return
            }
        }
        if let hanging { answer(hanging, .gaveUp) }
        for id in refused { answer(id, .tooManyHang) }
        watch()
    }

    private func answer(_ job: UInt64, _ failure: Failure) {
        guard let caller = waiting.removeValue(forKey: job) else { return }
        caller.forget()
        caller.fail(failure)
    }

    private struct Caller {
        var fail: (Failure) -> Void
        var forget: () -> Void
    }

    // MARK: The thread's side

    private struct Job: Sendable {
        var id: UInt64
        var run: @Sendable () -> Void
    }

    private struct State {
        var queue: [Job] = []
        var isRunning = false
        /// The thread that may take work; others are abandoned.
        var generation: UInt64 = 0
        var current: (job: UInt64, started: MonotonicTime)?
        var abandoned = 0

        /// The generation of the thread to start, `nil` when one runs.
        mutating func beginThreadIfNone() -> UInt64? {
            if isRunning { return nil }
            isRunning = true
            generation += 1
            return generation
        }

        /// Leaves a call behind that began `limit` before `now`: which one, the thread to start for what
        /// waits, and what is refused because too many hang.
        mutating func abandonCurrent(
            startedBefore now: MonotonicTime, _ limit: Duration, _ abandonedLimit: Int
        ) -> (hanging: UInt64?, next: UInt64?, refused: [UInt64]) {
            guard let running = current, running.started + limit <= now else {
                return (nil, nil, [])
            }
            abandoned += 1
            current = nil
            isRunning = false
            generation += 1
            if abandoned >= abandonedLimit {
                let refused = queue.map(\.id)
                queue = []
                return (running.job, nil, refused)
            }
            return (running.job, queue.isEmpty ? nil : beginThreadIfNone(), [])
        }
    }

    private final class Shared: Sendable {
        let state = Mutex(State())

        /// Takes work until there is none or until this thread is no longer the one.
        func work(_ generation: UInt64) {
            while let job = take(generation) {
                job.run()
                let isMine = state.withLock { state in
                    if state.generation == generation {
                        state.current = nil
                        return true
                    }
                    state.abandoned -= 1
                    return false
                }
                if !isMine { return }
            }
        }

        private func take(_ generation: UInt64) -> Job? {
            state.withLock { state in
                guard state.generation == generation else { return nil }
                guard !state.queue.isEmpty else {
                    state.isRunning = false
                    return nil
                }
                let job = state.queue.removeFirst()
                state.current = (job.id, SystemClock.monotonic())
                return job
            }
        }
    }
}

/// Names one piece of work of one `BlockingThread`.
public struct JobID: Hashable, Sendable {
    var value: UInt64
}
