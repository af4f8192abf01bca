import MQTT

/// Numbers the turns of a shard, beginning with 1. 0 is before the first.
public struct TurnNumber: Comparable, Hashable, Sendable {
    public var rawValue: UInt64

    public init(rawValue: UInt64) { self.rawValue = rawValue }

    public static func < (left: TurnNumber, right: TurnNumber) -> Bool {
        left.rawValue < right.rawValue
    }
}

/// One change of what must survive: a store that applies all changes in order holds the shard's state.
public enum Change: Sendable {
    case sessionStarted(SessionID, clientID: [UInt8], expirySeconds: UInt32)
    case sessionExpiryChanged(SessionID, expirySeconds: UInt32)
    case sessionEnded(SessionID)
    /// `identifier` is the subscription identifier, 0 for none.
    case subscribed(
        SessionID, filter: [UInt8], options: SubscriptionOptions, identifier: UInt32)
    case unsubscribed(SessionID, filter: [UInt8])
    case retained(Message)
    case retainedRemoved(topic: [UInt8])
    /// A message waits in the session's queue, behind those queued before; `identifiers` are those of
    /// the subscriptions that brought it.
    case queued(SessionID, Message, qos: QoS, retain: Bool, identifiers: [UInt32])
    /// The first message of the queue left it, and is in flight under a packet identifier.
    case sent(SessionID, packetID: UInt16)
    /// The first message of the queue left it without being sent: expired, or too large for the client.
    case dropped(SessionID)
    /// PUBREC came: the message may be forgotten, the identifier not.
    case received(SessionID, packetID: UInt16)
    /// PUBACK or PUBCOMP came: the identifier is free.
    case completed(SessionID, packetID: UInt16)
    /// A QoS 2 message from the session's client; routed once this is committed.
    case incoming(SessionID, packetID: UInt16, Message)
    /// PUBREL came: the identifier may be used again.
    case incomingReleased(SessionID, packetID: UInt16)
}

/// All changes between two calls of `endTurn()`; committed whole or not at all.
public struct Turn: Sendable {
    public let number: TurnNumber
    public let changes: [Change]
}

/// Gathers a turn's changes. With `Durability.memory` it gathers nothing and holds nothing back.
struct Journal {
    /// Whether changes are recorded at all: the one test that memory durability pays.
    let isRecording: Bool
    private var changes: [Change] = []
    /// The turn that is gathered now.
    private(set) var current = TurnNumber(rawValue: 1)
    /// The last turn of which all changes are safe.
    private(set) var committed = TurnNumber(rawValue: 0)
    /// The last turn that was handed over to be committed.
    private var handedOver = TurnNumber(rawValue: 0)

    init(durability: Durability) { isRecording = durability == .journal }

    /// Records a change of a session, unless that session dies with its connection.
    @inline(__always)
    mutating func record(_ change: @autoclosure () -> Change) {
        if isRecording { changes.append(change()) }
    }

    /// The turn that must be committed before anything said now is true; `nil` when all is safe.
    var pendingTurn: TurnNumber? {
        guard isRecording else { return nil }
        if !changes.isEmpty { return current }
        return committed < handedOver ? handedOver : nil
    }

    /// Closes the turn; `nil` when nothing changed in it.
    mutating func endTurn() -> Turn? {
        guard !changes.isEmpty else { return nil }
        let turn = Turn(number: current, changes: changes)
        changes = []
        handedOver = current
        current.rawValue += 1
        return turn
    }

    mutating func committed(_ turn: TurnNumber) {
        precondition(turn <= handedOver, "a turn was committed before it ended")
        if committed < turn { committed = turn }
    }
}
