import IO
import Synchronization

/// The thread that owns a store: it runs work in order, and what was waiting while the previous commit
/// ran becomes one transaction (group commit).
///
/// A completion is called on this thread, in order, after the commit of its work; hand it on to a loop
/// with `EventLoop.Port.send`. Work that throws takes only itself back. When the commit fails, all of
/// its work fails.
///
/// After an I/O error (a failed fsync(2) above all, after which nobody knows what the disk holds)
/// nothing is acknowledged until the store was closed, reopened past the kernel's cache, and checked. A
/// commit that failed so may turn out to have happened: work must bear being done twice.
public final class StoreThread: Sendable {
    public struct Limits: Hashable, Sendable {
        /// Work that waits; more is refused at once.
        public var queuedWork = 4_096
        /// Work in one transaction.
        public var groupedWork = 1_024

        public init() {}
    }

    /// What happens to the store beside the work; told on its thread.
    public enum Event: Sendable {
        /// After this error the store was reopened and found sound. Read again what you remember of it.
        case reopened(after: StoreError)
        /// The store cannot go on: all work fails with this error. Stop the thread; after `.corrupt`,
        /// quarantine the file and start anew.
        case failed(StoreError)
    }

    /// Work without its type: runs it, and returns what to call after the commit.
    struct Job: Sendable {
        /// What its commit must withstand; `nil`: what the store was opened for.
        var synchronous: StoreOptions.Synchronous?
        var run: @Sendable (Database) throws(StoreError) -> @Sendable (StoreError?) -> Void
        var fail: @Sendable (StoreError) -> Void
    }

    private struct State {
        var jobs: [Job] = []
        var isStopping = false
        var onEnd: (@Sendable () -> Void)?
        var threadID: Int32?
    }

    private let path: String
    private let limits: Limits
    private let state = Mutex(State())
    private let wake = Semaphore()
    private let ended = Semaphore()

    private init(path: String, limits: Limits) {
        self.path = path
        self.limits = limits
    }

    /// Opens the store by `open` on a new thread, and returns when that is done.
    ///
    /// `open` is called again when the store must be reopened.
    public static func start(
        path: String, limits: Limits = Limits(),
        open: @escaping @Sendable () throws(StoreError) -> Database,
        onEvent: @escaping @Sendable (Event) -> Void
    ) throws(StoreError) -> StoreThread {
        try start(path: path, limits: limits, open: open, onEvent: onEvent, beforeCommit: nil)
    }

    /// The same for a store that is open already: from now on it belongs to the new thread.
    ///
    /// `open` is called when the store must be reopened.
    public static func start(
        adopting database: Database, limits: Limits = Limits(),
        open: @escaping @Sendable () throws(StoreError) -> Database,
        onEvent: @escaping @Sendable (Event) -> Void
    ) throws(StoreError) -> StoreThread {
        let path = database.path
        let first = Handover(database)
        return try start(
            path: path, limits: limits,
            open: { () throws(StoreError) in
                if let database = first.take() { return database }
                return try open()
            }, onEvent: onEvent)
    }

    /// Carries a database to its thread, once.
    private final class Handover: @unchecked Sendable {
        // SAFETY: the giver is done with it, and only the new thread takes it.
        private var database: Database?

        init(_ database: Database) { self.database = database }

        func take() -> Database? { database.take() }
    }

    /// `beforeCommit`: a fault that a test puts in place of the commit.
    static func start(
        path: String, limits: Limits,
        open: @escaping @Sendable () throws(StoreError) -> Database,
        onEvent: @escaping @Sendable (Event) -> Void,
        beforeCommit: (@Sendable () throws(StoreError) -> Void)?
    ) throws(StoreError) -> StoreThread {
        let thread = StoreThread(path: path, limits: limits)
        let opened = Semaphore()
        let failure = Mutex<StoreError?>(nil)
        do throws(IOError) {
            try SystemThread.start(name: "store") {
                defer { thread.end() }
                do throws(StoreError) {
                    thread.state.withLock { $0.threadID = StoreKernel.threadID }
                    let worker = StoreWorker(
                        database: try open(), open: open, onEvent: onEvent,
                        beforeCommit: beforeCommit)
                    opened.signal()
                    thread.serve(worker)
                } catch {
                    failure.withLock { $0 = error }
                    opened.signal()
                }
            }
        } catch {
            throw StoreError(.other, "no thread: \(error)", path: path)
        }
        opened.wait()
        if let error = failure.withLock({ $0 }) { throw error }
        return thread
    }

