/// The client's side of MQTT, without I/O: bytes, calls and the time go in; bytes, events and a
/// deadline come out.
///
/// It lives as long as the program and goes through many connections. For each: `transportOpened`,
/// then `received` with what was read, and whatever stands in `output` is written; after an event
/// `closed` what is left in `output` is written and the transport closed; `transportClosed` when it
/// is gone. Between connections the session keeps what the standard calls session state (unanswered
/// messages of QoS 1 and 2) and what the application asked for (queued messages, subscriptions).
///
/// Choices where the standard leaves one:
/// - The server lost the session (session present 0): messages on their way are published again as
///   new messages, those between PUBREC and PUBCOMP too. At least once is kept; the outcome says
///   `publishedAgain`.
/// - The server takes a lower QoS or keeps no retained messages: the message goes with what the
///   server can, and the outcome says so. Refusing it would lose data for lack of a flag.
/// - Topic aliases are not used, subscription identifiers and enhanced authentication not asked for.
public struct ClientSession: ~Copyable {
    enum State: Equatable {
        /// No transport.
        case idle
        /// CONNECT is sent.
        case connecting(deadline: MonotonicTime)
        case connected
        /// `closed` was said; the transport is to be closed.
        case ended
    }

    /// What a packet identifier stands for.
    enum InFlight: Sendable {
        case publish(PendingPublish)
        case subscribe(group: UInt64, token: UInt64, answers: [ReasonCode?])
        case unsubscribe(request: UInt64, token: UInt64, filterCount: Int)
    }

    /// What the session was told once.
    public let configuration: ClientSessionConfiguration
    /// Bytes for the transport; consume what was written, then call `outputDrained`.
    public var output = ByteBuffer()
    /// What the server can do; as of the latest CONNACK.
    public internal(set) var server = ServerCapabilities()
    /// The version of this connection, or of the next.
    public internal(set) var version: ProtocolVersion
    /// Bytes of topics, properties and payloads that wait or are on their way.
    public internal(set) var queuedBytes = 0

    /// The application takes nothing for now: see `wantsInput`.
    public var pausesInput = false

    var state = State.idle
    var decoder: PacketDecoder
    var clientID: [UInt8]
    var hasConnected = false
    var keepAlive: KeepAlive
    var events = RingQueue<ClientSessionEvent>()
    var queue = RingQueue<PendingPublish>()
    var window: InFlightWindow<InFlight>
    var publishesInFlight = 0
    var inbound: InboundWindow
    var subscriptions = ClientSubscriptions()
    var controlIDs: [UInt16] = []

    /// A session without a connection.
    ///
    /// `firstPacketID`: a client that continues a session of an earlier process
    /// (`cleanStart = false`) passes a random number here, so that its messages of QoS 2 are not
    /// taken for those that the server still knows by their identifiers.
    public init(_ configuration: ClientSessionConfiguration, firstPacketID: UInt16 = 1) {
        self.configuration = configuration
        version = configuration.version.firstVersion
        decoder = PacketDecoder(receiver: .client, version: version, limits: WireLimits())
        clientID = Array(configuration.clientID.utf8)
        keepAlive = KeepAlive(
            intervalSeconds: 0, responseTimeout: configuration.pingResponseTimeout, now: .zero)
        window = InFlightWindow(firstID: firstPacketID)
        inbound = InboundWindow(receiveMaximum: max(1, Int(configuration.receiveMaximum)))
    }

    /// Whether CONNACK has come and the connection is not over.
    public var isConnected: Bool { state == .connected }

    /// Messages that wait or are on their way.
    public var queuedMessages: Int { queue.count + publishesInFlight }

    /// Whether there is nothing left that the server has to answer or that waits for it.
    public var isDrained: Bool { queuedMessages == 0 && controlIDs.isEmpty }

    /// Whether bytes should be read. False while a connected application pauses; and in 3.x, which
    /// knows no receive maximum, while it holds `receiveMaximum` messages unacknowledged. Call
    /// `received` again with what was left once it is true.
    public var wantsInput: Bool {
        guard isConnected else { return true }
        guard !pausesInput else { return false }
        return version == .v5_0 || inbound.held < max(1, Int(configuration.receiveMaximum))
    }

    /// The oldest event not yet taken.
    public mutating func nextEvent() -> ClientSessionEvent? { events.popFirst() }

    // MARK: The transport

    /// A transport is open: CONNECT goes into `output`. The configuration must be valid.
    public mutating func transportOpened(at now: MonotonicTime) {
        precondition(state == .idle, "the earlier transport was not reported as closed")
        precondition(configuration.problem == nil, "the configuration is not valid")
        decoder = PacketDecoder(
            receiver: .client, version: version,
            limits: WireLimits(maximumPacketSize: configuration.maximumPacketSize))
        output.removeAll()
        state = .connecting(deadline: now + configuration.connectTimeout)
        writeConnect()
    }

    /// Bytes came. Returns how many were used; the rest, a packet that is not complete (or, when
    /// `wantsInput` is false, was not looked at), comes again at the start of the next call.
    public mutating func received(_ bytes: Span<UInt8>, at now: MonotonicTime) -> Int {
        guard state != .idle else { return bytes.count }
        keepAlive.received(at: now)
        var offset = 0
        while isOpen && wantsInput && offset < bytes.count {
            recognizeOldServer(bytes)
            do throws(WireError) {
                guard let decoded = try decoder.decode(bytes, from: offset) else { break }
                offset = decoded.end
                try handle(decoded.packet, in: bytes, at: now)
            } catch {
                fail(error)
            }
        }
        pump(at: now)
        return isOpen ? offset : bytes.count
    }

