/// What was received with QoS 1 or 2 and is not yet acknowledged, in order of arrival.
///
/// The receiver's half of QoS 1 and 2 in clients and in servers. Whoever takes the messages
/// acknowledges them in any order, when they are in safe hands; PUBACK and PUBREC go out in the
/// order in which the messages came [MQTT-4.6.0-2] [MQTT-4.6.0-3], so each waits for all before it.
/// Packet identifiers of QoS 2 stay known until PUBREL, and over connections, so that a message that
/// is sent again is not delivered again [MQTT-4.3.3-10].
public struct InboundWindow: Sendable {
    /// What to do with a PUBLISH.
    public enum Arrival: Equatable, Sendable {
        /// It is new; acknowledge it with this number.
        case deliver(number: UInt64)
        /// It is known: nothing to deliver, and its PUBREC comes in its turn.
        case duplicate
        /// The sender has more on its way than it may [MQTT-3.3.4-9].
        case receiveMaximumExceeded
    }

    /// An acknowledgement whose turn has come.
    public struct Due: Equatable, Sendable {
        /// Whether PUBREC, and not PUBACK, is due.
        public var isRelease: Bool
        public var packetID: UInt16
        public var reasonCode: ReasonCode
    }

    private struct Waiting {
        var packetID: UInt16
        var isExactlyOnce: Bool
        var reasonCode: ReasonCode?
    }

    /// A QoS 2 message between PUBLISH and PUBREL.
    private struct Unreleased {
        /// What it was delivered as.
        var number: UInt64
        /// Its latest place in the order of arrival; below `base` once PUBREC is sent, and below
        /// `connectionBase` when this connection has not seen it, nor counts it.
        var place: UInt64
        /// The receiver has taken it.
        var isTaken: Bool
    }

    private var waiting = RingQueue<Waiting>()
    private var base: UInt64 = 0
    private var connectionBase: UInt64 = 0
    private var unreleased: [UInt16: Unreleased] = [:]
    private let receiveMaximum: Int

    /// What this connection's receive maximum counts: QoS 1 until PUBACK, QoS 2 until PUBCOMP.
    public private(set) var inFlight = 0

    /// What was delivered and is not yet acknowledged by the receiver.
    public private(set) var held = 0

    /// An empty window for a sender that may have `receiveMaximum` messages on their way.
    public init(receiveMaximum: Int) {
        precondition(receiveMaximum > 0, "a receive maximum of 0 is a protocol error")
        self.receiveMaximum = receiveMaximum
    }

    /// QoS 2 identifiers that wait for PUBREL.
    public var unreleasedCount: Int { unreleased.count }

    /// A PUBLISH of QoS 1 or 2 came.
    public mutating func arrived(packetID: UInt16, isExactlyOnce: Bool) -> Arrival {
        let number = base + UInt64(waiting.count)
        if isExactlyOnce, var known = unreleased[packetID] {
            // Sent again. When its turn is still to come on this connection, that is enough.
            if known.place >= base { return .duplicate }
            if known.place < connectionBase {
                guard inFlight < receiveMaximum else { return .receiveMaximumExceeded }
                inFlight += 1
            }
            known.place = number
            unreleased[packetID] = known
            waiting.append(
                Waiting(
                    packetID: packetID, isExactlyOnce: true,
                    reasonCode: known.isTaken ? .success : nil))
            if !known.isTaken { held += 1 }
            return .duplicate
        }
        guard inFlight < receiveMaximum else { return .receiveMaximumExceeded }
        inFlight += 1
        held += 1
        waiting.append(Waiting(packetID: packetID, isExactlyOnce: isExactlyOnce, reasonCode: nil))
        if isExactlyOnce {
            unreleased[packetID] = Unreleased(number: number, place: number, isTaken: false)
        }
        return .deliver(number: number)
    }

    /// The receiver has taken the message (or, with an error, refuses it).
    ///
    /// A number that is not known any more, because its connection or session is gone, is ignored.
    public mutating func acknowledge(
        number: UInt64, packetID: UInt16, reasonCode: ReasonCode = .success
    ) {
        var place = number
        if var known = unreleased[packetID], known.number == number {
            guard !known.isTaken else { return }
            known.isTaken = !reasonCode.isError
            place = known.place
            // A refusal whose connection is gone is not told: sent again, it is delivered again.
            unreleased[packetID] = reasonCode.isError && place < base ? nil : known
        }
        guard place >= base, place - base < UInt64(waiting.count) else { return }
        let offset = Int(place - base)
        guard waiting[offset].packetID == packetID, waiting[offset].reasonCode == nil
        else { return }
        waiting[offset].reasonCode = reasonCode
        held -= 1
    }

    /// The next acknowledgement whose turn has come; it counts as sent.
    public mutating func nextDue() -> Due? {
        guard let first = waiting.first, let reasonCode = first.reasonCode else { return nil }
        _ = waiting.popFirst()
        base += 1
        if !first.isExactlyOnce {
            inFlight -= 1
        } else if reasonCode.isError {
            // An error ends the exchange: no PUBREL follows (4.3.3).
            forget(first.packetID)
        }
        return Due(
            isRelease: first.isExactlyOnce, packetID: first.packetID, reasonCode: reasonCode)
    }

    /// PUBREL came. `nil`: the identifier is free now, PUBCOMP is due. Otherwise what is wrong:
    /// `packetIdentifierNotFound` (PUBCOMP says so), or `protocolError` when no PUBREC was sent.
    public mutating func released(_ packetID: UInt16) -> ReasonCode? {
        guard let known = unreleased[packetID] else { return .packetIdentifierNotFound }
        guard known.isTaken, known.place < base else { return .protocolError }
        forget(packetID)
        return nil
    }

    /// The connection is gone; what it delivered and QoS 1 is void, QoS 2 identifiers stay.
    public mutating func connectionClosed() {
        base += UInt64(waiting.count)
        connectionBase = base
        while let entry = waiting.popFirst() {
            // A refusal that was not sent is void as well: see `acknowledge`.
            let isRefused = entry.reasonCode?.isError ?? false
            if entry.isExactlyOnce && isRefused { unreleased[entry.packetID] = nil }
        }
        inFlight = 0
        held = 0
    }

    /// The session is gone, and with it everything.
    public mutating func sessionLost() {
        connectionClosed()
        unreleased = [:]
    }

    private mutating func forget(_ packetID: UInt16) {
        guard let known = unreleased.removeValue(forKey: packetID) else { return }
        if known.place >= connectionBase { inFlight -= 1 }
    }

    /// Traps when the window contradicts itself; for tests and the simulation.
    public func checkInvariants() {
        var unanswered = 0
        var counted = 0
        for offset in 0..<waiting.count {
            let entry = waiting[offset]
            if entry.reasonCode == nil { unanswered += 1 }
            if !entry.isExactlyOnce { counted += 1 }
        }
        // A count does not depend on the order of iteration.
        counted += unreleased.values.count { $0.place >= connectionBase }
        precondition(unanswered == held, "held differs from what waits for the receiver")
        precondition(counted == inFlight, "inFlight differs from what is on its way")
        precondition(inFlight <= receiveMaximum, "the receive maximum is exceeded")
    }
}
