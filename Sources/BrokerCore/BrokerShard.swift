import MQTT

/// The broker without sockets, clock or randomness: bytes and the time come in, bytes and actions go out.
///
/// A shard holds the sessions whose client identifiers hash to it, with their connections and
/// subscriptions, and its own copy of the retained messages. It shares nothing with other shards;
/// values cross (`ShardValue`). After each turn of the event loop the shell takes what it left:
/// `endTurn`, `nextAction`, `nextDirty` and `flush`.
public struct BrokerShard: ~Copyable {
    public internal(set) var configuration: BrokerConfiguration
    /// Which shard this is, and of how many.
    public let position: ShardPosition
    /// What it and the other shards see of each other.
    let board: ShardBoard
    public internal(set) var counters = BrokerCounters()

    var connections = Slab<Connection>()
    var listenerNames = ListenerNames()
    var sessions = Slab<Session>()
    var sessionsByClientID: [[UInt8]: UInt32] = [:]
    var subscriptions: SubscriptionTree
    /// Members that were chosen for a message; empty between two.
    var shareChoices: [ShareChoice] = []
    var retained: RetainedTree<Message>
    var deadlines = Deadlines()
    var journal: Journal
    var durabilities: DurabilityMap
    /// While what is live is written anew.
    var rewrite: Rewrite?
    /// Messages that must be kept are refused.
    var isStoreTight = false
    /// A deadline is set at which room is looked for.
    var watchesRoom = false
    /// How much of `limits.memory` is used.
    var memory: MemoryUse
    /// Counts this shard's messages.
    let meter: MemoryMeter
    /// Publishers that are not read until there is room, or until more is committed.
    var waiting = RingQueue<ConnectionID>()
    /// Clients to be disconnected at the end of the turn, for their full queues.
    var overdue = RingQueue<ConnectionID>()
    /// The number of the next session in the journal.
    var nextSessionNumber: UInt64 = 1
    /// QoS 2 messages that are routed once their turn is committed.
    var heldMessages = RingQueue<HeldMessage>()
    /// Connections that wait for a turn, each once for each gate.
    var gated = RingQueue<GatedConnection>()
    /// A topic that clients may publish to, by all rules that do not depend on the client.
    var takenTopic = RepeatedTopic()
    var matches = MatchBuffer()
    /// What `matches` are of.
    var matchedTopic = RepeatedTopic()
    /// The client whose packets are taken has acknowledged something, and more waits for it.
    var mustPump = false
    /// Room for a message whose topic came as an alias.
    var aliasArena: [UInt8] = []
    let topicTagger: TopicTagger
    /// Clients that are connected, by version.
    var connected = ConnectedClients()
    /// What the server keeps retained below `$SYS`: not a user's, and never in a store.
    var serversRetained: RetainedTree<Message>
    /// The rules of the listeners that clients came through last.
    var sharedRules: [SharedRules] = []
    /// By the connection's index, as far as clients have a limit.
    var publishRates: [PublishRate] = []
    /// By shard: what this turn has for it.
    var outboxes: [ShardMail] = []
    let others: ShardSet
    /// The topic that was asked for last in the board's table, and who may want it.
    var soughtTopic = RepeatedTopic()
    var soughtShards = ShardSet.none
    /// Those of them that may keep it.
    var soughtKeepers = ShardSet.none
    /// Shards that are behind with what they were sent.
    var crowded = ShardSet.none
    /// Clients that are not read until none is.
    var awaitingShards = RingQueue<ConnectionID>()
    var retainedStamps: RetainedStamps?
    /// Topics whose retained messages a session got before its look-up came to them, by the session.
    var overtaken: [UInt32: Set<[UInt8]>] = [:]
    /// What the board counts of this shard.
    var toldConnections = 0
    var toldSessions = 0
    var toldLiveBytes = 0
    /// What it and the others owe each other.
    var exchange: ShardExchange
    /// Where sessions that outlive their connections have subscriptions, so that messages are kept.
    var keptInterest: OwnInterest?
    /// While what a store held is routed.
    var restored: RestoredShard?
    /// The sum of all `Connection.countedBytes`.
    var connectingBytes = 0
    /// When expired retained messages are looked for next.
    var nextSweep = MonotonicTime.distantFuture
    var wireLimits: WireLimits

