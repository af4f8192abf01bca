import BrokerCore
import Daemon
import IO
import MQTT
import Store

/// The process's one store: the thread that commits, and what to do when the disk or the file fails.
///
/// Shards submit turns through `StoreHandle`, from their own loops. What a failed commit held stays with
/// its shard, which submits it again; so nothing is acknowledged until the store takes it.
final class BrokerStore {
    struct Settings: Equatable {
        /// Free bytes of the file system below which nothing more is taken that must be kept.
        var freeDiskFloor = 64 * 1024 * 1024
    }

    enum State: Equatable {
        case ready
        /// No room on the disk, or less than the floor.
        case full
        /// The disk fails; the store is opened again from time to time.
        case failed(String)
    }

    let path: String
    let handle: StoreHandle
    private(set) var state = State.ready
    /// Damaged stores that were put aside, so far as they still lie there.
    private(set) var quarantined = 0
    /// Told on the main loop.
    var onStateChange: (State) -> Void = { _ in }
    /// The store is new and empty: every shard must write all that it holds.
    var onReplaced: () -> Void = {}

    private let loop: EventLoop
    let log: Log
    private var events: EventLoop.Port<StoreThread.Event>?
    private var roomCheck: TimerID?

    private static let retryPause = Duration.seconds(5)
    private static let roomCheckPause = Duration.seconds(1)

    init(_ opened: borrowing OpenedTurns, _ settings: Settings, loop: EventLoop, log: Log) throws {
        path = opened.path
        quarantined = StoreFile.quarantined(opened.path).count
        self.loop = loop
        self.log = log
        handle = StoreHandle(boot: opened.boot, path: opened.path)
        handle.setFloor(settings.freeDiskFloor)
        let events = loop.makePort { [weak self] (event: StoreThread.Event) in self?.take(event) }
        self.events = events
        handle.replace(try Self.start(opened.database, path, events))
        watchRoom()
    }

    private static func start(
        _ database: Database?, _ path: String, _ events: EventLoop.Port<StoreThread.Event>
    ) throws(StoreError) -> StoreThread {
        let open: @Sendable () throws(StoreError) -> Database = { () throws(StoreError) in
            try TurnTable.open(path)
        }
        guard let database else {
            return try StoreThread.start(path: path, open: open, onEvent: { events.send($0) })
        }
        return try StoreThread.start(adopting: database, open: open, onEvent: { events.send($0) })
    }

    /// Bytes written so far, log and checkpoints included.
    var bytesWritten: UInt64 { handle.bytesWritten }

    func reconfigure(_ settings: Settings) {
        handle.setFloor(settings.freeDiskFloor)
        checkRoom()
    }

    /// Commits what waits and closes the file; `done` is called on the main loop.
    func stop(_ done: @escaping () -> Void) {
        if let roomCheck { loop.cancel(roomCheck) }
        guard let thread = handle.replace(nil) else { return done() }
        let port = loop.makePort { (_: Bool) in done() }
        thread.stop { port.send(true) }
    }

    // MARK: Faults

    private func take(_ event: StoreThread.Event) {
        switch event {
        case .reopened(let cause):
            log.error(
                "the disk failed; the store was opened again and checked, and goes on",
                ["error": cause])
        case .failed(let error) where error.kind == .corrupt: replaceDamaged(error)
        case .failed(let error):
            log.error("the store cannot be used; nothing is acknowledged", ["error": error])
            retire()
            change(to: .failed("\(error.message)"))
            loop.schedule(after: Self.retryPause) { [weak self] in self?.openAgain() }
        }
    }

    private func retire() {
        handle.replace(nil)?.stop {}
    }

    /// After a disk that failed for good, so it seemed.
    private func openAgain() {
        guard case .failed = state, let events else { return }
        do throws(StoreError) {
            handle.replace(try Self.start(nil, path, events))
            log.notice("the store is open again", ["file": path])
            change(to: .ready)
        } catch {
            guard error.kind != .corrupt else { return replaceDamaged(error) }
            loop.schedule(after: Self.retryPause) { [weak self] in self?.openAgain() }
        }
    }

    /// Damage was found while it was in use: memory holds all that counts, so nothing is lost.
    private func replaceDamaged(_ error: StoreError) {
        retire()
        do throws(StoreError) {
            let target = try StoreFile.quarantine(path)
            quarantined = StoreFile.quarantined(path).count
            log.error(
                "the store is damaged and was put aside; all is written anew from memory",
                ["why": error.message, "file": target])
            guard let events else { return }
            beginEmpty(try Self.start(nil, path, events))
        } catch {
            log.error("no new store can be made; nothing is acknowledged", ["error": error])
            change(to: .failed(error.message))
            loop.schedule(after: Self.retryPause) { [weak self] in self?.replaceDamagedAgain() }
        }
    }

    /// Goes on with a store that holds nothing.
    private func beginEmpty(_ thread: StoreThread) {
        handle.beginEpoch()
        handle.replace(thread)
        change(to: .ready)
        onReplaced()
    }

    private func replaceDamagedAgain() {
        guard case .failed = state, let events else { return }
        do throws(StoreError) {
            beginEmpty(try Self.start(nil, path, events))
        } catch {
            loop.schedule(after: Self.retryPause) { [weak self] in self?.replaceDamagedAgain() }
        }
    }

    // MARK: Room

    private func watchRoom() {
        checkRoom()
        roomCheck = loop.schedule(after: Self.roomCheckPause) { [weak self] in self?.watchRoom() }
    }

    private func checkRoom() {
        if case .failed = state { return }
        // Shards that refuse messages are told only by a change: one that came and went is one, too.
        let wasOut = handle.takeReachedFloor()
        change(to: wasOut || handle.isOutOfRoom ? .full : .ready)
        if state == .full { handle.trim() }
    }

    private func change(to new: State) {
        guard new != state else { return }
        switch (state, new) {
        case (_, .full):
            log.error(
                "no room for the store; messages that must be kept are refused",
                ["limit": "store.free_disk_floor", "file": path])
        case (.full, .ready): log.notice("the store has room again", ["file": path])
        default: break
        }
        state = new
        onStateChange(new)
    }
}
