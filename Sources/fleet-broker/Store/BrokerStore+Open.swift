import BrokerCore
import Daemon
import IO
import MQTT
import Store

extension BrokerStore {
    /// Opens the store, and has the shard go on with what it holds; `nil` where nothing is kept.
    static func open(
        _ settings: BrokerSettings, _ shard: inout BrokerShard, _ context: DaemonContext
    ) throws -> BrokerStore? {
        guard settings.broker.durability.needsStore else { return nil }
        let (loop, log) = (context.loop, context.log)
        // A large store takes its time to be read.
        context.notifier.extendTimeout(by: .seconds(300))
        var opened: OpenedTurns
        do {
            opened = try OpenedTurns.open(folder: context.state.path, log: log)
        } catch let error as StoreError {
            throw DaemonError(.unavailable, error.message, hint: error.hint)
        }
        let now = SystemClock.monotonic()
        let isSalvaged = opened.state.needsNewStore(shards: 1)
        let messages = shard.restore(&opened.state, at: now)
        if !opened.state.isEmpty {
            log.notice(
                "state restored",
                [
                    "sessions": shard.sessionCount, "retained": shard.retainedCount,
                    "messages": messages, "turns": opened.state.turns,
                ])
        }
        let store = try BrokerStore(opened, settings.store, loop: loop, log: log)
        if isSalvaged {
            shard.rewriteWhole(at: now)
            if let turn = shard.endTurn(at: now) {
                try store.handle.commitNow(turn, shard: 0)
                shard.committed(turn.number, at: now)
            }
        }
        shard.routeRestored(at: now)
        return store
    }
}