    /// Puts `work` into the queue; `completion` is called once, on the store's thread.
    ///
    /// `false`: the queue is at its limit, or the thread was stopped; then `completion` is never called.
    ///
    /// - Parameter synchronous: what the commit must withstand, where that is not what the store was
    ///   opened for. Work in one transaction gets the most that any of it asks for.
    public func submit<Value: Sendable>(
        synchronous: StoreOptions.Synchronous? = nil,
        _ work: @escaping @Sendable (Database) throws(StoreError) -> Value,
        completion: @escaping @Sendable (Result<Value, StoreError>) -> Void
    ) -> Bool {
        let job = Job(
            synchronous: synchronous,
            run: { database throws(StoreError) in
                let value = try work(database)
                return { error in completion(error.map { .failure($0) } ?? .success(value)) }
            },
            fail: { completion(.failure($0)) })
        let limit = limits.queuedWork
        let (isTaken, isFirst) = state.withLock { state in
            guard !state.isStopping, state.jobs.count < limit else { return (false, false) }
            state.jobs.append(job)
            return (true, state.jobs.count == 1)
        }
        if isFirst { wake.signal() }
        return isTaken
    }

    /// Runs `work` and waits for its commit: for start and end, never on a loop that serves.
    public func perform<Value: Sendable>(
        _ work: @escaping @Sendable (Database) throws(StoreError) -> Value
    ) throws(StoreError) -> Value {
        let result = Box<Result<Value, StoreError>>()
        let done = Semaphore()
        let isTaken = submit(work) { outcome in
            result.value.withLock { $0 = outcome }
            done.signal()
        }
        guard isTaken else { throw refusal() }
        done.wait()
        guard let outcome = result.value.withLock({ $0 }) else { throw refusal() }
        return try outcome.get()
    }

    /// Commits what waits, closes the store, and returns when that is done. Call it once.
    public func stop() {
        stop {}
        ended.wait()
    }

    /// The same without waiting: `completion` is called on the store's thread, its last act.
    public func stop(_ completion: @escaping @Sendable () -> Void) {
        let isFirst = state.withLock { state in
            defer { state.isStopping = true }
            state.onEnd = completion
            return !state.isStopping
        }
        precondition(isFirst, "a store's thread is stopped once")
        wake.signal()
    }

    private func end() {
        ended.signal()
        state.withLock { $0.onEnd }?()
    }

    /// Work that waits now.
    public var queuedWork: Int { state.withLock { $0.jobs.count } }

    /// Bytes that this thread has written so far, log and checkpoints included, proc_pid_io(5);
    /// `nil` when the kernel does not count them.
    public var bytesWritten: UInt64? {
        guard let thread = state.withLock({ $0.threadID }),
            let bytes = try? Files.read("/proc/self/task/\(thread)/io", limit: 4_096)
        else { return nil }
        let lines = String(decoding: bytes, as: UTF8.self).split(separator: "\n")
        return lines.first { $0.hasPrefix("wchar: ") }.flatMap { UInt64($0.dropFirst(7)) }
    }

    private func serve(_ worker: StoreWorker) {
        while true {
            wake.wait()
            while let jobs = take() { worker.run(jobs) }
            if state.withLock({ $0.isStopping && $0.jobs.isEmpty }) { break }
        }
        worker.close()
    }

    private func take() -> [Job]? {
        let limit = limits.groupedWork
        return state.withLock { state in
            guard !state.jobs.isEmpty else { return nil }
            if state.jobs.count <= limit {
                defer { state.jobs = [] }
                return state.jobs
            }
            defer { state.jobs.removeFirst(limit) }
            return Array(state.jobs.prefix(limit))
        }
    }

    private func refusal() -> StoreError {
        StoreError(.refused, "too much work waits, or the store was closed", path: path)
    }

    private final class Box<Value: Sendable>: Sendable {
        let value = Mutex<Value?>(nil)
    }
}
