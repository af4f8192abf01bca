import MQTT

/// One network connection, from its start to its end. What an idle one has no use for is made on demand.
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
        /// Counted as `ConnectionTraffic.sentBytes` is.
        var start: UInt64
        /// PUBACKs behind it: QoS 1 messages of the client that are not acknowledged yet.
        var acknowledgements: Int
    }

    static let noSession = UInt32.max

    let rules: SharedRules
    /// What is needed until CONNECT is settled.
    var setup = OnDemand<ConnectionSetup>()
    /// What is needed while something is held back or put together.
    var traffic = OnDemand<ConnectionTraffic>()
    var decoder: PacketDecoder
    // By size, so that nothing is lost to alignment.
    /// What `MemoryUse.bufferBytes` counts of `input` and `output`.
    var countedBuffers: UInt32 = 0
    /// How many QoS 1 and 2 messages may await the client's acknowledgement.
    var sendQuota: Int32 = 0
    /// The client's Maximum Packet Size.
    var maximumPacketSize = UInt32(WireLimits.largestPacketSize)
    var session = Connection.noSession
    /// The largest topic alias that the client is sent; 0 for none.
    var outgoingAliasMaximum: UInt16 = 0
    var keepAliveSeconds: UInt16 = 0
    var phase = Phase.awaitingConnect
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
    /// Its session has look-ups of retained messages to come; until they are done, no further packet
    /// is taken.
    var awaitsLookups = false
    /// It published faster than it may; until it may go on, no further packet is taken.
    var awaitsRate = false
    /// A message of it must be kept, and there is no room; it lies at the front of `input`.
    var awaitsRoom = false
    /// So much is not committed that it is not read.
    var awaitsCommit = false
    /// It publishes for a shard that is behind: nothing is read until that has caught up.
    var awaitsShard = false
    var connectedAt = MonotonicTime.zero
    var lastReceived: MonotonicTime
    /// The deadline in the shard's heap that counts.
    var deadline = MonotonicTime.distantFuture
    var output = ByteBuffer()

    init(rules: SharedRules, nonce: UInt64, limits: WireLimits, now: MonotonicTime) {
        decoder = PacketDecoder(receiver: .server, limits: limits, awaitsConnect: true)
        self.rules = rules
        lastReceived = now
        setup.value.nonce = nonce
    }

    var version: ProtocolVersion { decoder.version }
    var isVersion5: Bool { decoder.version == .v5_0 }

    /// How many bytes of the output may leave now.
    var releasedCount: Int {
        guard hasGates else { return output.count }
        return Int(traffic.value.gates[0].start - traffic.value.sentBytes)
    }

    /// QoS 1 messages of the client whose PUBACK has not been released.
    var heldAcknowledgements: Int {
        hasGates ? traffic.value.gates.reduce(0) { $0 + $1.acknowledgements } : 0
    }

    /// Holds what is appended next back until `turn` is committed; says whether nothing did before.
    mutating func hold(for turn: TurnNumber, acknowledgements: Int) -> Bool {
        if hasGates, let last = gates.indices.last, gates[last].turn == turn {
            gates[last].acknowledgements += acknowledgements
            return false
        }
        traffic.value.gates.append(
            Gate(
                turn: turn, start: traffic.value.sentBytes + UInt64(output.count),
                acknowledgements: acknowledgements))
        return true
    }

    /// Whether what comes is kept for later: the connection moves, a password is checked, retained messages
    /// are looked up, or the client has to wait.
    var holdsInput: Bool {
        phase == .authenticating || phase == .moving || awaitsExchange
            || phase == .connected && (awaitsLookups || awaitsRoom || awaitsRate)
    }

    /// Whether nothing of a connected client's is waited for that it must not be read for.
    var mayBeRead: Bool {
        phase == .connected && !holdsInput && !awaitsCommit && !awaitsShard
    }
}
