import BrokerCore
import Daemon
import IO
import MQTT
import TLS

/// The broker's process: listeners, password checks and the shard's server.
final class BrokerServer {
    let log: Log
    private let loop: EventLoop
    private var settings: BrokerSettings
    private let shard: ShardServer
    private let passwords: PasswordChecker
    private var listeners: [ServerListener] = []

    init(_ settings: BrokerSettings, loop: EventLoop, log: Log) throws(DaemonError) {
        self.settings = settings
        self.loop = loop
        self.log = log
        let passwords = PasswordChecker(
            try settings.readUsers(), loop: loop, log: log, waitingLimit: settings.passwordChecks)
        self.passwords = passwords
        shard = ShardServer(
            BrokerShard(configuration: settings.broker, seed: SystemRandom.number()),
            loop: loop, log: log
        ) { user, password, peer, completion in
            passwords.check(user: user, password: password, from: peer, completion)
        }
    }

    /// Opens the listeners; when it returns, clients can connect.
    func start() throws(DaemonError) {
        listeners = try ServerListener.open(settings)
        allowDescriptors(for: settings.broker.limits.connections)
        for listener in listeners {
            do throws(IOError) {
                try listener.socket.start(
                    on: loop,
                    trouble: { [log] error in log.error("cannot accept", ["error": error]) },
                    accept: { [shard] socket, peer in shard.accept(socket, peer, listener) })
            } catch {
                throw DaemonError(.unavailable, "\(error)")
            }
            log.notice(
                "listening",
                ["address": listener.socket.address, "tls": listener.context != nil])
        }
    }

    /// Takes over users, rules, limits and certificates; connections stay, but for those of users who are
    /// gone or have another password.
    func reload(_ settings: BrokerSettings) throws(DaemonError) {
        let users = try settings.readUsers()
        let contexts = try listeners.map { listener throws(DaemonError) in
            try listener.makeContext()
        }
        // Nothing has changed so far: a bad file leaves everything as it was.
        let changes = passwords.users?.changes(to: users) ?? (removed: [], changed: [])
        passwords.replaceUsers(users)
        shard.reconfigure(settings.broker, removed: changes.removed, changed: changes.changed)
        self.settings = settings
        for (listener, context) in zip(listeners, contexts) { listener.context = context }
    }

    /// One descriptor for each connection, and some for files and the loop.
    private func allowDescriptors(for connections: Int) {
        let allowed = DescriptorLimit.raise(to: connections + 64)
        guard allowed < connections + 64 else { return }
        log.warning(
            "fewer descriptors than limits.connections; others are closed as they come",
            ["descriptors": allowed, "connections": connections, "hint": "LimitNOFILE="])
    }

    /// Says goodbye to all clients and calls `done` when they are gone, or have had their time.
    func stop(_ done: @escaping () -> Void) {
        for listener in listeners { listener.socket.stop() }
        shard.stop(done)
    }
}

// MARK: - Asking the shards

extension BrokerServer {
    /// Runs `work` with every shard, each on its own loop, then `finish` on this loop with what each
    /// answered, in the order of the shards.
    ///
    /// With one shard that is at once, before this call returns.
    func onEveryShard<Answer: Sendable>(
        _ work: @escaping @Sendable (ShardServer) -> Answer,
        then finish: @escaping ([Answer]) -> Void
    ) {
        finish([work(shard)])
    }
}
