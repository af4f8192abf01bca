/// What was sent and not yet acknowledged, in the order in which it was first sent.
///
/// The sender's half of QoS 1 and 2 in clients and in servers. Identifiers are given one after the
/// other, so an entry is found by arithmetic; a completed entry leaves a gap until all before it are
/// completed. `maximumSpan` bounds entries and gaps together: a peer that leaves one message
/// unacknowledged for ever cannot make the window grow past it, `append` returns `nil` instead.
///
/// The window is part of the session state [MQTT-4.1.0-1]: it outlives connections, and
/// `beginResend` starts over on a new one.
public struct InFlightWindow<Payload> {
    /// What an entry waits for.
    public enum Stage: UInt8, Sendable {
        case awaitingPubAck
        case awaitingPubRec
        case awaitingPubComp
        case awaitingSubAck
        case awaitingUnsubAck
    }

    /// What has to be sent again when a session goes on over a new connection.
    public enum Resend: Equatable, Sendable {
        /// The PUBLISH with this identifier, with DUP set [MQTT-3.3.1-1].
        case publish(UInt16)
        /// The PUBREL with this identifier.
        case release(UInt16)
    }

    fileprivate struct Entry {
        var stage: Stage
        var isSent: Bool
        var releaseOrder: UInt64
        var payload: Payload
    }

    private var entries = RingQueue<Entry?>()
    private var firstID: UInt16
    private var allocator: PacketIDAllocator
    private let maximumSpan: Int
    private var releases: UInt64 = 0
    private var pendingReleases: [UInt16] = []
    private var resendCursor: UInt16?

    /// Open entries, whatever they wait for.
    public private(set) var count = 0

    /// PUBLISH packets that were sent on this connection and are not completed: what the peer's
    /// receive maximum limits [MQTT-3.3.4-9].
    public private(set) var outstanding = 0

    /// An empty window whose first identifier is `firstID`.
    public init(
        firstID: UInt16 = 1, maximumSpan: Int = PacketIDAllocator.identifierCount
    ) {
        precondition(maximumSpan > 0 && maximumSpan <= PacketIDAllocator.identifierCount)
        self.maximumSpan = maximumSpan
        allocator = PacketIDAllocator(first: firstID)
        self.firstID = allocator.next
    }

    /// Whether nothing waits.
    public var isEmpty: Bool { count == 0 }

    /// Whether `append` has no room until the oldest entries are completed.
    public var isFull: Bool { entries.count >= maximumSpan }

    /// Takes a new entry, which the caller sends now; `nil` when the span is used up.
    public mutating func append(_ payload: Payload, stage: Stage) -> UInt16? {
        guard entries.count < maximumSpan else { return nil }
        let id = allocator.allocate()
        entries.append(Entry(stage: stage, isSent: true, releaseOrder: 0, payload: payload))
        count += 1
        if stage.isPublish { outstanding += 1 }
        return id
    }

    /// What the entry waits for; `nil` when the identifier is not in use.
    public func stage(of id: UInt16) -> Stage? {
        offset(of: id).flatMap { entries[$0]?.stage }
    }

    /// What was given with the entry; `nil` when the identifier is not in use.
    public func payload(of id: UInt16) -> Payload? {
        offset(of: id).flatMap { entries[$0]?.payload }
    }

    /// PUBREC came: from now on the entry waits for PUBCOMP. Traps unless it waited for PUBREC.
    public mutating func release(_ id: UInt16) {
        guard let offset = offset(of: id), var entry = entries[offset],
            entry.stage == .awaitingPubRec
        else { preconditionFailure("only a PUBLISH of QoS 2 that waits for PUBREC is released") }
        entry.stage = .awaitingPubComp
        entry.releaseOrder = releases
        releases += 1
        if !entry.isSent {
            entry.isSent = true
            outstanding += 1
        }
        entries[offset] = entry
    }

    /// Ends the entry and gives its payload back; `nil` when the identifier is not in use.
    public mutating func complete(_ id: UInt16) -> Payload? {
        guard let offset = offset(of: id), let entry = entries[offset] else { return nil }
        entries[offset] = nil
        count -= 1
        if entry.isSent && entry.stage.isPublish { outstanding -= 1 }
        dropCompletedHead()
        return entry.payload
    }

