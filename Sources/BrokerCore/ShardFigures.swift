import MQTT

/// A shard in numbers.
public struct ShardFigures: Sendable, Equatable {
    public var counters = BrokerCounters()
    /// Connections open, CONNECT seen or not.
    public var connections = 0
    public var connected = ConnectedClients()
    /// Sessions, connected or not.
    public var sessions = 0
    public var subscriptions = 0
    public var sharedSubscriptions = 0
    /// Retained messages, and their bytes as the limits count them. Every shard has all of them.
    public var retainedMessages = 0
    public var retainedBytes = 0
    /// What clients make all shards hold, as `limits.memory` counts it.
    public var memoryBytes = 0
    /// `limits.memory`.
    public var memoryLimit = 0
    public var survey = SessionSurvey()

    public init() {}

    init(
        counters: BrokerCounters, connections: Int, connected: ConnectedClients, sessions: Int,
        subscriptions: Int, sharedSubscriptions: Int, retainedMessages: Int, retainedBytes: Int,
        memoryBytes: Int, memoryLimit: Int
    ) {
        self.counters = counters
        self.connections = connections
        self.connected = connected
        self.sessions = sessions
        self.subscriptions = subscriptions
        self.sharedSubscriptions = sharedSubscriptions
        self.retainedMessages = retainedMessages
        self.retainedBytes = retainedBytes
        self.memoryBytes = memoryBytes
        self.memoryLimit = memoryLimit
    }

    /// Adds what another shard says.
    public static func += (sum: inout ShardFigures, other: ShardFigures) {
        sum.counters += other.counters
        sum.connections += other.connections
        sum.connected += other.connected
        sum.sessions += other.sessions
        sum.subscriptions += other.subscriptions
        sum.sharedSubscriptions += other.sharedSubscriptions
        sum.retainedMessages = max(sum.retainedMessages, other.retainedMessages)
        sum.retainedBytes = max(sum.retainedBytes, other.retainedBytes)
        sum.memoryBytes = max(sum.memoryBytes, other.memoryBytes)
        sum.memoryLimit = max(sum.memoryLimit, other.memoryLimit)
        sum.survey += other.survey
    }
}

/// What sessions hold, added up.
public struct SessionSurvey: Sendable, Equatable {
    /// Messages that wait in queues, and their bytes as the limits count them.
    public var queuedMessages = 0
    public var queuedBytes = 0
    /// QoS 1 and 2 messages that were sent and are not acknowledged.
    public var inFlight = 0
    /// Sessions in whose queue something waits.
    public var waitingSessions = 0
    /// When the oldest message that waits was taken.
    public var oldestQueued: MonotonicTime?

    public init() {}

    mutating func add(_ session: borrowing Session) {
        queuedMessages += session.queue.count
        queuedBytes += session.queuedBytes
        inFlight += session.window.count
        guard let first = session.queue.first else { return }
        waitingSessions += 1
        let time = first.message.receivedAt
        oldestQueued = oldestQueued.map { min($0, time) } ?? time
    }

    public static func += (sum: inout SessionSurvey, other: SessionSurvey) {
        sum.queuedMessages += other.queuedMessages
        sum.queuedBytes += other.queuedBytes
        sum.inFlight += other.inFlight
        sum.waitingSessions += other.waitingSessions
        if let time = other.oldestQueued {
            sum.oldestQueued = sum.oldestQueued.map { min($0, time) } ?? time
        }
    }
}
