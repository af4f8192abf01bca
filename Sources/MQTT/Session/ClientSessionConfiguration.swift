/// Which protocol a client speaks.
public enum ClientProtocol: Hashable, Sendable {
    case exactly(ProtocolVersion)
    /// 5.0, and 3.1.1 once a server has refused 5.0.
    case automatic

    var firstVersion: ProtocolVersion {
        switch self {
        case .exactly(let version): version
        case .automatic: .v5_0
        }
    }
}

/// What the server publishes when the client is gone without a DISCONNECT (3.1.2.5).
public struct ClientWill: Hashable, Sendable {
    public var message: OutgoingMessage
    /// Seconds that the server waits before it publishes the will (5.0).
    public var delaySeconds: UInt32

    public init(_ message: OutgoingMessage, delaySeconds: UInt32 = 0) {
        self.message = message
        self.delaySeconds = delaySeconds
    }
}

/// What a client session is told once; its limits all have names.
public struct ClientSessionConfiguration: Sendable {
    /// The protocol version; 3.1, 3.1.1 or 5.0.
    public var version: ClientProtocol = .exactly(.v5_0)
    /// Empty: the server gives one (5.0 tells which, and it is kept for later connections).
    public var clientID: String
    public var username: String?
    public var password: [UInt8]?
    public var will: ClientWill?

    /// Whether the first connection asks the server to forget an earlier session.
    ///
    /// `false` says that the application itself kept what belongs to that session, or that nothing
    /// of it matters (a subscriber of QoS 1 needs nothing). 3.1.1 has one bit for start and end:
    /// there a session with an expiry above 0 is always continued, and one of 0 is always clean.
    public var cleanStart = true
    /// Seconds that the server keeps the session after the connection; `UInt32.max` is for ever.
    public var sessionExpirySeconds: UInt32 = 0
    /// The least that the server must take. One that takes less is refused at CONNACK, because it
    /// would get messages at a QoS that proves nothing.
    public var requiredQoS: QoS = .atMostOnce

    /// Seconds without a packet after which the client asks whether the server lives; 0 is never.
    public var keepAliveSeconds: UInt16 = 30
    /// How long the server may take to answer a PINGREQ with anything at all.
    public var pingResponseTimeout: Duration = .seconds(15)
    /// How long the server may take from CONNECT to CONNACK.
    public var connectTimeout: Duration = .seconds(20)

    /// How many messages of QoS 1 and 2 the application holds unacknowledged at most. 5.0 tells the
    /// server; in 3.1.1 `wantsInput` becomes false at this number.
    public var receiveMaximum: UInt16 = 200
    /// The largest packet that is accepted, bytes.
    public var maximumPacketSize: Int = 4 << 20
    /// How many PUBLISH packets of QoS 1 and 2 are on their way at once, if the server allows it.
    public var maximumInFlight: UInt16 = 200
    /// How many messages wait or are on their way at most; at this number `publish` refuses.
    public var maximumQueuedMessages = 10_000
    /// How many bytes of topics, properties and payloads these hold at most.
    public var maximumQueuedBytes = 8 << 20
    /// Bytes in `output` from which on messages wait in the queue.
    public var maximumOutputBytes = 256 << 10

    /// User properties of the CONNECT (5.0).
    public var userProperties: [UserProperty] = []

    public init(clientID: String) {
        self.clientID = clientID
    }
}

extension ClientSessionConfiguration {
    /// What is wrong with it, as a sentence for people; `nil`: it can be used.
    public var problem: String? {
        let version = version.firstVersion
        if !isMQTTString(Array(clientID.utf8)) {
            return "the client identifier has more than 65,535 bytes or a NUL"
        }
        if clientID.isEmpty && version != .v5_0 && (version == .v3_1 || sessionExpirySeconds > 0) {
            return "this version needs a client identifier for a session that is kept"
        }
        if version == .v3_1 && clientID.unicodeScalars.count > 23 {
            return "MQTT 3.1 takes client identifiers of 1 to 23 characters"
        }
        if let username, !isMQTTString(Array(username.utf8)) {
            return "the user name has more than 65,535 bytes or a NUL"
        }
        if let password {
            if password.count > WireLimits.longestString {
                return "the password has more than 65,535 bytes"
            }
            // [MQTT-3.1.2-22] of 3.1.1
            if username == nil && version != .v5_0 {
                return "there is a password, but no user name"
            }
        }
        guard userProperties.allSatisfy({ isMQTTString($0.name) && isMQTTString($0.value) }) else {
            return "a user property has more than 65,535 bytes or a NUL"
        }
        if maximumPacketSize < 1 { return "the maximum packet size is 0" }
        return will.flatMap(\.problem)
    }
}

extension ClientWill {
    fileprivate var problem: String? {
        if !isTopicName(message.topic) { return "the will's topic is no topic name" }
        if message.payload.count > WireLimits.longestString {
            return "the will's payload has more than 65,535 bytes"
        }
        return message.properties.canBeEncoded ? nil : "a property of the will cannot be encoded"
    }
}
