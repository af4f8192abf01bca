/// What was sent and not yet acknowledged, in the order in which it was first sent.
///
/// The sender's half of QoS 1 and 2 in clients and in servers. Identifiers are given one after the
/// other, so an entry is found by arithmetic; a completed entry leaves a gap until all before it are
/// completed. `maximumSpan` bounds entries and gaps together: a peer that leaves one message
/// unacknowledged for ever cannot make the window grow past it, `append` returns `nil` instead.
///
/// The window is part of the session state [MQTT-4.1.0-1]: it outlives connections, and
/// `beginResend` starts over on a new one. Inlinable like `RingQueue`, and for the same reason.
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

    /// One identifier's place. `payload` is `nil` once it is completed: a gap.
    @usableFromInline
    struct Slot {
        @usableFromInline var payload: Payload?
        @usableFromInline var stage: Stage
        @usableFromInline var isSent: Bool
        @usableFromInline var releaseOrder: UInt64

        @inlinable
        init(_ payload: Payload?, _ stage: Stage) {
            self.payload = payload
            self.stage = stage
            isSent = true
            releaseOrder = 0
        }
    }

    /// A ring: the place of `firstID` is at `head`, the others behind it. Its size is a power of two.
    @usableFromInline var slots: [Slot] = []
    @usableFromInline var head = 0
    /// Entries and gaps.
    @usableFromInline var span = 0
    @usableFromInline var openCount = 0
    @usableFromInline var outstandingCount = 0
    @usableFromInline var firstID: UInt16
    @usableFromInline var allocator: PacketIDAllocator
    @usableFromInline let maximumSpan: Int
    @usableFromInline var releases: UInt64 = 0
    @usableFromInline var pendingReleases: [UInt16] = []
    @usableFromInline var resendCursor: UInt16?

    /// Open entries, whatever they wait for.
    @inlinable
    public var count: Int { openCount }

    /// PUBLISH packets that were sent on this connection and are not completed: what the peer's
    /// receive maximum limits [MQTT-3.3.4-9].
    @inlinable
    public var outstanding: Int { outstandingCount }

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
    @inlinable
    public var isEmpty: Bool { openCount == 0 }

    /// Whether `append` has no room until the oldest entries are completed.
    @inlinable
    public var isFull: Bool { span >= maximumSpan }

    /// The identifier that the next `append` gives.
    @inlinable
    public var nextID: UInt16 { allocator.next }

    /// The identifier of the oldest entry.
    var oldestID: UInt16 { firstID }

    func releaseOrder(of id: UInt16) -> UInt64 {
        openPlace(of: id).map { slots[$0].releaseOrder } ?? 0
    }

    /// Takes a new entry, which the caller sends now; `nil` when the span is used up.
    @inlinable
    public mutating func append(_ payload: Payload, stage: Stage) -> UInt16? {
        guard span < maximumSpan else { return nil }
        if span == slots.count { grow() }
        slots[place(span)] = Slot(payload, stage)
        span &+= 1
        openCount &+= 1
        if stage.isPublish { outstandingCount &+= 1 }
        return allocator.allocate()
    }

    /// What the entry waits for; `nil` when the identifier is not in use.
    @inlinable
    public func stage(of id: UInt16) -> Stage? {
        guard let place = openPlace(of: id) else { return nil }
        return slots[place].stage
    }

    /// What was given with the entry; `nil` when the identifier is not in use.
    @inlinable
    public func payload(of id: UInt16) -> Payload? {
        openPlace(of: id).flatMap { slots[$0].payload }
    }

    /// PUBREC came: from now on the entry waits for PUBCOMP. Traps unless it waited for PUBREC.
    @inlinable
    public mutating func release(_ id: UInt16) {
        guard let place = openPlace(of: id), slots[place].stage == .awaitingPubRec
        else { preconditionFailure("only a PUBLISH of QoS 2 that waits for PUBREC is released") }
        slots[place].stage = .awaitingPubComp
        slots[place].releaseOrder = releases
        releases += 1
        markSent(id)
    }

    /// Ends the entry and gives its payload back; `nil` when the identifier is not in use.
    @inlinable
    public mutating func complete(_ id: UInt16) -> Payload? {
        guard let place = openPlace(of: id) else { return nil }
        let payload = slots[place].payload.take()
        openCount &-= 1
        if slots[place].isSent && slots[place].stage.isPublish { outstandingCount &-= 1 }
        if place == head { dropCompletedHead() }
        return payload
    }

    /// Ends all entries and gives them back in order; identifiers go on where they were.
    public mutating func removeAll() -> [(stage: Stage, payload: Payload)] {
        var open: [(stage: Stage, payload: Payload)] = []
        open.reserveCapacity(openCount)
        for offset in 0..<span {
            let slot = slots[place(offset)]
            if let payload = slot.payload { open.append((slot.stage, payload)) }
        }
        slots = []
        head = 0
        span = 0
        openCount = 0
        outstandingCount = 0
        firstID = allocator.next
        pendingReleases = []
        resendCursor = nil
        return open
    }

    /// A new connection goes on with this session: nothing open counts as sent any more.
    public mutating func beginResend() {
        var releasing: [(order: UInt64, id: UInt16)] = []
        var id = firstID
        for offset in 0..<span {
            let place = place(offset)
            if slots[place].payload != nil, slots[place].stage.isPublish {
                slots[place].isSent = false
                if slots[place].stage == .awaitingPubComp {
                    releasing.append((slots[place].releaseOrder, id))
                }
            }
            id = PacketIDAllocator.successor(of: id)
        }
        outstandingCount = 0
        // PUBREL in the order in which the PUBRECs came [MQTT-4.6.0-4]; taken from the end.
        pendingReleases = releasing.sorted { $0.order > $1.order }.map(\.id)
        resendCursor = span == 0 ? nil : firstID
    }

    /// Whether `nextResend` may still have something, now or when the quota allows it.
    @inlinable
    public var isResending: Bool { !pendingReleases.isEmpty || resendCursor != nil }

    /// The next packet to send again: each PUBREL, then each PUBLISH in its first order
    /// [MQTT-4.6.0-1] while fewer than `quota` are outstanding. Marks it as sent.
    @inlinable
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

    @inlinable
    func isSent(_ id: UInt16) -> Bool {
        openPlace(of: id).map { slots[$0].isSent } ?? false
    }

    @inlinable
    mutating func markSent(_ id: UInt16) {
        guard let place = openPlace(of: id), !slots[place].isSent else { return }
        slots[place].isSent = true
        outstandingCount += 1
    }

    /// Where the identifier's entry is, if it is open.
    @inlinable
    func openPlace(of id: UInt16) -> Int? {
        guard id != 0 else { return nil }
        let offset = PacketIDAllocator.steps(from: firstID, to: id)
        guard offset < span else { return nil }
        let place = place(offset)
        return slots[place].payload == nil ? nil : place
    }

    @inlinable
    func place(_ offset: Int) -> Int { (head &+ offset) & (slots.count &- 1) }

    /// The oldest entry was completed: it goes, and the gaps behind it.
    @inlinable
    mutating func dropCompletedHead() {
        while span > 0, slots[head].payload == nil {
            head = place(1)
            span &-= 1
            firstID = PacketIDAllocator.successor(of: firstID)
        }
        if span == 0 && slots.count > Self.keptCapacity {
            slots = []
            head = 0
        }
    }

    /// An empty window keeps at most this many places for the next entries.
    @usableFromInline static var keptCapacity: Int { 64 }

    @inlinable
    @inline(never)
    mutating func grow() {
        let larger = max(4, span * 2)
        var moved: [Slot] = []
        moved.reserveCapacity(larger)
        for offset in 0..<span { moved.append(slots[place(offset)]) }
        while moved.count < larger { moved.append(Slot(nil, .awaitingPubAck)) }
        slots = moved
        head = 0
    }

    /// Traps when the window contradicts itself; for tests and the simulation.
    public func checkInvariants() {
        let used = (0..<span).map { slots[place($0)] }
        let sent = used.count(where: { $0.payload != nil && $0.isSent && $0.stage.isPublish })
        precondition(
            used.count(where: { $0.payload != nil }) == openCount, "open entries are miscounted")
        precondition(sent == outstandingCount, "outstanding differs from the sent entries")
        precondition(span <= maximumSpan, "the span is exceeded")
        precondition(slots.count & (slots.count - 1) == 0, "the ring is no power of two")
        precondition(
            slots.count(where: { $0.payload != nil }) == openCount, "an entry outside of the span")
        let steps = PacketIDAllocator.steps(from: firstID, to: allocator.next)
        precondition(
            steps == span || span == PacketIDAllocator.identifierCount,
            "identifiers and entries disagree")
        precondition(span == 0 || used[0].payload != nil, "a gap leads the window")
    }
}

extension InFlightWindow.Stage {
    /// Whether the entry is a PUBLISH, which the receive maximum counts.
    @inlinable
    var isPublish: Bool {
        switch self {
        case .awaitingPubAck, .awaitingPubRec, .awaitingPubComp: true
        case .awaitingSubAck, .awaitingUnsubAck: false
        }
    }
}

extension InFlightWindow: Sendable where Payload: Sendable {}
extension InFlightWindow.Slot: Sendable where Payload: Sendable {}