    var actions = RingQueue<BrokerAction>()
    /// Connections that have something to write.
    var dirty = RingQueue<UInt32>()

    struct HeldMessage {
        var turn: TurnNumber
        /// Orders and names it, among all that the shard ever held.
        var serial: UInt64
        /// The number of the publisher's session, and where that is.
        var session: UInt64
        var publisher: SessionID?
        var message: Message
        /// Where it was held when a store kept it.
        var origin: HeldOrigin
    }

    struct GatedConnection {
        var turn: TurnNumber
        var connection: ConnectionID
    }

    /// An empty shard.
    ///
    /// - Parameter seed: secret and random, so that nobody can choose topics that collide.
    public init(
        configuration: BrokerConfiguration, seed: UInt64,
        position: ShardPosition = .only, board: ShardBoard? = nil
    ) {
        self.configuration = configuration
        self.position = position
        self.board =
            board
            ?? ShardBoard(
                shards: position.count, seed: seed, limits: configuration.limits.topics)
        memory = MemoryUse(configuration.limits)
        meter = self.board.meter(of: position)
        others = ShardSet(allBut: position)
        journal = Journal(
            isRecording: configuration.durability.needsStore,
            limits: configuration.journal.share(of: position.count))
        exchange = ShardExchange(shards: position.count)
        durabilities = DurabilityMap(configuration.durability, seed: seed)
        if let keeping = self.board.keeping, journal.isRecording {
            keptInterest = OwnInterest(of: position.index, in: keeping)
        }
        if let interest = self.board.interest {
            outboxes = Array(repeating: ShardMail(), count: position.count)
            retainedStamps = RetainedStamps(
                seed: seed, removalLimit: max(1_000, configuration.limits.retainedMessages))
            subscriptions = SubscriptionTree(
                seed: seed, limits: configuration.limits.topics,
                interest: OwnInterest(of: position.index, in: interest))
        } else {
            subscriptions = SubscriptionTree(seed: seed, limits: configuration.limits.topics)
        }
        retained = RetainedTree(seed: seed)
        serversRetained = RetainedTree(seed: seed)
        topicTagger = TopicTagger(seed: seed)
        wireLimits = Self.wireLimits(configuration.limits)
    }

    public var connectionCount: Int { connections.count }
    public var sessionCount: Int { sessions.count }
    public var subscriptionCount: Int { subscriptions.count + sharedSubscriptionCount }
    public var sharedSubscriptionCount: Int {
        let shard = position.index
        return board.hasShares ? board.withShares { $0.count(of: shard) } : 0
    }
    public var retainedCount: Int { retained.count }
}

// MARK: - A connection's life, as the shell sees it

extension BrokerShard {
    /// A transport was accepted; `nil` when the shard has no room for it: close it.
    ///
    /// - Parameter nonce: random bits.
    public mutating func opened(
        rules: AccessRules, nonce: UInt64, at now: MonotonicTime
    ) -> ConnectionID? {
        guard totalConnections < configuration.limits.connections else {
            counters.connectionsRefused += 1
            return nil
        }
        counters.connectionsOpened += 1
        let key = connections.insert(
            Connection(
                rules: share(rules), nonce: nonce, limits: wireLimits(for: rules),
                now: now))
        forgetRate(key.index)
        setConnectionDeadline(key.index, now + configuration.limits.timeToConnect)
        return ConnectionID(key)
    }

