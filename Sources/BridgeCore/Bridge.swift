import MQTT

/// One of the two connections of a bridge.
public enum Side: Sendable {
    case edge, upstream

    /// The route whose messages this side delivers to the bridge.
    public var incoming: Route { self == .edge ? .up : .down }
    /// The route whose messages the bridge sends to this side.
    public var outgoing: Route { self == .edge ? .down : .up }
}

/// A message as a connection delivers it.
public struct ArrivingMessage: Sendable {
    public var topic: [UInt8]
    public var payload: [UInt8]
    public var properties: MessageProperties
    public var qos: QoS
    public var retain: Bool
    /// `nil` at QoS 0, where nobody waits for an answer.
    public var delivery: Delivery?

    public init(
        topic: [UInt8], payload: [UInt8], properties: MessageProperties, qos: QoS, retain: Bool,
        delivery: Delivery?
    ) {
        self.topic = topic
        self.payload = payload
        self.properties = properties
        self.qos = qos
        self.retain = retain
        self.delivery = delivery
    }
}

/// The named limits of a bridge.
public struct BridgeLimits: Sendable, Equatable {
    public var intake = PerRoute(up: IntakeLimits(), down: IntakeLimits())
    public var forwarder = ForwarderLimits()
    /// Answers of the peer wait so long for company before they cost a commit of their own; after a
    /// crash their messages are sent again. A commit with new messages takes them along at once.
    public var acknowledgementDelay = Duration.seconds(1)
    /// So many of them do not wait.
    public var acknowledgementBatch: UInt64 = 256
    /// After a failed commit or read the store is left alone for so long.
    public var storeRetryDelay = Duration.seconds(1)

    public init() {
        // Commands are few; a flood of them must not take the store from the measurements.
        intake.down.maximumStoredBytes = 16 * 1024 * 1024
        intake.down.maximumStoredMessages = 100_000
    }
}

/// A bridge without sockets and files: two routes over one store.
///
/// Each arriving message waits for its commit, is acknowledged after it, and is sent on until the
/// other side has answered. The shell tells what happens (`received`, `connected`, `published`,
/// `committed`, `loaded`), and after each event takes what there is to do: `takeTransaction`,
/// `nextLoad`, `nextMessage`, `nextAcknowledgement`, until all are `nil`.
public struct Bridge {
    public let limits: BridgeLimits
    private let policy: TopicPolicy
    private var intakes: PerRoute<Intake>
    private var forwarders: PerRoute<Forwarder>
    /// With the store now.
    private var transaction: StoreTransaction?
    /// Batches of a transaction that failed; they come again as they were, one by one.
    private var unsaved = PerRoute<[MessageBatch]>(up: [], down: [])
    private var unsavedRefused: [RefusedMessage] = []
    /// The answers go alone first: they delete, and a full disk has no room for more before that.
    private var answersGoFirst = false
    private var retryCommitAt = MonotonicTime.zero
    private var retryLoadAt = MonotonicTime.zero
    /// What the last transaction said; what is done beyond it waits for the next.
    private var persistedThrough: PerRoute<UInt64>
    private var persistedNext: PerRoute<UInt64>
    /// The end is near: answers wait for no company.
    private var isFinishing = false
    private var acknowledgementsSince: MonotonicTime?
    private var intakeCounters = PerRoute(up: IntakeCounters(), down: IntakeCounters())
    public private(set) var refused: RefusedTotals
    /// Commits and reads that failed since the start.
    public private(set) var storeFailures = 0

    public init(
        identity: BridgeIdentity, stored: StoredState, boot: UInt64,
        limits: BridgeLimits = BridgeLimits()
    ) {
        func intake(_ route: Route) -> Intake {
            Intake(
                boot: boot, nextSequence: stored.nextSequence[route],
                storedBytes: stored.bytes[route], limits: limits.intake[route])
        }
        func forwarder(_ route: Route) -> Forwarder {
            Forwarder(
                route: route, acknowledgedThrough: stored.acknowledgedThrough[route],
                committedThrough: stored.nextSequence[route] - 1,
                stamp: FleetStamp(epoch: stored.epoch, route: route, identity: identity),
                boot: boot, limits: limits.forwarder)
        }
        self.limits = limits
        policy = TopicPolicy(identity)
        intakes = PerRoute(up: intake(.up), down: intake(.down))
        forwarders = PerRoute(up: forwarder(.up), down: forwarder(.down))
        persistedThrough = stored.acknowledgedThrough
        persistedNext = stored.nextSequence
        refused = stored.refused
    }

    // MARK: - What arrives

    /// A message from one side, for the other.
    public mutating func received(_ message: ArrivingMessage, from side: Side, now: Moment) {
        let route = side.incoming
        intakeCounters[route].received += 1
        guard policy.carries(message, on: route) else {
            intakeCounters[route].skipped += 1
            intakes[route].skip(message.delivery)
            return
        }
        if intakes[route].append(message, isFull: isFull(route), now: now) == .dropped {
            intakeCounters[route].droppedFull += 1
        }
    }

