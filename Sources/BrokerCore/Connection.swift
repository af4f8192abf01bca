import MQTT

/// One network connection, from its start to its end.
struct Connection: ~Copyable {
    enum Phase: UInt8 {
        case awaitingConnect
        /// CONNECT lies in `input`, and goes to the shard of its client identifier.
        case moving
        /// CONNECT lies in `input` while its password is checked.
        case authenticating
        /// The password was right; CONNECT is taken from `input` again.
        case authenticated
        /// Client and server authenticate each other by AUTH; CONNECT is kept in `exchange`.
        case exchanging
        case connected
        /// What is in `output` leaves; nothing is taken any more.
        case closing
    }

    /// Bytes from `start` on wait until `turn` is committed.
    struct Gate {
        var turn: TurnNumber
        /// Counted from the connection's first byte out.
        var start: UInt64
        /// PUBACKs behind it: QoS 1 messages of the client that are not acknowledged yet.
        var acknowledgements: Int
    }

    static let noSession = UInt32.max

    let rules: SharedRules
    /// The user whom the transport has proven.
    var identity: [UInt8]?
    /// Random bits from the shell, for an assigned client identifier.
    let nonce: UInt64
    var phase = Phase.awaitingConnect
    var decoder: PacketDecoder
    /// Reason strings and user properties may be sent with anything. [MQTT-3.1.2-29]
    var wantsProblemInformation = true
    var isBridge = false
    /// There are rules: what its client publishes is looked at.
    var isRestricted = false
    /// Its listener takes less than QoS 2, or no RETAIN.
    var hasPublishTerms = false
    var isDirty = false
    var isReadingPaused = false
    /// A full output dropped a message since it was last empty.
    var isSlow = false
    var keepAliveSeconds: UInt16 = 0
    /// QoS 2 messages that came in on this connection and were not released: what our Receive Maximum
    /// counts. The session may hold more, of earlier connections.
    var openIncoming: Int32 = 0
    /// What `connectingBytes` counts of `input`.
    var countedBytes = 0
    /// Its session has look-ups of retained messages to come; until they are done, no further packet
    /// is taken.
    var awaitsLookups = false
    /// It published faster than it may; until it may go on, no further packet is taken.
    var awaitsRate = false
    /// A message of it must be kept, and there is no room; it lies at the front of `input`.
    var awaitsRoom = false
    /// So much is not committed that it is not read.
    var awaitsCommit = false
    /// Until when it waits for room.
    var waitsUntil = MonotonicTime.distantFuture
    /// It publishes for a shard that is behind: nothing is read until that has caught up.
    var awaitsShard = false
    /// How many QoS 1 and 2 messages may await the client's acknowledgement.
    var sendQuota: Int32 = 0
    /// The largest topic alias that the client is sent; 0 for none.
    var outgoingAliasMaximum: UInt16 = 0
    var aliases: ConnectionAliases?
    /// The client's Maximum Packet Size.
    var maximumPacketSize = UInt32(WireLimits.largestPacketSize)
    var session = Connection.noSession
    /// What its CONNECT says that it is, until that is settled.
    var claim: ClientClaim?
    /// Its enhanced authentication; `nil` where CONNECT named no method.
    var exchange: Exchange?
    var connectedAt = MonotonicTime.zero
    var lastReceived: MonotonicTime
    /// The deadline in the shard's heap that counts.
    var deadline = MonotonicTime.distantFuture
    /// A part of a packet; while a password is checked or retained messages are looked up, what came.
    var input = ByteBuffer()
    var output = ByteBuffer()
    /// Bytes that have left.
    var sentBytes: UInt64 = 0
    var gates: [Gate] = []
    var droppedMessages: UInt64 = 0
    /// The topic that the client published to last, and may; empty for none.
    var allowedTopic: [UInt8] = []

    init(rules: SharedRules, nonce: UInt64, limits: WireLimits, now: MonotonicTime) {
        decoder = PacketDecoder(receiver: .server, limits: limits, awaitsConnect: true)
        self.rules = rules
        self.nonce = nonce
        lastReceived = now
    }

    var version: ProtocolVersion { decoder.version }
    var isVersion5: Bool { decoder.version == .v5_0 }

    /// How many bytes of the output may leave now.
    var releasedCount: Int {
        guard let gate = gates.first else { return output.count }
        return Int(gate.start - sentBytes)
    }

    /// QoS 1 messages of the client whose PUBACK has not been released.
    var heldAcknowledgements: Int { gates.reduce(0) { $0 + $1.acknowledgements } }

    /// Holds what is appended next back until `turn` is committed; says whether nothing did before.
    mutating func hold(for turn: TurnNumber, acknowledgements: Int) -> Bool {
        if let last = gates.indices.last, gates[last].turn == turn {
            gates[last].acknowledgements += acknowledgements
            return false
        }
        gates.append(
            Gate(
                turn: turn, start: sentBytes + UInt64(output.count),
                acknowledgements: acknowledgements))
        return true
    }

    /// Whether what comes is kept for later: the connection moves, a password is checked, retained messages
    /// are looked up, or the client has to wait.
    var holdsInput: Bool {
        phase == .authenticating || phase == .moving || exchange?.awaitsShell == true
            || phase == .connected && (awaitsLookups || awaitsRoom || awaitsRate)
    }

    /// Whether nothing of a connected client's is waited for that it must not be read for.
    var mayBeRead: Bool {
        phase == .connected && !holdsInput && !awaitsCommit && !awaitsShard
    }
}
