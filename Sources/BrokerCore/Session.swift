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
/// Its subscriptions stand in the shard's tree, under the session's index. What an idle session has no use
/// for is made when it is needed.
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
    /// What its client may do, resolved at CONNECT and when rules change; `nil` where nothing is
    /// forbidden and nobody has asked.
    var rights: Rights?
    /// Messages on their way, and what depends on them.
    var backlog = OnDemand<SessionBacklog>()
    /// What happens once its connection has ended.
    var end = OnDemand<SessionEnd>()
    /// The listener that its client came through last, as rules know it: its number in `ListenerNames`.
    var listener = ListenerNames.none
    var connection = Session.noConnection
    /// Seconds that it outlives its connection.
    var expirySeconds: UInt32
    /// Nothing of it is kept once its connection ends, so nothing of it is recorded either.
    var isTransient: Bool { expirySeconds == 0 }

    /// Some of what its subscriptions ask for, or of what waits for it, may be forbidden: each message
    /// is looked at.
    var checksDeliveries = false
    /// The journal knows it: it was one that outlives its connection.
    var isRecorded = false
    /// It has no cap of its own: its publishers are refused instead. A bridge's.
    var isReserved = false

    init(number: UInt64, clientID: [UInt8], owner: [UInt8]?, expirySeconds: UInt32) {
        self.number = number
        self.clientID = clientID
        self.owner = owner
        self.expirySeconds = expirySeconds
    }

    var isConnected: Bool { connection != Session.noConnection }

    /// What waits for its client or for its acknowledgement.
    var pendingMessages: Int {
        backlog.isMade ? backlog.value.queue.count + backlog.value.window.count : 0
    }
}