    /// Ends all entries and gives them back in order; identifiers go on where they were.
    public mutating func removeAll() -> [(stage: Stage, payload: Payload)] {
        var open: [(stage: Stage, payload: Payload)] = []
        open.reserveCapacity(count)
        while let entry = entries.popFirst() {
            if let entry { open.append((entry.stage, entry.payload)) }
        }
        count = 0
        outstanding = 0
        firstID = allocator.next
        pendingReleases = []
        resendCursor = nil
        return open
    }

    /// A new connection goes on with this session: nothing open counts as sent any more.
    public mutating func beginResend() {
        var releasing: [(order: UInt64, id: UInt16)] = []
        var id = firstID
        for offset in 0..<entries.count {
            if var entry = entries[offset], entry.stage.isPublish {
                entry.isSent = false
                entries[offset] = entry
                if entry.stage == .awaitingPubComp { releasing.append((entry.releaseOrder, id)) }
            }
            id = PacketIDAllocator.successor(of: id)
        }
        outstanding = 0
        // PUBREL in the order in which the PUBRECs came [MQTT-4.6.0-4]; taken from the end.
        pendingReleases = releasing.sorted { $0.order > $1.order }.map(\.id)
        resendCursor = entries.isEmpty ? nil : firstID
    }

    /// Whether `nextResend` may still have something, now or when the quota allows it.
    public var isResending: Bool { !pendingReleases.isEmpty || resendCursor != nil }

    /// The next packet to send again: each PUBREL, then each PUBLISH in its first order
    /// [MQTT-4.6.0-1] while fewer than `quota` are outstanding. Marks it as sent.
    public mutating func nextResend(quota: Int) -> Resend? {
        while let id = pendingReleases.popLast() {
            // It may have been completed since: an acknowledgement can overtake.
            guard stage(of: id) == .awaitingPubComp else { continue }
            markSent(id)
            return .release(id)
        }
        while let id = resendCursor, id != allocator.next {
            guard let stage = stage(of: id), stage == .awaitingPubAck || stage == .awaitingPubRec,
                !isSent(id)
            else {
                resendCursor = PacketIDAllocator.successor(of: id)
                continue
            }
            guard outstanding < quota else { return nil }
            resendCursor = PacketIDAllocator.successor(of: id)
            markSent(id)
            return .publish(id)
        }
        resendCursor = nil
        return nil
    }

    private func isSent(_ id: UInt16) -> Bool {
        offset(of: id).flatMap { entries[$0]?.isSent } ?? false
    }

    private mutating func markSent(_ id: UInt16) {
        guard let offset = offset(of: id), var entry = entries[offset], !entry.isSent
        else { return }
        entry.isSent = true
        entries[offset] = entry
        outstanding += 1
    }

    private func offset(of id: UInt16) -> Int? {
        guard id != 0 else { return nil }
        let offset = PacketIDAllocator.steps(from: firstID, to: id)
        return offset < entries.count ? offset : nil
    }

    private mutating func dropCompletedHead() {
        while let head = entries.first, head == nil {
            _ = entries.popFirst()
            firstID = PacketIDAllocator.successor(of: firstID)
        }
    }

    /// Traps when the window contradicts itself; for tests and the simulation.
    public func checkInvariants() {
        var open = 0
        var sent = 0
        for offset in 0..<entries.count {
            guard let entry = entries[offset] else { continue }
            open += 1
            if entry.isSent && entry.stage.isPublish { sent += 1 }
        }
        precondition(open == count, "count differs from the open entries")
        precondition(sent == outstanding, "outstanding differs from the sent entries")
        precondition(entries.count <= maximumSpan, "the span is exceeded")
        let steps = PacketIDAllocator.steps(from: firstID, to: allocator.next)
        precondition(
            steps == entries.count || entries.count == PacketIDAllocator.identifierCount,
            "identifiers and entries disagree")
        if let head = entries.first { precondition(head != nil, "a gap leads the window") }
    }
}

extension InFlightWindow.Stage {
    /// Whether the entry is a PUBLISH, which the receive maximum counts.
    var isPublish: Bool {
        switch self {
        case .awaitingPubAck, .awaitingPubRec, .awaitingPubComp: true
        case .awaitingSubAck, .awaitingUnsubAck: false
        }
    }
}

extension InFlightWindow: Sendable where Payload: Sendable {}
extension InFlightWindow.Entry: Sendable where Payload: Sendable {}
