import BrokerCore
import IO
import MQTT
import Store
import Synchronization

/// The way of every shard, from its own thread, to the store that is open now.
final class StoreHandle: Sendable {
    /// What became of a turn.
    enum Outcome: Sendable {
        case committed
        /// Committed, and there is no room for more.
        case committedAtTheFloor
        /// It is to be submitted again, a little later.
        case failed
    }

    private struct State {
        var thread: StoreThread?
        /// Counts the times that it was replaced by an empty one.
        var epoch = 0
        /// Bytes that threads before this one wrote.
        var bytesBefore: UInt64 = 0
        /// The last commit found no room.
        var failedForRoom = false
        /// A commit reached the floor, and its shard refuses messages since then.
        var reachedFloor = false
        /// Free bytes of the file system below which there is no room.
        var floor: UInt64 = 0
        var commits: UInt64 = 0
        var lastCommit: Duration?
    }

    private let state = Mutex(State())
    private let boot: UInt64
    private let folder: String

    init(boot: UInt64, path: String) {
        self.boot = boot
        folder = Files.folder(of: path)
    }

    /// Whether less is free than the floor, or the last commit found no room.
    var isOutOfRoom: Bool {
        let (failed, floor) = state.withLock { ($0.failedForRoom, $0.floor) }
        if failed { return true }
        guard let space = try? Files.space(at: folder) else { return false }
        return space.availableBytes < floor
    }

    private func reachesFloor() -> Bool {
        guard isOutOfRoom else { return false }
        state.withLock { $0.reachedFloor = true }
        return true
    }

    /// Whether a commit has reached the floor since the last call, even if there is room again.
    func takeReachedFloor() -> Bool {
        state.withLock { state in
            defer { state.reachedFloor = false }
            return state.reachedFloor
        }
    }

    func setFloor(_ bytes: Int) { state.withLock { $0.floor = UInt64(bytes) } }

    /// Puts another thread, or none, in the place of the one before, which is returned.
    @discardableResult
    func replace(_ thread: StoreThread?) -> StoreThread? {
        state.withLock { state in
            let before = state.thread
            state.bytesBefore += before?.bytesWritten ?? 0
            state.thread = thread
            return before
        }
    }

    var bytesWritten: UInt64 {
        state.withLock { $0.bytesBefore + ($0.thread?.bytesWritten ?? 0) }
    }

    /// Turns committed, and how long the last one took from its submission on.
    var commits: (count: UInt64, last: Duration?) {
        state.withLock { ($0.commits, $0.lastCommit) }
    }

    /// The next thread's store is an empty one: turns that follow on what the one before held are not
    /// taken, until their shard has written all anew.
    func beginEpoch() { state.withLock { $0.epoch += 1 } }

    /// Commits a turn; `completion` is called on the store's thread. What a shard gives that does not know
    /// of the last replacement is dropped: all of it will come once more.
    func commit(
        _ turn: Turn, shard: Int, epoch: Int,
        _ completion: @escaping @Sendable (Outcome) -> Void
    ) {
        let anchor = TimeAnchor(
            monotonic: SystemClock.monotonic(),
            unixMilliseconds: SystemClock.unixMilliseconds(), boot: boot)
        let (thread, isKnown) = state.withLock { ($0.thread, $0.epoch == epoch) }
        guard isKnown else { return }
        let isTaken = thread?.submit(
            synchronous: turn.durability == .power ? .full : .normal
        ) { database throws(StoreError) in
            try TurnTable.write(turn, shard: shard, at: anchor, database)
        } completion: { [self] result in
            switch result {
            case .success:
                let took = SystemClock.monotonic() - anchor.monotonic
                state.withLock { state in
                    state.failedForRoom = false
                    state.commits += 1
                    state.lastCommit = took
                }
                if let obsolete = turn.obsolete { delete(upTo: obsolete, shard: shard) }
                completion(reachesFloor() ? .committedAtTheFloor : .committed)
            case .failure(let error):
                if error.kind == .full { state.withLock { $0.failedForRoom = true } }
                completion(.failed)
            }
        }
        if isTaken != true { completion(.failed) }
    }

    /// Puts turns in the place of all that the store holds, before it returns; for the start.
    func replaceNow(_ turns: [(shard: Int, turn: Turn)]) throws(StoreError) {
        let anchor = TimeAnchor(
            monotonic: SystemClock.monotonic(),
            unixMilliseconds: SystemClock.unixMilliseconds(), boot: boot)
        let thread = state.withLock { $0.thread }
        try thread?.perform { database throws(StoreError) in
            try TurnTable.deleteAll(database)
            for (shard, turn) in turns {
                try TurnTable.write(turn, shard: shard, at: anchor, database)
            }
        }
    }

    /// Deletes obsolete turns, a few in each transaction, between the commits of others.
    private func delete(upTo turn: TurnNumber, shard: Int) {
        let thread = state.withLock { $0.thread }
        _ = thread?.submit { database throws(StoreError) in
            try TurnTable.delete(upTo: turn, shard: shard, database)
        } completion: { [self] result in
            // What is left after a failure goes with the next rewriting.
            guard case .success(let isLast) = result else { return }
            if isLast { trim() } else { delete(upTo: turn, shard: shard) }
        }
    }

    /// Gives free pages of the file back to the file system, where there are many or room is needed.
    func trim() {
        let (thread, needsRoom) = (state.withLock { $0.thread }, isOutOfRoom)
        _ = thread?.submit { database throws(StoreError) in
            try database.trim(needsRoom: needsRoom)
        } completion: { [self] result in
            if case .success(true) = result { trim() }
        }
    }
}
