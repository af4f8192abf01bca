import MQTT

/// What a shard takes before it refuses, drops or closes; each limit says which.
public struct BrokerLimits: Sendable, Equatable {
    /// Connections of the shard, CONNECT seen or not; the next one is closed at once.
    public var connections = 10_000
    /// Sessions, connected or not; CONNECT for another is refused (0x97 Quota exceeded).
    public var sessions = 20_000
    /// From the connection's start to a whole CONNECT; then it is closed.
    public var timeToConnect = Duration.seconds(10)
    /// Bytes that all clients together may have sent of CONNECTs that are not done, half of one or a
    /// whole one that waits for its password check; above it a connection with more than
    /// `freeConnectBytes` of them is closed.
    public var connectingBytes = 16 * 1024 * 1024
    /// Bytes of an undone CONNECT that every connection may hold: an ordinary one.
    public static let freeConnectBytes = 4 * 1024
    /// Bytes of one packet from a client; a larger one closes the connection (0x95 Packet too large).
    public var packetBytes = 1024 * 1024
    /// QoS 1 and 2 messages to one client that await its acknowledgement; more wait in the queue.
    ///
    /// So many for the full speed of one client that is a thousand messages behind its own link;
    /// as many come again with DUP when its connection breaks.
    public var inFlight = 1_000
    /// QoS 1 and 2 messages from one 5.0 client that await ours (Receive Maximum); more close the
    /// connection (0x93 Receive Maximum exceeded).
    public var receiveMaximum = 1_000
    /// Messages waiting in one session's queue; the next one is dropped and counted.
    public var queueMessages = 100_000
    /// Bytes waiting in one session's queue; what exceeds them is dropped and counted.
    public var queueBytes = 64 * 1024 * 1024
    /// Bytes that one connection's output may hold; above it QoS 0 messages to it are dropped and
    /// counted, and QoS 1 and 2 messages wait in the queue. A client that leaves twice as much unread,
    /// answers to what it asks for included, is not listened to until it has read half of it.
    public var outputBytes = 4 * 1024 * 1024
    /// Retained messages; another is routed but not kept (0x97 to a 5.0 client at QoS 1 and 2).
    public var retainedMessages = 100_000
    /// Bytes of all retained messages; another is routed but not kept.
    public var retainedBytes = 64 * 1024 * 1024
    /// Subscriptions of one session; SUBACK refuses the next (0x97 Quota exceeded).
    public var subscriptions = 1_000
    /// Levels of a topic, wildcard filters of a session.
    public var topics = TopicLimits()
    /// User properties in one packet; more close the connection.
    public var userProperties = 256

    public init() {}
}

/// How a shard behaves. What it says of durability is fixed at the shard's start.
public struct BrokerConfiguration: Sendable, Equatable {
    public var limits = BrokerLimits()
    /// The longest session expiry that a client gets; asked for more, 5.0 clients are told this.
    /// `nil`: as long as they ask.
    public var maximumSessionExpirySeconds: UInt32?
    /// How long a 3.1 or 3.1.1 session with cleanSession=0 outlives its connection; `nil`: for ever.
    public var sessionExpirySecondsBefore5: UInt32?
    /// The longest keep-alive; longer ones, and none, are lowered for 5.0 clients (Server Keep Alive).
    /// `nil`: as clients ask.
    public var maximumKeepAliveSeconds: UInt16?
    /// Whether `$share/...` means a shared subscription in 3.1 and 3.1.1 too (and is refused).
    public var sharedSubscriptionsBefore5 = false
    /// Who may publish and read what.
    public var access = AccessPolicy.open
    /// When a promise may leave: at once, or after `committed(_:)`.
    public var durability = Durability.memory

    public init() {}
}

/// When acknowledgements, and all else that promises something, may leave.
public enum Durability: Sendable, Equatable {
    /// At once; state lives and dies with the process. No change is recorded.
    case memory
    /// After the turn's changes were committed by the shell, which says so by `committed(_:)`.
    case journal
}

/// What a listener asks of those who connect through it.
public struct AccessRules: Sendable, Equatable {
    /// CONNECT without a user name is let in.
    public var allowsAnonymous: Bool
    /// CONNECT with a user name must prove its password (`BrokerAction.authenticate`). When false, any
    /// name is taken as it is.
    public var checksPasswords: Bool
    /// The user is whoever the transport has proven (`BrokerShard.identified`): a certificate or a key
    /// instead of a password.
    public var takesIdentity: Bool
    /// The listener's address as the configuration writes it, which roles may ask for.
    public var listener: String

    public init(
        allowsAnonymous: Bool, checksPasswords: Bool, takesIdentity: Bool = false,
        listener: String = ""
    ) {
        self.allowsAnonymous = allowsAnonymous
        self.checksPasswords = checksPasswords
        self.takesIdentity = takesIdentity
        self.listener = listener
    }
}
