import MQTT

/// What the receiving broker said about itself when the connection was made, as far as the
/// forwarder needs it; the client session below knows the rest.
public struct LinkLimits: Sendable, Equatable {
    /// QoS 1 and 2 messages it takes without having acknowledged them.
    public var receiveMaximum: Int
    /// A broker that takes QoS 0 only answers for nothing, so nothing can be let go.
    public var maximumQoS: QoS

    public init(receiveMaximum: Int = 65_535, maximumQoS: QoS = .exactlyOnce) {
        self.receiveMaximum = receiveMaximum
        self.maximumQoS = maximumQoS
    }
}

/// Our own limits of what is sent and read ahead, for one route.
public struct ForwarderLimits: Sendable, Equatable {
    /// Messages sent and not acknowledged; the smaller of this and the peer's receive maximum holds.
    public var maximumInFlight = 500
    /// Bytes of them; one message is always allowed.
    public var maximumInFlightBytes = 1024 * 1024
    /// Bytes read from the store before they are sent.
    public var readAheadBytes = 256 * 1024
    /// A message that stays unacknowledged for so long on a living connection ends that connection.
    public var acknowledgementTimeout = Duration.seconds(60)
    /// So many connections must die on the same message before it travels alone, ...
    public var suspectAfterKills = 3
    /// ... and so many more before it is refused.
    public var refuseAfterKillsAlone = 3
    /// A suspect is sent only on a connection that stood so long without it.
    public var quietBeforeSuspect = Duration.seconds(3)

    public init() {}
}

/// Why a connection ended, as far as the forwarder needs it.
public enum LinkEnd: Sendable, Equatable {
    /// The peer closed it or reset it: perhaps because of what it was sent.
    case closedByPeer
    /// Silence, a network error, our own decision.
    case other
}

/// What became of a message that was handed to the connection.
public enum Answer: Sendable, Equatable {
    case taken
    case refused(RefusalReason)
}

/// Why a message was refused.
public enum RefusalReason: Sendable, Equatable {
    /// The upstream acknowledged it with a reason code of 0x80 or above.
    case acknowledgedWith(ReasonCode)
    /// It is larger than the maximum packet size of the peer; it was never sent.
    case packetTooLarge
    /// It cannot be sent at all: a topic or a property that no packet may hold.
    case notSendable
    /// Each connection that carried it was closed by the peer.
    case closesConnection

    /// For the store: the reason code, or above it our own numbers.
    public var code: Int {
        switch self {
        case .acknowledgedWith(let code): Int(code.rawValue)
        case .packetTooLarge: 0x100
        case .notSendable: 0x101
        case .closesConnection: 0x102
        }
    }
}

/// A message that the other side will not take, on its way into the table of refused messages.
public struct RefusedMessage: Sendable, Equatable {
    public var route: Route
    public var reason: RefusalReason
    public var refusedAtUnixMilliseconds: UInt64
    /// The message, as a batch of one.
    public var message: MessageBatch
}

/// Batches to read from the store: those that hold a number above `after`, oldest first.
public struct LoadRequest: Sendable, Equatable {
    public var route: Route
    public var after: UInt64
    /// Stop when the batches read hold so many bytes; at least one is read.
    public var maximumBytes: Int
}
