import MQTT

/// Names one connection of a shard, for as long as it is open.
public struct ConnectionID: Hashable, Sendable {
    let key: Slab<Connection>.Key

    /// The name as one number, such as an event loop's token; never 0.
    public var rawValue: UInt64 { key.packed }

    /// A name from the number it was turned into. One that names nothing any more is harmless.
    public init(rawValue: UInt64) { key = Slab<Connection>.Key(packed: rawValue) }

    init(_ key: Slab<Connection>.Key) { self.key = key }

    /// A small number that no two open connections share, for a table of the shell's.
    public var slot: Int { Int(key.index) }

    var index: UInt32 { key.index }
}

/// Names one session of a shard, for as long as it lives.
public struct SessionID: Hashable, Sendable {
    let key: Slab<Session>.Key

    init(_ key: Slab<Session>.Key) { self.key = key }
}

/// What a shard asks its shell to do.
public enum BrokerAction: Sendable {
    /// Send what is in the output, then close, then call `closed(_:)`.
    case close(ConnectionID)
    /// Check the password and call `authenticated(_:result:)`.
    case authenticate(ConnectionID, user: [UInt8], password: [UInt8])
    /// Hand it over to another shard: `release(_:)` here, `adopt(_:at:)` and `takeMoved(_:at:)` there.
    case move(ConnectionID, shard: Int)
    /// Take the next step of an enhanced authentication and call `exchanged(_:_:at:)`.
    case exchange(ConnectionID, data: [UInt8], isFirst: Bool)
    /// Do not read from it until `resumeReading`.
    case pauseReading(ConnectionID)
    case resumeReading(ConnectionID)
    /// Tell people.
    case log(BrokerEvent)
}

/// What became of a password check.
public enum AuthenticationResult: Sendable, Equatable {
    case accepted
    case wrong
    /// Too many checks are waiting.
    case busy
}

/// Something that people may want to know; never holds payloads or passwords.
public enum BrokerEvent: Sendable {
    case connected(ConnectionID, ConnectedClient)
    /// CONNECT was answered with an error, or the connection ended before one. What it said of itself
    /// was not checked; the identifier is empty where nothing came.
    case refused(ConnectionID, clientID: [UInt8], user: [UInt8]?, DisconnectCause)
    /// With the messages that its session has lost since it began.
    case disconnected(
        ConnectionID, clientID: [UInt8], user: [UInt8]?, DisconnectCause, droppedMessages: UInt64)
    case sessionExpired(clientID: [UInt8], droppedMessages: UInt64)
    /// The first message that a session's queue had no room for since it was last empty.
    case queueFull(clientID: [UInt8], isByMemory: Bool)
    /// The first message that a connection's full output had no room for since it was last empty.
    case slowReader(ConnectionID, clientID: [UInt8], isByMemory: Bool)
    /// Messages are dropped or refused because clients make the broker hold as much as they may; once,
    /// until half as much is used.
    case memoryReached(used: Int, limit: Int)
    /// A client publishes faster than it may, and is not read for a while; once for each connection.
    case publishRateReached(ConnectionID, clientID: [UInt8])
    case retainedFull
    /// With the beginning of the filter, or of the topic, as the client sent it.
    case subscriptionRefused(ConnectionID, clientID: [UInt8], filter: [UInt8], ReasonCode)
    case publishRefused(ConnectionID, clientID: [UInt8], topic: [UInt8], ReasonCode)
    /// A will was not published: its client had lost the right to.
    case willRefused(clientID: [UInt8])
    /// New rules ended so many subscriptions of a session.
    case rightsRevoked(clientID: [UInt8], subscriptions: Int)
}

/// Who connected, and how.
public struct ConnectedClient: Sendable {
    public var clientID: [UInt8]
    public var user: [UInt8]?
    public var version: ProtocolVersion
    public var cleanStart: Bool
    public var sessionPresent: Bool
    public var keepAliveSeconds: UInt16
    public var sessionExpirySeconds: UInt32
}

/// Why a connection ended.
public enum DisconnectCause: Sendable, Equatable {
    /// DISCONNECT from the client.
    case byClient
    /// DISCONNECT from the client that asked for its will.
    case byClientWithWill
    /// The client closed the connection without DISCONNECT.
    case connectionClosed
    /// The network failed; a text of the shell's.
    case connectionFailed(String)
    case noConnectInTime
    case keepAliveTimeout
    case takenOver
    case shuttingDown
    /// The user is gone, or has another password.
    case userChanged(ReasonCode)
    /// What has let it in does so no more: its certificate or its key.
    case credentialEnded(CredentialFault)
    /// An operator of the server ended it.
    case byOperator
    /// Another server serves instead.
    case redirected(ReasonCode)
    /// Refused or thrown out for what it sent.
    case fault(ReasonCode, clause: String, detail: String)

    /// What DISCONNECT says or would say (3.14.2.1); `nil` where the transport ended without a word.
    public var reasonCode: ReasonCode? {
        switch self {
        case .byClient: .normalDisconnection
        case .byClientWithWill: .disconnectWithWillMessage
        case .connectionClosed, .connectionFailed: nil
        case .noConnectInTime: .maximumConnectTime
        case .keepAliveTimeout: .keepAliveTimeout
        case .takenOver: .sessionTakenOver
        case .shuttingDown: .serverShuttingDown
        case .userChanged(let code), .redirected(let code): code
        case .credentialEnded(let fault): fault.reasonCode
        case .byOperator: .administrativeAction
        case .fault(let code, _, _): code
        }
    }

    /// Whether the client's will is published: all but a DISCONNECT without it. [MQTT-3.14.4-3]
    var publishesWill: Bool { self != .byClient && self != .shuttingDown }
}

/// Why a certificate or key that let a client in does so no more.
public enum CredentialFault: Sendable, Equatable, CustomStringConvertible {
    case certificateRevoked
    case certificateUntrusted
    case keyRemoved
    case keyChanged

    /// With another key, the client may come back at once; by the others it may not.
    var reasonCode: ReasonCode {
        self == .keyChanged ? .administrativeAction : .notAuthorized
    }

    public var description: String {
        switch self {
        case .certificateRevoked: "the certificate was revoked"
        case .certificateUntrusted: "the certificate's CA is not trusted any more"
        case .keyRemoved: "the key was removed"
        case .keyChanged: "the key was changed"
        }
    }
}

extension DisconnectCause: CustomStringConvertible {
    public var description: String {
        switch self {
        case .byClient: "disconnected by the client"
        case .byClientWithWill: "disconnected by the client, will asked for"
        case .connectionClosed: "connection closed by the client without DISCONNECT"
        case .connectionFailed(let text): "connection failed: \(text)"
        case .noConnectInTime: "no CONNECT in time"
        case .keepAliveTimeout: "nothing received for one and a half times the keep-alive"
        case .takenOver: "session taken over by another connection"
        case .shuttingDown: "server is shutting down"
        case .userChanged(.notAuthorized): "the user was removed"
        case .userChanged: "the user's password was changed"
        case .credentialEnded(let fault): fault.description
        case .byOperator: "disconnected by an operator"
        case .redirected(.serverMoved): "the server has moved"
        case .redirected: "another server serves for now"
        case .fault(let code, let clause, let detail): "\(detail) (\(code.name), \(clause))"
        }
    }
}