    /// True when this side must not be read until a commit has made room.
    public func isPaused(_ side: Side) -> Bool { intakes[side.incoming].isPaused }

    /// True when the store has reached a limit of the route: nothing more is acknowledged.
    public func isFull(_ route: Route) -> Bool { room(route) <= 0 || messageRoom(route) <= 0 }

    private func room(_ route: Route) -> Int {
        limits.intake[route].maximumStoredBytes - intakes[route].storedBytes
    }

    private func messageRoom(_ route: Route) -> Int {
        limits.intake[route].maximumStoredMessages - Int(clamping: forwarders[route].queueDepth)
    }

    /// The next delivery of this side to acknowledge, in the order of arrival.
    public mutating func nextAcknowledgement(_ side: Side) -> Delivery? {
        intakes[side.incoming].nextAcknowledgement()
    }

    // MARK: - Connections

    public mutating func connected(_ side: Side, _ link: LinkLimits, now: Moment) {
        intakes[side.incoming].connectionOpened()
        forwarders[side.outgoing].linkUp(link, now: now.monotonic)
    }

    /// - Returns: whether the client session must be given up for a new one (`sessionReplaced`).
    public mutating func disconnected(_ side: Side, _ end: LinkEnd, now: Moment) -> Bool {
        intakes[side.incoming].connectionClosed()
        return forwarders[side.outgoing].linkDown(end, now: now)
    }

    /// The client session of this side is a new one: what was in flight is sent again.
    public mutating func sessionReplaced(_ side: Side) {
        forwarders[side.outgoing].reset()
    }

    /// The next message to send to this side.
    public mutating func nextMessage(_ side: Side, now: Moment) -> ForwardedMessage? {
        forwarders[side.outgoing].nextMessage(now: now)
    }

    /// This side has answered for a message.
    public mutating func published(_ side: Side, token: UInt64, _ answer: Answer, now: Moment) {
        forwarders[side.outgoing].published(token: token, answer, now: now)
    }

    /// True when this side owes an answer for too long: end the connection.
    public func isStalled(_ side: Side, now: MonotonicTime) -> Bool {
        forwarders[side.outgoing].isStalled(at: now)
    }

    // MARK: - The store

    /// The next transaction, when there is one and the store is free.
    ///
    /// All that came while the last one was committed is in it. Answers alone wait a little for
    /// company. After `commitFailed` the same messages come again, the answers before them.
    public mutating func takeTransaction(now: Moment) -> StoreTransaction? {
        guard transaction == nil, now.monotonic >= retryCommitAt else { return nil }
        transaction = hasUnsaved ? nextOfUnsaved() : makeTransaction(now: now.monotonic)
        return transaction
    }

    private var hasUnsaved: Bool {
        !unsaved.up.isEmpty || !unsaved.down.isEmpty || !unsavedRefused.isEmpty
    }

    /// The answers of now, alone or with the next batch that failed: a small transaction finds room
    /// where a large one does not.
    private mutating func nextOfUnsaved() -> StoreTransaction {
        let hasAnswers = waitingAnswers > 0 || !unsavedRefused.isEmpty
        var next = StoreTransaction(
            batches: PerRoute(up: [], down: []), nextSequence: persistedNext,
            acknowledgedThrough: acknowledgedThrough, refused: unsavedRefused + takeRefused())
        unsavedRefused = []
        acknowledgementsSince = nil
        defer { answersGoFirst = false }
        if answersGoFirst && hasAnswers { return next }
        for route in Route.allCases {
            guard let batch = unsaved[route].first else { continue }
            next.batches[route] = [batch]
            next.nextSequence[route] = batch.lastSequence + 1
            break
        }
        return next
    }

    private var acknowledgedThrough: PerRoute<UInt64> {
        PerRoute(up: forwarders.up.acknowledgedThrough, down: forwarders.down.acknowledgedThrough)
    }

    private mutating func takeRefused() -> [RefusedMessage] {
        forwarders.up.takeRefused() + forwarders.down.takeRefused()
    }

    private mutating func makeTransaction(now: MonotonicTime) -> StoreTransaction? {
        var batches = PerRoute<[MessageBatch]>(up: [], down: [])
        for route in Route.allCases where intakes[route].hasPending && !isFull(route) {
            batches[route] = intakes[route].takeBatches(
                room: room(route), messages: messageRoom(route))
        }
        let hasBatches = !batches.up.isEmpty || !batches.down.isEmpty
        guard hasBatches || acknowledgementsAreDue(now: now) else { return nil }
        acknowledgementsSince = nil
        return StoreTransaction(
            batches: batches,
            nextSequence: PerRoute(up: intakes.up.nextSequence, down: intakes.down.nextSequence),
            acknowledgedThrough: acknowledgedThrough, refused: takeRefused())
    }

