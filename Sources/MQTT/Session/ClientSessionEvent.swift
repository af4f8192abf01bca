/// What a client session tells its application.
public enum ClientSessionEvent: Sendable {
    /// The server took the connection.
    case connected(ConnectResult)
    /// A message came. One with a `delivery` has to be acknowledged.
    case message(ReceivedMessage)
    /// A published message is done, well or not.
    case published(PublishOutcome)
    /// The server answered a subscription; one reason code for each filter, in order. Comes again
    /// whenever the subscription is renewed after the server lost the session.
    case subscribed(token: UInt64, reasonCodes: [ReasonCode])
    /// The server ended a subscription; one reason code for each filter, in order.
    case unsubscribed(token: UInt64, reasonCodes: [ReasonCode])
    /// The connection is over: write what `output` holds, then close the transport.
    case closed(SessionEnd)
}

/// What the server said when it took the connection.
public struct ConnectResult: Hashable, Sendable {
    /// Whether the server still had the session.
    public var sessionPresent: Bool
    /// The version spoken.
    public var version: ProtocolVersion
    /// The client identifier in use: ours, or the one that the server assigned.
    public var clientID: [UInt8]
    public var server: ServerCapabilities
    /// Seconds that the server keeps the session.
    public var sessionExpirySeconds: UInt32
    /// The keep-alive in use: ours, or what the server demands instead.
    public var keepAliveSeconds: UInt16
    /// What the server adds for people (5.0).
    public var reasonString: String?
}

/// What the server can do, from its CONNACK; in 3.x everything (3.2.2.3).
public struct ServerCapabilities: Hashable, Sendable {
    public var receiveMaximum: UInt16 = .max
    public var maximumQoS: QoS = .exactlyOnce
    public var retainAvailable = true
    /// Bytes; `nil` when the server names none.
    public var maximumPacketSize: Int?
    public var topicAliasMaximum: UInt16 = 0
    public var wildcardSubscriptionAvailable = true
    public var subscriptionIdentifiersAvailable = true
    public var sharedSubscriptionAvailable = true

    public init() {}
}

/// Why `publish` did not take a message, or why a taken one was never sent.
public enum PublishRefusal: Error, Hashable, Sendable {
    /// The topic name is empty, has a wildcard, or is no valid UTF-8.
    case invalidTopic
    /// A property of the message cannot be encoded (too long, or no valid UTF-8).
    case invalidProperty
    /// `maximumQueuedMessages` or `maximumQueuedBytes` is reached.
    case queueFull
    /// The packet is larger than the server takes [MQTT-3.2.2-15].
    case tooLarge(bytes: Int, maximum: Int)
}

/// How a published message ended.
public struct PublishOutcome: Hashable, Sendable {
    public enum Result: Hashable, Sendable {
        /// QoS 0: written to the connection. QoS 1 and 2: the server's answer.
        case acknowledged(ReasonCode)
        /// Never sent.
        case refused(PublishRefusal)
    }

    /// What the application gave with the message.
    public var token: UInt64
    public var result: Result
    /// The QoS it was sent with: lower than asked for where the server takes no more.
    public var qos: QoS
    /// RETAIN was left out, because the server keeps no retained messages.
    public var retainDropped = false
    /// It was published a second time, as a new message, because the server lost the session while
    /// it was on its way; subscribers may have it twice.
    public var publishedAgain = false

    /// Whether the server has taken responsibility (for QoS 0: whether it was sent).
    public var isSuccess: Bool {
        if case .acknowledged(let code) = result { return !code.isError }
        return false
    }
}

/// Why a connection is over.
public enum SessionEnd: Hashable, Sendable {
    /// `disconnect` was called.
    case requested
    /// The server refused the connection in its CONNACK. 3.x return codes are given as their 5.0
    /// reason codes. `fallback`: the version that the next connection tries (`.automatic` only).
    case refused(
        ReasonCode, reasonString: String?, serverReference: String?, fallback: ProtocolVersion?)
    /// The server sent DISCONNECT (5.0).
    case disconnectedByServer(ReasonCode, reasonString: String?, serverReference: String?)
    /// The server broke the protocol, or sent more than was announced.
    case protocolError(ReasonCode, clause: String, detail: String)
    /// No CONNACK came in time.
    case connectTimeout
    /// Nothing came after a PINGREQ: the server or the way to it is dead.
    case pingTimeout
    /// The transport closed without a DISCONNECT.
    case transportClosed
}
