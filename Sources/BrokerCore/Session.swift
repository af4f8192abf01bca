import MQTT

/// A QoS 1 or 2 message that was sent and is not completed.
struct InFlightMessage {
    /// `nil` in a session that ends with its connection, where it is never sent again; a message of a
    /// shared subscription may then go to another member.
    var message: Message?
    var options: DeliveryOptions
    /// Its place in the session's journal; 0: it is not recorded.
    var position: UInt64 = 0
}

/// A message that waits until the client takes it.
struct QueuedMessage {
    var message: Message
    var options: DeliveryOptions
    /// Its place in the session's journal; 0: it is not recorded.
    var position: UInt64 = 0

    var qos: QoS { options.qos }

    /// What it costs its queue, in bytes.
    var cost: Int { message.cost + options.extraBytes }
}

/// What is kept for a client identifier, connected or not. [MQTT-4.1.0-1]
///
/// Its subscriptions stand in the shard's tree, under the session's index.
struct Session: ~Copyable {
    static let noConnection = UInt32.max
    /// The session expiry that means "never".
    static let never = UInt32.max

    /// Identifiers from the oldest message in flight to the newest: one that a client never
    /// acknowledges stops its own session there, and costs no more memory than this.
    static let maximumSpan = 8_192

    /// Names it in the journal, for ever.
    let number: UInt64
    let clientID: [UInt8]
    /// The user whose password opened it; nobody else takes it over.
    let owner: [UInt8]?
    /// The listener that its client came through last, as rules know it.
    var listener = ""
    /// What its client may do, resolved at CONNECT and when rules change; `nil` where nothing is
    /// forbidden and nobody has asked.
    var rights: Rights?
    /// Some of what its subscriptions ask for, or of what waits for it, may be forbidden: each message
    /// is looked at.
    var checksDeliveries = false
    var connection = Session.noConnection
    /// Seconds that it outlives its connection.
    var expirySeconds: UInt32
    /// Nothing of it is kept once its connection ends, so nothing of it is recorded either.
    var isTransient: Bool { expirySeconds == 0 }

    var window = InFlightWindow<InFlightMessage>(maximumSpan: Session.maximumSpan)
    var queue = RingQueue<QueuedMessage>()
    var queuedBytes = 0
    /// QoS 0 messages in the queue: while there are any, later ones must not overtake them.
    var queuedAtMostOnce = 0
    /// QoS 2 messages that came in and were not released.
    var incoming = PacketIDSet()

    /// It was given a message of a shared subscription.
    var hasSharedMessages = false

    /// Subscriptions whose retained messages are still to be looked up.
    var lookups = RingQueue<RetainedLookup>()

    var will: Message?
    var willDelaySeconds: UInt32 = 0
    var willDue = MonotonicTime.distantFuture
    var expiresAt = MonotonicTime.distantFuture
    /// The deadline in the shard's heap that counts.
    var deadline = MonotonicTime.distantFuture

    /// What its queue had no room for; what its connections did not take is added when they end.
    var droppedMessages: UInt64 = 0
    /// The queue dropped a message since it was last empty.
    var isFull = false

    /// The journal knows it: it was one that outlives its connection.
    var isRecorded = false
    /// It has no cap of its own: its publishers are refused instead. A bridge's.
    var isReserved = false
    /// When its connection ended.
    var detachedAt = MonotonicTime.zero
    /// Bytes that its messages take in the journal, about.
    var keptBytes = 0
    /// The QoS 2 identifiers in `incoming` that the journal knows.
    var recordedIncoming = PacketIDSet()
    /// Those of them that withstand a power cut.
    var powerIncoming = PacketIDSet()
    /// The position of the next message in the journal.
    var nextPosition: UInt64 = 1

    init(number: UInt64, clientID: [UInt8], owner: [UInt8]?, expirySeconds: UInt32) {
        self.number = number
        self.clientID = clientID
        self.owner = owner
        self.expirySeconds = expirySeconds
    }

    var isConnected: Bool { connection != Session.noConnection }

    /// What waits for its client or for its acknowledgement.
    var pendingMessages: Int { queue.count + window.count }
}
