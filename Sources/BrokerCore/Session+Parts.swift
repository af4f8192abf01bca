import MQTT

/// What a session holds for its client, or of it, while messages are on their way.
///
/// Most clients publish at QoS 0 and listen to nothing that waits: their sessions have none of this.
struct SessionBacklog: EmptyAtFirst {
    static let empty = Empty<SessionBacklog>()

    var window = InFlightWindow<InFlightMessage>(maximumSpan: Session.maximumSpan)
    var queue = RingQueue<QueuedMessage>()
    var queuedBytes = 0
    /// Of the messages that its window holds.
    var inFlightBytes = 0
    /// QoS 0 messages in the queue: while there are any, later ones must not overtake them.
    var queuedAtMostOnce = 0
    /// The queue dropped a message since it was last empty.
    var isFull = false
    /// It was given a message of a shared subscription.
    var hasSharedMessages = false
    /// QoS 2 messages that came in and were not released.
    var incoming = PacketIDSet()
    /// Subscriptions whose retained messages are still to be looked up.
    var lookups = RingQueue<RetainedLookup>()
    /// What its queue had no room for; what its connections did not take is added when they end.
    var droppedMessages: UInt64 = 0
    /// Bytes that its messages take in the journal, about.
    var keptBytes = 0
    /// The QoS 2 identifiers in `incoming` that the journal knows.
    var recordedIncoming = PacketIDSet()
    /// Those of them that withstand a power cut.
    var powerIncoming = PacketIDSet()
    /// The position of the next message in the journal.
    var nextPosition: UInt64 = 1
}

/// What happens once a session's connection has ended.
struct SessionEnd: EmptyAtFirst {
    static let empty = Empty<SessionEnd>()

    var will: Message?
    var willDelaySeconds: UInt32 = 0
    var willDue = MonotonicTime.distantFuture
    var expiresAt = MonotonicTime.distantFuture
    /// The deadline in the shard's heap that counts.
    var deadline = MonotonicTime.distantFuture
    /// When the connection ended.
    var detachedAt = MonotonicTime.zero
}

// What is there for some sessions only, as if it were there for all. A value that says nothing is not
// written where there is none.
extension Session {
    var window: InFlightWindow<InFlightMessage> {
        @inline(__always) _read { yield backlog.value.window }
        @inline(__always) _modify { yield &backlog.value.window }
    }

    var queue: RingQueue<QueuedMessage> {
        @inline(__always) _read { yield backlog.value.queue }
        @inline(__always) _modify { yield &backlog.value.queue }
    }

    var queuedBytes: Int {
        get { backlog.isMade ? backlog.value.queuedBytes : 0 }
        set { backlog.value.queuedBytes = newValue }
    }

    var inFlightBytes: Int {
        @inline(__always) get { backlog.isMade ? backlog.value.inFlightBytes : 0 }
        set { backlog.value.inFlightBytes = newValue }
    }

    var queuedAtMostOnce: Int {
        @inline(__always) get { backlog.isMade ? backlog.value.queuedAtMostOnce : 0 }
        set { backlog.value.queuedAtMostOnce = newValue }
    }

    var isFull: Bool {
        get { backlog.isMade && backlog.value.isFull }
        set { if newValue || backlog.isMade { backlog.value.isFull = newValue } }
    }

    var hasSharedMessages: Bool {
        get { backlog.isMade && backlog.value.hasSharedMessages }
        set { backlog.value.hasSharedMessages = newValue }
    }

    var incoming: PacketIDSet {
        @inline(__always) _read { yield backlog.value.incoming }
        @inline(__always) _modify { yield &backlog.value.incoming }
    }

    var lookups: RingQueue<RetainedLookup> {
        @inline(__always) _read { yield backlog.value.lookups }
        @inline(__always) _modify { yield &backlog.value.lookups }
    }

    var droppedMessages: UInt64 {
        get { backlog.isMade ? backlog.value.droppedMessages : 0 }
        set { if newValue > 0 || backlog.isMade { backlog.value.droppedMessages = newValue } }
    }

    var keptBytes: Int {
        get { backlog.isMade ? backlog.value.keptBytes : 0 }
        set { backlog.value.keptBytes = newValue }
    }

    var recordedIncoming: PacketIDSet {
        @inline(__always) _read { yield backlog.value.recordedIncoming }
        @inline(__always) _modify { yield &backlog.value.recordedIncoming }
    }

    var powerIncoming: PacketIDSet {
        @inline(__always) _read { yield backlog.value.powerIncoming }
        @inline(__always) _modify { yield &backlog.value.powerIncoming }
    }

    var nextPosition: UInt64 {
        get { backlog.isMade ? backlog.value.nextPosition : 1 }
        set { if newValue != 1 || backlog.isMade { backlog.value.nextPosition = newValue } }
    }

    var will: Message? {
        get { end.isMade ? end.value.will : nil }
        set { if newValue != nil || end.isMade { end.value.will = newValue } }
    }

    var willDelaySeconds: UInt32 {
        get { end.isMade ? end.value.willDelaySeconds : 0 }
        set { end.value.willDelaySeconds = newValue }
    }

    var willDue: MonotonicTime {
        get { end.isMade ? end.value.willDue : .distantFuture }
        set { if newValue != .distantFuture || end.isMade { end.value.willDue = newValue } }
    }

    var expiresAt: MonotonicTime {
        get { end.isMade ? end.value.expiresAt : .distantFuture }
        set { if newValue != .distantFuture || end.isMade { end.value.expiresAt = newValue } }
    }

    var deadline: MonotonicTime {
        get { end.isMade ? end.value.deadline : .distantFuture }
        set { if newValue != .distantFuture || end.isMade { end.value.deadline = newValue } }
    }

    var detachedAt: MonotonicTime {
        get { end.isMade ? end.value.detachedAt : .zero }
        set { if newValue != .zero || end.isMade { end.value.detachedAt = newValue } }
    }
}