    /// Answers (and refusals) that no transaction has written yet.
    private var waitingAnswers: UInt64 {
        var count: UInt64 = 0
        for route in Route.allCases {
            count += forwarders[route].acknowledgedThrough - persistedThrough[route]
            count += UInt64(forwarders[route].refused.count)
        }
        return count
    }

    private mutating func acknowledgementsAreDue(now: MonotonicTime) -> Bool {
        let waiting = waitingAnswers
        guard waiting > 0 else { return false }
        let since = acknowledgementsSince ?? now
        acknowledgementsSince = since
        // What still waits for room gets it by this commit.
        let isBlocked = Route.allCases.contains { intakes[$0].hasPending }
        return isFinishing || waiting >= limits.acknowledgementBatch || isBlocked
            || now >= since + limits.acknowledgementDelay
    }

    /// The transaction is in the store, as durable as the store makes it.
    public mutating func committed(_ result: CommitResult) {
        guard let done = transaction else {
            preconditionFailure("a commit that nobody asked for")
        }
        transaction = nil
        refused = result.refused ?? refused
        persistedThrough = done.acknowledgedThrough
        persistedNext = done.nextSequence
        for route in Route.allCases {
            if !unsaved[route].isEmpty { unsaved[route].removeFirst(done.batches[route].count) }
            intakes[route].committed(done.batches[route])
            intakes[route].freed(result.freedBytes[route])
            forwarders[route].committed(done.batches[route])
            for batch in done.batches[route] {
                intakeCounters[route].stored += UInt64(batch.count)
            }
            // A commit that failed and had happened frees bytes that nobody is told of.
            if forwarders[route].committedThrough == persistedThrough[route] {
                intakes[route].storeIsEmpty()
            }
        }
    }

    /// The transaction is not in the store; nothing of it is acknowledged, and it comes again.
    public mutating func commitFailed(now: Moment) {
        guard let failed = transaction else {
            preconditionFailure("a commit that nobody asked for")
        }
        transaction = nil
        if !hasUnsaved { unsaved = failed.batches }
        unsavedRefused = failed.refused
        answersGoFirst = failed.hasMessages
        storeFailures += 1
        retryCommitAt = now.monotonic + limits.storeRetryDelay
    }

    /// The end is near: what is answered is written at once, so that it is not sent again.
    public mutating func finish() { isFinishing = true }

    /// Whether all that was taken and all that was answered is in the store.
    public var isSettled: Bool {
        transaction == nil && !hasUnsaved && waitingAnswers == 0
            && !Route.allCases.contains { intakes[$0].hasPending }
    }

    /// The next read of the store.
    public mutating func nextLoad(now: Moment) -> LoadRequest? {
        // Beside a commit that may fail again, a read would fail with it.
        guard now.monotonic >= retryLoadAt, transaction == nil || !hasUnsaved else { return nil }
        return forwarders.up.nextLoad() ?? forwarders.down.nextLoad()
    }

    public mutating func loaded(_ route: Route, _ batches: [MessageBatch]) {
        forwarders[route].loaded(batches)
    }

    public mutating func loadFailed(_ route: Route, now: Moment) {
        storeFailures += 1
        retryLoadAt = now.monotonic + limits.storeRetryDelay
        forwarders[route].loadFailed()
    }

    // MARK: - Time and figures

    /// When to ask again though nothing happened; `nil` for never.
    public func nextDeadline(now: MonotonicTime) -> MonotonicTime? {
        var deadlines = Route.allCases.compactMap { forwarders[$0].nextDeadline }
        if let since = acknowledgementsSince {
            deadlines.append(since + limits.acknowledgementDelay)
        }
        deadlines += [retryCommitAt, retryLoadAt]
        // What is due already was done, or waits for something else than time.
        return deadlines.filter { $0 > now }.min()
    }

    /// The figures of one route.
    public func figures(_ route: Route, now: Moment) -> RouteFigures {
        RouteFigures(
            intake: intakeCounters[route], forwarder: forwarders[route].counters,
            queueDepth: forwarders[route].queueDepth, queueBytes: intakes[route].storedBytes,
            inFlight: forwarders[route].inFlightCount,
            oldestAgeMilliseconds: forwarders[route].oldestAgeMilliseconds(at: now),
            isFull: isFull(route))
    }

    /// Bytes of messages in memory.
    public var bufferedBytes: Int {
        Route.allCases.reduce(0) {
            $0 + forwarders[$1].bufferedBytes + intakes[$1].pendingBytes
        }
    }

    public func checkInvariants() {
        for route in Route.allCases {
            intakes[route].checkInvariants()
            forwarders[route].checkInvariants()
            precondition(persistedThrough[route] <= forwarders[route].acknowledgedThrough)
            precondition(forwarders[route].committedThrough < intakes[route].nextSequence)
        }
    }
}
