import MQTT

/// What a client sent, copied out of its packet.
enum SentPacket: Equatable, Sendable {
    case connect(clean: Bool, clientID: String, keepAlive: UInt16)
    case publish(topic: String, payload: String, qos: QoS, id: UInt16?, dup: Bool, retain: Bool)
    case ack(PacketType, UInt16, ReasonCode)
    case subscribe(id: UInt16, filters: [String])
    case unsubscribe(id: UInt16, filters: [String])
    case pingReq
    case disconnect(ReasonCode)
}

/// A client session with a scripted server at its other end and a clock that only the test moves.
final class SessionUnderTest {
    var session: ClientSession
    var now = MonotonicTime(nanoseconds: 1_000_000_000_000)
    private(set) var lastConnect: [UInt8] = []
    private var decoder: PacketDecoder
    private var nextBytes: [UInt8] = []
    private var version: ProtocolVersion
    private var unread: [UInt8] = []

    init(
        _ version: ProtocolVersion = .v5_0, clientID: String = "c",
        _ configure: (inout ClientSessionConfiguration) -> Void = { _ in }
    ) {
        var configuration = ClientSessionConfiguration(clientID: clientID)
        configuration.version = .exactly(version)
        configure(&configuration)
        self.version = version
        session = ClientSession(configuration)
        decoder = PacketDecoder(receiver: .server, version: version)
    }

    func pass(_ duration: Duration) {
        now = now + duration
        session.advance(to: now)
    }

    // MARK: The client's side

    var isConnected: Bool { session.isConnected }
    var isDrained: Bool { session.isDrained }
    var wantsInput: Bool { session.wantsInput }
    var spokenVersion: ProtocolVersion { session.version }
    var server: ServerCapabilities { session.server }
    var queuedMessages: Int { session.queuedMessages }
    var queuedBytes: Int { session.queuedBytes }
    var outputCount: Int { session.output.count }
    var nextDeadline: MonotonicTime? { session.nextDeadline }

    func send(_ message: OutgoingMessage) -> PublishRefusal? {
        session.publish(message, token: 0, at: now)
    }

    func events() -> [ClientSessionEvent] {
        var all: [ClientSessionEvent] = []
        while let event = session.nextEvent() { all.append(event) }
        session.checkInvariants()
        return all
    }

    @discardableResult
    func publish(
        _ topic: String, _ payload: String = "x", qos: QoS = .atLeastOnce, retain: Bool = false,
        token: UInt64 = 0
    ) -> PublishRefusal? {
        let message = OutgoingMessage(
            topic: topic, payload: Array(payload.utf8), qos: qos, retain: retain)
        return session.publish(message, token: token, at: now)
    }

    func acknowledge(_ delivery: DeliveryID?, _ code: ReasonCode = .success) {
        guard let delivery else { return }
        session.acknowledge(delivery, reasonCode: code, at: now)
    }

    /// Everything that the client wrote since the last call.
    func sent() -> [SentPacket] {
        nextBytes += takeOutput()
        var packets: [SentPacket] = []
        var offset = 0
        do {
            while let decoded = try decoder.decode(nextBytes.span, from: offset) {
                if case .connect = decoded.packet {
                    lastConnect = Array(nextBytes[offset..<decoded.end])
                    version = decoder.version
                }
                packets.append(Self.describe(decoded.packet, nextBytes.span))
                offset = decoded.end
            }
        } catch {
            preconditionFailure("the client sent what a server refuses: \(error)")
        }
        nextBytes.removeFirst(offset)
        return session.output.isEmpty ? packets : packets + sent()
    }

    /// The bytes that the client wrote since the last call.
    func takeOutput() -> [UInt8] {
        let bytes = session.output.withSpan { span in span.indices.map { span[$0] } }
        session.output.consume(bytes.count)
        session.outputDrained(at: now)
        return bytes
    }

