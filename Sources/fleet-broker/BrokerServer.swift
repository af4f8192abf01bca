import BrokerCore
import Daemon
import IO
import MQTT
import TLS

/// The broker's process: listeners, password checks and the servers of its shards.
final class BrokerServer {
    let log: Log
    private let loop: EventLoop
    private var settings: BrokerSettings
    let shards: ShardGroup
    private let passwords: PasswordChecker
    private let saltSecret: SaltSecret
    let store: BrokerStore?
    /// Told on the main loop.
    var onStoreChange: () -> Void = {}
    let gate: SharedGate
    private let memory: MemoryKeeper
    /// In the order of the configuration.
    var listeners: [ServerListener] = []
    /// Nothing was configured, and it listens on loopback.
    var listensByDefault: Bool

    init(_ settings: BrokerSettings, context: DaemonContext) throws {
        let (loop, log) = (context.loop, context.log)
        self.settings = settings
        self.loop = loop
        self.log = log
        let saltSecret = SaltSecret(folder: context.state.path, log: log)
        self.saltSecret = saltSecret
        let passwords = PasswordChecker(
            try settings.readUsers(secret: saltSecret.load), loop: loop, log: log,
            waitingLimit: settings.passwordChecks)
        self.passwords = passwords
        listensByDefault = settings.listeners.isEmpty
        memory = MemoryKeeper(loop: loop)
        gate = SharedGate(AddressGate(settings.gate, loopback: settings.loopbackGate))
        var configuration = settings.broker
        configuration.limits.connections = Self.allowDescriptors(
            for: configuration.limits.connections, log)
        let check: ShardServer.Authenticate = { user, password, peer, completion in
            passwords.check(user: user, password: password, from: peer, completion)
        }
        let find: ShardServer.FindVerifier = { user, completion in
            completion(passwords.users?.exchangeVerifier(of: user))
        }
        (store, shards) = try BrokerStore.open(settings, context) { [configuration] store in
            let board = ShardBoard(
                shards: settings.threads, seed: SystemRandom.number(),
                limits: configuration.limits.topics)
            return try ShardGroup(
                settings.threads, on: loop, mailLimit: configuration.limits.exchangeBytes
            ) { position, own in
                ShardServer(
                    BrokerShard(
                        configuration: configuration, seed: SystemRandom.number(),
                        position: position, board: board),
                    store: store, loop: own, log: log,
                    handshakesPerTurn: settings.handshakesPerTurn,
                    authenticate: own === loop ? check : Self.asking(loop, check, from: own),
                    findVerifier: own === loop ? find : Self.asking(loop, find, from: own))
            }
        }
        context.whenAlive = { [shards] alive in
            shards.onEvery({ _ in true }, then: { _ in alive() })
        }
    }

    /// `find` for a shard with another loop.
    private static func asking(
        _ loop: EventLoop, _ find: @escaping ShardServer.FindVerifier, from own: EventLoop
    ) -> ShardServer.FindVerifier {
        let find = LoopBound(find, on: loop)
        return { user, completion in
            let completion = LoopBound(completion, on: own)
            find.run { find in
                find(user) { verifier in completion.run { $0(verifier) } }
            }
        }
    }

    /// `check` for a shard with another loop: it runs on `loop`, and its result comes back to `own`.
    private static func asking(
        _ loop: EventLoop, _ check: @escaping ShardServer.Authenticate, from own: EventLoop
    ) -> ShardServer.Authenticate {
        let check = LoopBound(check, on: loop)
        return { user, password, peer, completion in
            let completion = LoopBound(completion, on: own)
            check.run { check in
                check(user, password, peer) { result in completion.run { $0(result) } }
            }
        }
    }

    private func followStore() {
        store?.onStateChange = { [weak self, shards] state in
            let hasRoom = state != .full
            shards.onEvery {
                $0.shard.setStoreRoom(hasRoom, at: $0.loop.now)
            } then: { _ in
            }
            self?.onStoreChange()
        }
        store?.onReplaced = { [weak self, shards] in
            shards.onEvery {
                $0.storeWasReplaced()
            } then: { _ in
            }
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
        try shards.start()
        for listener in listeners { try start(listener) }
    }

    func start(_ listener: ServerListener) throws(DaemonError) {
        do throws(IOError) {
            let terms = listener.terms
            try listener.socket.start(
                on: loop,
                trouble: { [log] error in log.error("cannot accept", ["error": error]) },
                accept: { [shards, memory] socket, peer in
                    memory.noteConnection()
                    shards.first.accept(socket, peer, terms)
                })
        } catch {
            throw DaemonError(.unavailable, "\(error)")
        }
        warnOfAddress(listener)
        let (address, settings) = (listener.socket.address, listener.terms.settings)
        if settings.name.isEmpty {
            log.notice("listening", ["address": address, "protocol": settings.scheme])
        } else {
            log.notice(
                "listening",
                ["address": address, "protocol": settings.scheme, "name": settings.name])
        }
    }

    /// A network that comes up late, or with another address, keeps no client of another listener away.
    private func warnOfAddress(_ listener: ServerListener) {
        guard listener.socket.awaitsAddress else { return }
        log.warning(
            "this machine does not have the address of a listener, which serves once it does",
            ["address": listener.socket.address])
    }

    /// Takes over users, rules, limits, certificates and listeners; connections stay, but for those of users
    /// who are gone or have another password.
    func reload(_ settings: BrokerSettings) throws(DaemonError) {
        let users = try settings.readUsers(secret: saltSecret.load)
        let change = try prepareListeners(settings)
        // Nothing has changed so far: a bad file leaves everything as it was.
        let changes = passwords.users?.changes(to: users) ?? (removed: [], changed: [])
        passwords.replaceUsers(users)
        var broker = settings.broker
        broker.limits.connections = Self.allowDescriptors(for: broker.limits.connections, log)
        let handshakes = settings.handshakesPerTurn
        onEveryShard { [broker] shard in
            shard.reconfigure(broker, removed: changes.removed, changed: changes.changed)
            shard.handshakesPerTurn = handshakes
        } then: { _ in
        }
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
        let store = store
        shards.stop {
            guard let store else { return done() }
            store.stop(done)
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
        shards.onEvery(work, then: finish)
    }
}
