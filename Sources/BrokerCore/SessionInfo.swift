import MQTT

/// One session as an operator sees it.
public struct SessionInfo: Sendable {
    public var clientID: [UInt8]
    /// Whose password opened it.
    public var user: [UInt8]?
    /// `nil` while its client is away.
    public var connection: ConnectionInfo?
    /// Seconds that it outlives its connection; `nil`: for ever.
    public var expirySeconds: UInt32?
    /// When it ends, if its client stays away.
    public var expiresAt: MonotonicTime?
    public var subscriptions: Int
    public var queuedMessages: Int
    /// As `limits.queue_size` counts them.
    public var queuedBytes: Int
    /// QoS 1 and 2 messages that were sent and are not acknowledged.
    public var inFlight: Int
    /// QoS 2 messages that came in and were not released.
    public var incoming: Int
    public var hasWill: Bool
    /// Messages that its queue had no room for.
    public var droppedMessages: UInt64
    /// When the oldest message that waits was taken.
    public var oldestQueued: MonotonicTime?
}

/// The connection of a session.
public struct ConnectionInfo: Sendable {
    public var id: ConnectionID
    public var version: ProtocolVersion
    public var keepAliveSeconds: UInt16
    public var connectedAt: MonotonicTime
    public var lastReceived: MonotonicTime
    /// Bytes that wait for the client to read.
    public var waitingBytes: Int
    /// A bridge of Mosquitto.
    public var isBridge: Bool
    /// Messages that its output had no room for, or that were too large for the client.
    public var droppedMessages: UInt64
}

/// One message as an operator sees it.
public struct MessageInfo: Sendable {
    public var topic: [UInt8]
    public var payload: [UInt8]
    public var qos: QoS
    public var retain: Bool
    /// How long the shard has had it.
    public var age: Duration
    /// Seconds that remain of its expiry interval; `nil` without one.
    public var expirySeconds: UInt32?

    init(_ message: Message, qos: QoS, retain: Bool, at now: MonotonicTime) {
        topic = message.topic
        payload = Array(message.body[message.payloadStart...])
        self.qos = qos
        self.retain = retain
        age = now - message.receivedAt
        expirySeconds = message.hasExpiry ? message.remainingExpiry(at: now) ?? 0 : nil
    }
}