    private static func describe(_ packet: Packet, _ source: Span<UInt8>) -> SentPacket {
        func text(_ range: ByteRange) -> String {
            String(decoding: range.range.map { source[$0] }, as: UTF8.self)
        }
        switch packet {
        case .connect(let packet):
            return .connect(
                clean: packet.cleanStart, clientID: text(packet.clientID),
                keepAlive: packet.keepAlive)
        case .publish(let packet):
            return .publish(
                topic: text(packet.topic), payload: text(packet.payload), qos: packet.qos,
                id: packet.packetID, dup: packet.duplicate, retain: packet.retain)
        case .pubAck(let packet), .pubRec(let packet), .pubRel(let packet), .pubComp(let packet):
            return .ack(packet.kind, packet.packetID, packet.reasonCode)
        case .subscribe(let packet):
            var filters: [String] = []
            var iterator = packet.makeIterator()
            while let next = iterator.next(in: source) { filters.append(text(next.filter)) }
            return .subscribe(id: packet.packetID, filters: filters)
        case .unsubscribe(let packet):
            var filters: [String] = []
            var iterator = packet.makeIterator()
            while let next = iterator.next(in: source) { filters.append(text(next)) }
            return .unsubscribe(id: packet.packetID, filters: filters)
        case .pingReq: return .pingReq
        case .disconnect(let packet): return .disconnect(packet.reasonCode)
        case .connAck, .subAck, .unsubAck, .pingResp, .auth:
            preconditionFailure("no packet of a client that does not authenticate further")
        }
    }

    // MARK: The server's side

    func receive(_ bytes: [UInt8]) {
        let used = session.received(bytes.span, at: now)
        precondition(used == bytes.count, "whole packets are used whole")
    }

    /// Bytes that may end within a packet; the rest of it comes first the next time.
    func receivePart(_ bytes: [UInt8]) {
        unread += bytes
        let used = session.received(unread.span, at: now)
        unread.removeFirst(used)
    }

    func receive(_ packet: Packet, from source: [UInt8] = []) {
        receive(Self.bytes(packet, from: source, version))
    }

    static func bytes(
        _ packet: Packet, from source: [UInt8] = [], _ version: ProtocolVersion
    ) -> [UInt8] {
        var buffer = ByteBuffer()
        packet.encode(from: source.span, version: version, into: &buffer)
        return buffer.withSpan { span in span.indices.map { span[$0] } }
    }

    func open() {
        decoder = PacketDecoder(receiver: .server, version: session.version)
        version = session.version
        nextBytes = []
        unread = []
        session.transportOpened(at: now)
    }

    func close() {
        session.transportClosed(at: now)
    }

    func receiveConnAck(
        sessionPresent: Bool = false, _ code: ReasonCode = .success,
        _ properties: (inout PropertyWriter) -> Void = { _ in }
    ) {
        var writer = PropertyWriter()
        properties(&writer)
        receive(
            .connAck(
                ConnAck(
                    sessionPresent: sessionPresent, reasonCode: code,
                    properties: writer.properties)), from: writer.bytes)
    }

    /// Opens a connection that the server takes, and forgets what was said about it.
    func connect(
        sessionPresent: Bool = false, _ properties: (inout PropertyWriter) -> Void = { _ in }
    ) {
        open()
        precondition(sent().count == 1, "only CONNECT is sent first")
        receiveConnAck(sessionPresent: sessionPresent, .success, properties)
    }

    func receivePublish(
        _ topic: String, _ payload: String = "x", qos: QoS, id: UInt16? = nil, dup: Bool = false
    ) {
        let arena = Array(topic.utf8) + Array(payload.utf8)
        let end = topic.utf8.count
        receive(
            .publish(
                Publish(
                    duplicate: dup, qos: qos, topic: ByteRange(0..<end), packetID: id,
                    payload: ByteRange(end..<arena.count))), from: arena)
    }

    func receiveAck(_ kind: PacketType, _ id: UInt16, _ code: ReasonCode = .success) {
        let ack = Acknowledgement(kind: kind, packetID: id, reasonCode: code)
        switch kind {
        case .pubAck: receive(.pubAck(ack))
        case .pubRec: receive(.pubRec(ack))
        case .pubRel: receive(.pubRel(ack))
        default: receive(.pubComp(ack))
        }
    }

    func receiveSubAck(_ id: UInt16, _ codes: [ReasonCode]) {
        let arena = codes.map(\.rawValue)
        receive(
            .subAck(SubAck(packetID: id, reasonCodes: ByteRange(0..<arena.count))), from: arena)
    }
}

extension [ClientSessionEvent] {
    var messages: [ReceivedMessage] {
        compactMap { if case .message(let message) = $0 { message } else { nil } }
    }

    var outcomes: [PublishOutcome] {
        compactMap { if case .published(let outcome) = $0 { outcome } else { nil } }
    }

    var end: SessionEnd? {
        compactMap { if case .closed(let end) = $0 { end } else { nil } }.last
    }

    var connections: [ConnectResult] {
        compactMap { if case .connected(let result) = $0 { result } else { nil } }
    }

    var grants: [[ReasonCode]] {
        compactMap { if case .subscribed(_, let codes) = $0 { codes } else { nil } }
    }
}