    /// Bytes of `output` were written.
    public mutating func outputDrained(at now: MonotonicTime) { pump(at: now) }

    /// The transport is gone, by whomever.
    public mutating func transportClosed(at now: MonotonicTime) {
        if isOpen { end(.transportClosed) }
        guard state == .ended else { return }
        state = .idle
        output.removeAll()
    }

    // MARK: The time

    /// When `advance` has something to do at the latest; `nil`: never.
    public var nextDeadline: MonotonicTime? {
        switch state {
        case .connecting(let deadline): deadline
        case .connected: keepAlive.deadline
        case .idle, .ended: nil
        }
    }

    /// The time has come to `now`.
    public mutating func advance(to now: MonotonicTime) {
        switch state {
        case .connecting(let deadline):
            if deadline <= now {
                output.removeAll()
                end(.connectTimeout)
            }
        case .connected:
            switch keepAlive.poll(at: now) {
            case .nothing: break
            case .sendPing: write(.pingReq)
            case .giveUp where wantsInput:
                output.removeAll()
                end(.pingTimeout)
            case .giveUp: keepAlive.received(at: now)  // We did not read: that proves nothing.
            }
        case .idle, .ended: break
        }
    }

    // MARK: The end

    /// Says goodbye: DISCONNECT goes into `output`, `closed(.requested)` follows. With
    /// `disconnectWithWillMessage` the server publishes the will (5.0).
    public mutating func disconnect(reasonCode: ReasonCode = .normalDisconnection) {
        guard isOpen else { return }
        if isConnected {
            write(.disconnect(Disconnect(reasonCode: reasonCode)))
        }
        end(.requested)
    }

    var isOpen: Bool {
        switch state {
        case .connecting, .connected: true
        case .idle, .ended: false
        }
    }

    /// The peer broke the protocol: it is told why where the version has a way to [MQTT-4.13.1-1].
    mutating func fail(_ error: WireError) {
        if version == .v5_0 && isConnected {
            write(.disconnect(Disconnect(reasonCode: error.reasonCode)))
        }
        end(
            .protocolError(
                error.reasonCode, clause: error.clause.description,
                detail: error.detail.description))
    }

    mutating func end(_ reason: SessionEnd) {
        state = .ended
        inbound.connectionClosed()
        // What asks for subscriptions is no session state: it is asked again.
        for id in controlIDs { _ = window.complete(id) }
        controlIDs = []
        subscriptions.connectionClosed()
        events.append(.closed(reason))
    }

    // MARK: Packets

    /// Appends a packet that has no strings.
    mutating func write(_ packet: Packet) {
        let nothing: [UInt8] = []
        packet.encode(from: nothing.span, version: version, into: &output)
    }

    private mutating func handle(
        _ packet: Packet, in source: Span<UInt8>, at now: MonotonicTime
    ) throws(WireError) {
        guard isConnected else {
            guard case .connAck(let connAck) = packet else {
                throw WireError(
                    reasonCode: .protocolError, clause: "MQTT-3.2.0-1",
                    detail: "the server's first packet is not CONNACK")
            }
            return try handle(connAck, in: source, at: now)
        }
        switch packet {
        case .publish(let publish): try handle(publish, in: source)
        case .pubAck(let packet): try pubAckReceived(packet)
        case .pubRec(let packet): try pubRecReceived(packet)
        case .pubRel(let packet): try pubRelReceived(packet)
        case .pubComp(let packet): try pubCompReceived(packet)
        case .subAck(let packet): try subAckReceived(packet, in: source)
        case .unsubAck(let packet): try unsubAckReceived(packet, in: source)
        case .pingResp: break
        case .disconnect(let packet):
            output.removeAll()
            end(
                .disconnectedByServer(
                    packet.reasonCode,
                    reasonString: packet.properties.text(.reasonString, in: source),
                    serverReference: packet.properties.text(.serverReference, in: source)))
        case .connAck, .connect, .subscribe, .unsubscribe, .pingReq, .auth:
            throw WireError(
                reasonCode: .protocolError, clause: "4.13.1",
                detail: "a packet that a server does not send now")
        }
    }

    /// Sends what may be sent: acknowledgements, then what has to be sent again, then what is new.
    mutating func pump(at now: MonotonicTime) {
        guard isConnected else { return }
        let before = output.count
        sendAcknowledgements()
        resend()
        sendSubscriptions()
        if !window.isResending { sendQueued() }
        if output.count > before { keepAlive.sent(at: now) }
    }

    /// Traps when the session contradicts itself; for tests and the simulation.
    public func checkInvariants() {
        window.checkInvariants()
        inbound.checkInvariants()
        precondition(
            window.count == publishesInFlight + controlIDs.count, "the window holds something else")
    }
}

extension Properties {
    /// A string property as text, for people.
    func text(_ identifier: PropertyIdentifier, in source: Span<UInt8>) -> String? {
        range(identifier, in: source).map { String(decoding: Array(source, $0), as: UTF8.self) }
    }
}
