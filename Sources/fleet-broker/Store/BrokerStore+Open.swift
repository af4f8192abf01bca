import BrokerCore
import Daemon
import IO
import MQTT
import Store

extension BrokerStore {
    /// Opens the store, and has the shards that `make` makes go on with what it holds; without a store
    /// where nothing is kept.
    static func open(
        _ settings: BrokerSettings, _ context: DaemonContext,
        _ make: (StoreHandle?) throws -> ShardGroup
    ) throws -> (store: BrokerStore?, shards: ShardGroup) {
        guard settings.broker.durability.needsStore else { return (nil, try make(nil)) }
        // A large store takes its time to be read, and to be copied before a migration.
        let progress = StartProgress(context.notifier)
        progress.advance("opening the store")
        do {
            var opened = try OpenedTurns.open(
                folder: context.state.path, log: context.log, progress: progress)
            let store = try BrokerStore(
                opened, settings.store, loop: context.loop, log: context.log)
            let shards = try make(store.handle)
            try store.restore(&opened.state, to: shards.unstarted, progress)
            return (store, shards)
        } catch let error as StoreError {
            throw DaemonError(error, otherwise: .unavailable)
        }
    }

    /// Has the shards go on with what the store held. Their threads have not been started.
    private func restore(
        _ state: inout RecoveredState, to servers: [ShardServer], _ progress: StartProgress
    ) throws(StoreError) {
        let now = SystemClock.monotonic()
        let needsNewStore = state.needsNewStore(shards: servers.count)
        var messages = 0
        for server in servers {
            messages += server.shard.restore(&state, at: now)
            progress.advance("restoring: \(messages) messages")
        }
        if !state.isEmpty { logRestored(state, servers, messages) }
        for server in servers { server.shard.routeRestored(at: now) }
        exchangeMail(servers, now)
        if needsNewStore { try writeAnew(servers, now) }
        for server in servers { server.shard.finishRestoring() }
    }

    /// Until nothing is on its way between them.
    private func exchangeMail(_ servers: [ShardServer], _ now: MonotonicTime) {
        var mail = ShardMail()
        var isQuiet = false
        while !isQuiet {
            isQuiet = true
            for sender in servers {
                for receiver in servers.indices
                where sender.shard.takeMail(for: receiver, &mail) {
                    servers[receiver].shard.receive(mail, at: now)
                    mail.removeAll()
                    isQuiet = false
                }
            }
        }
    }

    /// Puts all that the shards hold in the place of the turns that were read.
    private func writeAnew(_ servers: [ShardServer], _ now: MonotonicTime) throws(StoreError) {
        var turns: [(shard: Int, turn: Turn)] = []
        for (index, server) in servers.enumerated() {
            server.shard.rewriteWhole(at: now)
            if let turn = server.shard.endTurn(at: now) { turns.append((index, turn)) }
        }
        try handle.replaceNow(turns)
        for (shard, turn) in turns { servers[shard].shard.committed(turn.number, at: now) }
    }

    private func logRestored(
        _ state: borrowing RecoveredState, _ servers: [ShardServer], _ messages: Int
    ) {
        log.notice(
            "state restored",
            [
                "sessions": servers.reduce(0) { $0 + $1.shard.sessionCount },
                "retained": servers[0].shard.retainedCount, "messages": messages,
                "turns": state.turns,
            ])
    }
}
