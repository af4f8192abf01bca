import BrokerCore
import IO

/// What the store says of a turn.
struct CommitReport: Sendable {
    var turn: TurnNumber
    var epoch: Int
    var outcome: StoreHandle.Outcome
}

/// A shard's turns on their way to the store and back.
extension ShardServer {
    /// A turn that was not committed is submitted again after so long.
    private static var retryPause: Duration { .milliseconds(500) }

    func commit(_ turn: Turn) {
        pendingTurn = turn
        submit(turn)
    }

    private func submit(_ turn: Turn) {
        guard let store, let commits else {
            preconditionFailure("a shard without a store records nothing")
        }
        let epoch = storeEpoch
        store.commit(turn, shard: shard.position.index, epoch: epoch) { outcome in
            commits.send(CommitReport(turn: turn.number, epoch: epoch, outcome: outcome))
        }
    }

    func take(_ report: CommitReport) {
        guard report.epoch == storeEpoch, let turn = pendingTurn, turn.number == report.turn
        else { return }
        switch report.outcome {
        case .committed, .committedAtTheFloor:
            pendingTurn = nil
            if report.outcome == .committedAtTheFloor { shard.setStoreRoom(false, at: loop.now) }
            shard.committed(turn.number, at: loop.now)
        case .failed:
            loop.schedule(after: Self.retryPause) { [weak self] in self?.submitAgain(report) }
        }
    }

    private func submitAgain(_ report: CommitReport) {
        guard report.epoch == storeEpoch, let turn = pendingTurn, turn.number == report.turn
        else { return }
        submit(turn)
    }

    /// The store is a new and empty one.
    func storeWasReplaced() {
        storeEpoch += 1
        pendingTurn = nil
        shard.rewriteWhole(at: loop.now)
    }

    /// Calls `done` when everything is committed.
    func drain(_ done: @escaping () -> Void) {
        shard.hurry()
        drained = done
    }
}
