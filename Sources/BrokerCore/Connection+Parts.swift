import MQTT

/// What a connection needs until it is connected; with enhanced authentication or an identity of the
/// transport's, as long as it lives.
struct ConnectionSetup: EmptyAtFirst {
    static let empty = Empty<ConnectionSetup>()

    /// The user whom the transport has proven.
    var identity: [UInt8]?
    /// Random bits from the shell, for an assigned client identifier.
    var nonce: UInt64 = 0
    /// What its CONNECT says that it is, until that is settled.
    var claim: ClientClaim?
    /// Its enhanced authentication; `nil` where CONNECT named no method.
    var exchange: Exchange?
    /// What `connectingBytes` counts of `input`.
    var countedBytes = 0

    var isOver: Bool {
        identity == nil && claim == nil && exchange == nil && countedBytes == 0
    }
}

/// What a connection needs once there is something to hold back, to put together or to remember.
struct ConnectionTraffic: EmptyAtFirst, ~Copyable {
    static let empty = Empty<ConnectionTraffic>()

    /// A part of a packet; while a password is checked or retained messages are looked up, what came.
    var input = ByteBuffer()
    /// Bytes that have left, since there are gates.
    var sentBytes: UInt64 = 0
    var gates: [Connection.Gate] = []
    var aliases: ConnectionAliases?
    var droppedMessages: UInt64 = 0
    /// The topic that the client published to last, and may; empty for none.
    var allowedTopic: [UInt8] = []
    /// QoS 2 messages that came in on this connection and were not released: what our Receive Maximum
    /// counts. The session may hold more, of earlier connections.
    var openIncoming: Int32 = 0
    /// Until when it waits for room.
    var waitsUntil = MonotonicTime.distantFuture

    /// Whether it holds nothing that one made anew would not hold.
    var isIdle: Bool {
        input.isEmpty && gates.isEmpty && aliases == nil && droppedMessages == 0
            && allowedTopic.isEmpty && openIncoming == 0 && waitsUntil == .distantFuture
    }
}

// What is there for some connections only, as if it were there for all; see `Session`.
extension Connection {
    var identity: [UInt8]? {
        get { setup.isMade ? setup.value.identity : nil }
        set { setup.value.identity = newValue }
    }

    var nonce: UInt64 { setup.isMade ? setup.value.nonce : 0 }

    var claim: ClientClaim? {
        get { setup.isMade ? setup.value.claim : nil }
        set { setup.value.claim = newValue }
    }

    var exchange: Exchange? {
        @inline(__always) _read { yield setup.value.exchange }
        @inline(__always) _modify { yield &setup.value.exchange }
    }

    /// Its enhanced authentication waits for the shell.
    var awaitsExchange: Bool {
        @inline(__always) get { setup.isMade && setup.value.exchange?.awaitsShell == true }
    }

    var countedBytes: Int {
        @inline(__always) get { setup.isMade ? setup.value.countedBytes : 0 }
        set { if newValue > 0 || setup.isMade { setup.value.countedBytes = newValue } }
    }

    /// Bytes of a CONNECT that is not done.
    var heldConnectBytes: Int {
        let kept = setup.isMade ? setup.value.exchange?.connect.count ?? 0 : 0
        return kept + (hasInput ? traffic.value.input.count : 0)
    }

    /// Gives back what only a connection needed that was not connected yet.
    @inline(never)
    mutating func settle() {
        if setup.isMade && setup.value.isOver { setup.release() }
        if traffic.isMade && traffic.value.isIdle { traffic.release() }
    }

    var input: ByteBuffer {
        @inline(__always) _read { yield traffic.value.input }
        @inline(__always) _modify { yield &traffic.value.input }
    }

    var hasInput: Bool {
        @inline(__always) get { traffic.isMade && !traffic.value.input.isEmpty }
    }

    var hasGates: Bool {
        @inline(__always) get { traffic.isMade && !traffic.value.gates.isEmpty }
    }

    var gates: [Gate] {
        @inline(__always) _read { yield traffic.value.gates }
        @inline(__always) _modify { yield &traffic.value.gates }
    }

    var aliases: ConnectionAliases? {
        get { traffic.isMade ? traffic.value.aliases : nil }
        set { traffic.value.aliases = newValue }
    }

    var droppedMessages: UInt64 {
        get { traffic.isMade ? traffic.value.droppedMessages : 0 }
        set { traffic.value.droppedMessages = newValue }
    }

    /// Whether the client published to this topic last, and may.
    @inline(__always)
    func isAllowed(_ topic: Span<UInt8>) -> Bool {
        traffic.isMade && traffic.value.allowedTopic.isEqual(to: topic)
    }

    /// Notes the topic; an empty one for none.
    mutating func allow(_ topic: [UInt8]) {
        if !topic.isEmpty || traffic.isMade { traffic.value.allowedTopic = topic }
    }

    var openIncoming: Int32 {
        get { traffic.isMade ? traffic.value.openIncoming : 0 }
        set { traffic.value.openIncoming = newValue }
    }

    var waitsUntil: MonotonicTime {
        get { traffic.isMade ? traffic.value.waitsUntil : .distantFuture }
        set { traffic.value.waitsUntil = newValue }
    }
}
