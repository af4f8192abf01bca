import MQTT

/// What a shard takes before it refuses, drops or closes; each limit says which.
public struct BrokerLimits: Sendable, Equatable {
    /// Connections of all shards, CONNECT seen or not; the next one is closed at once.
    public var connections = 10_000
    /// Sessions of all shards, connected or not; CONNECT for another is refused (0x97 Quota exceeded).
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
    /// PUBLISH packets a second of one client, in the long run, a second's worth at once; 0: as many as come.
    /// A client that is faster is not read for a while.
    public var publishRate = 0
    /// Bytes of PUBLISH packets a second of one client, likewise.
    public var publishBytesPerSecond = 0
    /// QoS 1 and 2 messages to one client that await its acknowledgement; more wait in the queue.
    ///
    /// So many for the full speed of one client that is a thousand messages behind its own link;
    /// as many come again with DUP when its connection breaks.
    public var inFlight = 4_000
    /// QoS 1 and 2 messages from one 5.0 client that await ours (Receive Maximum); more close the
    /// connection (0x93 Receive Maximum exceeded).
    public var receiveMaximum = 1_000
    /// Messages waiting in one session's queue; what exceeds them is dropped and counted.
    public var queueMessages = 100_000
    /// Bytes waiting in one session's queue; what exceeds them is dropped and counted.
    public var queueBytes = 64 * 1024 * 1024
    /// Which message a full queue drops.
    public var queuePolicy = QueuePolicy.newest
    /// Bytes that one connection's output may hold; above it QoS 0 messages to it are dropped and
    /// counted, and QoS 1 and 2 messages wait in the queue. A client that leaves twice as much unread,
    /// answers to what it asks for included, is not listened to until it has read half of it.
    public var outputBytes = 4 * 1024 * 1024
    /// Bytes that all clients together make the broker hold: messages that wait, are in flight or are
    /// retained, each once, and what lies in outputs and inputs. As less of them is free, an output and a
    /// queue may hold less; near the end, publishers are refused (0x97) whose messages would have to be held.
    public var memoryBytes = Int.max
    /// Retained messages; another is routed but not kept (0x97 to a 5.0 client at QoS 1 and 2).
    public var retainedMessages = 100_000
    /// Bytes of all retained messages; another is routed but not kept.
    public var retainedBytes = 64 * 1024 * 1024
    /// Subscriptions of one session; SUBACK refuses the next (0x97 Quota exceeded).
    public var subscriptions = 1_000
    /// Levels of a topic, wildcard filters of a session.
    public var topics = TopicLimits()
    /// How long a 3.x publisher of messages that must be kept waits, unread, while the store has no room;
    /// then it is closed.
    public var storePatience = Duration.seconds(20)
    /// Bytes that wait for one shard from the others; above it, clients that publish for it are not
    /// listened to until it has read half of them.
    public var exchangeBytes = 16 * 1024 * 1024
    /// Topic aliases of one connection, in each direction: as many a 5.0 client may give (Topic Alias
    /// Maximum; above it 0x94), and as many it is given, at most. 0: none.
    public var topicAliases = 32
    /// Bytes of the topics behind them, in each direction; a client that exceeds them is closed (0x97
    /// Quota exceeded), and is given no further alias.
    public var topicAliasBytes = 16 * 1024
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
    /// Whether `$share/...` means a shared subscription in 3.1 and 3.1.1 too.
    public var sharedSubscriptionsBefore5 = false
    /// Who may publish and read what.
    public var access = AccessPolicy.open
    /// What 5.0 clients that ask for it are told to make response topics of; `nil`: nothing.
    public var responseInformation: ResponseInformation?
    /// Where clients are sent instead of being served.
    public var redirection: Redirection?
    /// Whether SUBACK says 0x80 (Unspecified error) in place of 0x87 (Not authorized) to 5.0 clients, and no
    /// reason: who may not subscribe does not learn that a rule says so.
    public var concealsRefusals = false
    /// Whether what a member of a shared subscription has not acknowledged goes to another member as soon
    /// as its connection ends; else when its session does.
    public var redistributesOnDisconnect = false
    /// What promises withstand, by topic. Those of `memory` leave at once, others after `committed(_:)`.
    public var durability = DurabilityRules(.memory)
    public var journal = JournalLimits()
    /// Sessions whose messages are never dropped for lack of room; their publishers are refused instead.
    public var reserved: [ReservedSession] = []

    public init() {}
}

/// Which message goes when a session's queue is full; each is counted.
public enum QueuePolicy: String, Sendable, CaseIterable {
    /// The one that arrives.
    case newest
    /// The one that has waited longest.
    case oldest
    /// The one that arrives, and a client that is connected and that slow is disconnected.
    case disconnect
}

/// Names sessions that are reserved, a bridge's for one: by client identifier, which may end with `*`, or
/// by user.
public struct ReservedSession: Sendable, Equatable {
    public var clientID: [UInt8]?
    public var user: [UInt8]?

    public init(clientID: [UInt8]? = nil, user: [UInt8]? = nil) {
        self.clientID = clientID
        self.user = user
    }

    func names(clientID: [UInt8], user: [UInt8]?) -> Bool {
        if let wanted = self.user, wanted != user { return false }
        guard let pattern = self.clientID else { return self.user != nil }
        guard pattern.last == UInt8(ascii: "*") else { return pattern == clientID }
        return clientID.starts(with: pattern.dropLast())
    }
}

/// The rules of one listener, once for all its connections.
final class SharedRules: Sendable {
    let value: AccessRules

    init(_ value: AccessRules) { self.value = value }
}

extension BrokerShard {
    /// As many are remembered; connections keep those that they have.
    private static var rememberedRules: Int { 64 }

    /// The object for `rules` that connections share.
    mutating func share(_ rules: AccessRules) -> SharedRules {
        if let known = sharedRules.first(where: { $0.value == rules }) { return known }
        if sharedRules.count == Self.rememberedRules { sharedRules.removeFirst() }
        let shared = SharedRules(rules)
        sharedRules.append(shared)
        return shared
    }
}

/// What a listener asks of those who connect through it, and what it offers them.
public struct AccessRules: Sendable, Equatable {
    /// CONNECT without a user name is let in.
    public var allowsAnonymous: Bool
    /// CONNECT with a user name must prove its password (`BrokerAction.authenticate`). When false, any
    /// name is taken as it is.
    public var checksPasswords: Bool
    /// The user is whoever the transport has proven (`BrokerShard.identified`): a certificate or a key
    /// instead of a password.
    public var takesIdentity: Bool
    /// What CONNECT may name as its authentication method.
    public var authenticationMethods: [[UInt8]] = []
    /// The highest QoS that a client may publish at, and is granted.
    public var maximumQoS = QoS.exactlyOnce
    /// Whether a client may publish messages that are to be retained.
    public var isRetainAvailable = true
    /// Bytes of one packet, in place of `BrokerLimits.packetBytes`.
    public var packetBytes: Int?
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