    /// Bytes came. They are used in place; a part of a packet is kept.
    public mutating func received(
        _ bytes: Span<UInt8>, on id: ConnectionID, at now: MonotonicTime
    ) {
        guard connections.contains(id.key) else { return }
        let c = id.index
        counters.bytesReceived &+= UInt64(bytes.count)
        if connections[c].phase == .closing { return }
        // A large read without the end of a packet shows a client that lives: a large packet on a slow
        // link may take longer than its keep-alive.
        if bytes.count >= Self.livelyRead { connections[c].lastReceived = now }
        if connections[c].holdsInput {
            // The shell was asked to stop reading; what was on its way is kept, one read at most.
            connections[c].input.append(bytes)
        } else if !connections[c].hasInput {
            let used = takePackets(bytes, c, now)
            if used < bytes.count && connections[c].phase != .closing {
                connections[c].input.append(bytes.extracting(used..<bytes.count))
            }
        } else {
            connections[c].input.append(bytes)
            takeInput(c, now)
        }
        if connections[c].hasInput || connections[c].countedBuffers > 0 { checkInput(c, now) }
        if connections[c].phase != .connected || connections[c].countedBytes > 0 {
            countConnecting(c, now)
        } else if connections[c].output.count >= 2 * memory.outputLimit {
            // It asks, and reads no answers.
            pauseReading(c)
        }
    }

    private static var livelyRead: Int { 1024 }

    /// Counts what the input holds of an undone CONNECT; with too much of it in all, a large one goes.
    mutating func countConnecting(_ c: UInt32, _ now: MonotonicTime) {
        let phase = connections[c].phase
        let held =
            phase == .connected || phase == .closing
            ? 0 : connections[c].heldConnectBytes
        connectingBytes += held - connections[c].countedBytes
        connections[c].countedBytes = held
        if phase == .connected && held == 0 { connections[c].settle() }
        guard held > BrokerLimits.freeConnectBytes,
            connectingBytes > configuration.limits.connectingBytes
        else { return }
        end(
            c,
            .fault(
                .quotaExceeded, clause: "limits.connecting_size",
                detail: "too many bytes of clients that are not connected yet"), now)
    }

    /// Decodes what lies in the connection's input, which is out of its place meanwhile.
    mutating func takeInput(_ c: UInt32, _ now: MonotonicTime) {
        // It may wait for more than one thing.
        guard !connections[c].holdsInput, connections[c].hasInput else { return }
        var input = ByteBuffer()
        swap(&input, &connections[c].input)
        let used = input.withSpan { takePackets($0, c, now) }
        guard connections[c].phase != .closing else { return }
        input.consume(used)
        if !input.isEmpty { swap(&input, &connections[c].input) }
    }

    /// What the check of a password said; goes on with the CONNECT that asked for it.
    public mutating func authenticated(
        _ id: ConnectionID, result: AuthenticationResult, at now: MonotonicTime
    ) {
        guard connections.contains(id.key) else { return }
        let c = id.index
        guard connections[c].phase == .authenticating else { return }
        switch result {
        case .accepted:
            connections[c].phase = .authenticated
            resumeReading(c)
            takeInput(c, now)
            countConnecting(c, now)
        case .wrong:
            refuse(
                c, .badUserNameOrPassword, "MQTT-3.1.4-2", "user name or password is wrong", now)
        case .busy:
            refuse(
                c, .serverBusy, "limits.password_checks", "too many password checks are waiting",
                now)
        }
    }

    /// The transport is gone: the peer closed it, the network failed, or `close` was done.
    public mutating func closed(
        _ id: ConnectionID, _ cause: DisconnectCause = .connectionClosed, at now: MonotonicTime
    ) {
        guard connections.contains(id.key) else { return }
        end(id.index, cause, now)
        counters.connectionsClosed += 1
        forgetBuffers(id.index)
        _ = connections.remove(id.index)
        tellCounts()
    }

    /// Tells all 5.0 clients that the server goes, and closes every connection.
    public mutating func shutDown(at now: MonotonicTime) {
        for c in 0..<connections.slotCount where connections.isOccupied(c) {
            if connections[c].phase == .connected {
                sendDisconnect(c, .serverShuttingDown, "the server shuts down")
            }
            end(c, .shuttingDown, now)
        }
    }
}
