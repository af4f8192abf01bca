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
    let store: BrokerStore?
    /// Told on the main loop.
    var onStoreChange: () -> Void = {}
    let gate: SharedGate
    /// In the order of the configuration.
    var listeners: [ServerListener] = []
    /// Nothing was configured, and it listens on loopback.
    var listensByDefault: Bool

    init(_ settings: BrokerSettings, context: DaemonContext) throws {
        let (loop, log) = (context.loop, context.log)
        self.settings = settings
        self.loop = loop
        self.log = log
        let passwords = PasswordChecker(
            try settings.readUsers(), loop: loop, log: log, waitingLimit: settings.passwordChecks)
        self.passwords = passwords
        listensByDefault = settings.listeners.isEmpty
        gate = SharedGate(AddressGate(settings.gate, loopback: settings.loopbackGate))
        var configuration = settings.broker
        configuration.limits.connections = Self.allowDescriptors(
            for: configuration.limits.connections, log)
        var core = BrokerShard(configuration: configuration, seed: SystemRandom.number())
        store = try BrokerStore.open(settings, &core, context)
        shard = ShardServer(
            core, store: store?.handle, loop: loop, log: log,
            handshakesPerTurn: settings.handshakesPerTurn
        ) { user, password, peer, completion in
            passwords.check(user: user, password: password, from: peer, completion)
        }
    }

    private func followStore() {
        store?.onStateChange = { [weak self, shard, loop] state in
            shard.shard.setStoreRoom(state != .full, at: loop.now)
            self?.onStoreChange()
        }
        store?.onReplaced = { [weak self, shard] in
            shard.storeWasReplaced()
            self?.onStoreChange()
        }
    }

    /// Opens the listeners; when it returns, clients can connect.
    func start() throws(DaemonError) {
        followStore()
        listeners =
            settings.listeners.isEmpty
            ? try ServerListener.openLoopback(settings, gate: gate)
            : try settings.listeners.map { listener throws(DaemonError) in
                try ServerListener.open(listener, settings, gate: gate)
            }
        for listener in listeners { try start(listener) }
    }

    func start(_ listener: ServerListener) throws(DaemonError) {
        do throws(IOError) {
            let terms = listener.terms
            try listener.socket.start(
                on: loop,
                trouble: { [log] error in log.error("cannot accept", ["error": error]) },
                accept: { [shard] socket, peer in shard.accept(socket, peer, terms) })
        } catch {
            throw DaemonError(.unavailable, "\(error)")
        }
        log.notice(
            "listening",
            [
                "address": listener.socket.address, "protocol": listener.terms.settings.scheme,
                "name": listener.terms.settings.name,
            ])
    }

    /// Takes over users, rules, limits, certificates and listeners; connections stay, but for those of users
    /// who are gone or have another password.
    func reload(_ settings: BrokerSettings) throws(DaemonError) {
        let users = try settings.readUsers()
        let change = try prepareListeners(settings)
        // Nothing has changed so far: a bad file leaves everything as it was.
        let changes = passwords.users?.changes(to: users) ?? (removed: [], changed: [])
        passwords.replaceUsers(users)
        var broker = settings.broker
        broker.limits.connections = Self.allowDescriptors(for: broker.limits.connections, log)
        shard.reconfigure(broker, removed: changes.removed, changed: changes.changed)
        shard.handshakesPerTurn = settings.handshakesPerTurn
        gate.change(settings.gate, loopback: settings.loopbackGate)
        self.settings = settings
        apply(change)
    }

    /// One descriptor for each connection, and a reserve for files, sockets and the loop. Where the system
    /// allows fewer, there are fewer connections, so that the store, the log and a reload find one to the end.
    private static func allowDescriptors(for connections: Int, _ log: Log) -> Int {
        let wanted = connections + descriptorReserve
        let allowed = DescriptorLimit.raise(to: wanted)
        guard allowed < wanted else { return connections }
        let possible = max(1, allowed - min(descriptorReserve, allowed / 2))
        log.warning(
            "fewer descriptors than limits.connections asks for; there are fewer connections",
            ["descriptors": allowed, "connections": possible, "hint": "LimitNOFILE="])
        return possible
    }

    /// Descriptors that connections do not take.
    private static let descriptorReserve = 64

    /// Says goodbye to all clients and calls `done` when they are gone, or have had their time.
    func stop(_ done: @escaping () -> Void) {
        for listener in listeners { listener.socket.stop() }
        // They close, and the paths of Unix sockets go.
        listeners = []
        shard.stop { [shard, store] in
            guard let store else { return done() }
            shard.drain { store.stop(done) }
        }
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
