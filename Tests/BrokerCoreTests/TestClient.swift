import MQTT

@testable import BrokerCore

/// One connection of a test, which says what the test tells it to, right or wrong.
final class TestClient {
    /// The shard that its connection belongs to, and its name there; both change when it moves.
    var broker: TestBroker
    var id: ConnectionID
    let version: ProtocolVersion
    var inbox: [UInt8] = []
    var isClosed = false
    var isPaused = false
    /// Whether it takes what is sent to it.
    var reads = true
    /// How many bytes it takes at a time.
    var room = Int.max
    private var nextPacketID: UInt16 = 0

    init(_ broker: TestBroker, _ id: ConnectionID, _ version: ProtocolVersion) {
        self.broker = broker
        self.id = id
        self.version = version
    }

    /// All that it has sent.
    private(set) var sent: [UInt8] = []

    func send(bytes: [UInt8]) {
        sent += bytes
        broker.shard.received(bytes.span, on: id, at: broker.now)
        broker.settle()
    }

    func send(_ packet: Packet, from arena: [UInt8] = []) {
        send(bytes: TestClient.encode(packet, arena, version))
    }

    static func encode(
        _ packet: Packet, _ arena: [UInt8], _ version: ProtocolVersion
    ) -> [UInt8] {
        var buffer = ByteBuffer()
        packet.encode(from: arena.span, version: version, into: &buffer)
        return buffer.withSpan { Array(copying: $0) }
    }

    /// What came since the last call.
    func received() -> [Received] {
        var decoder = PacketDecoder(receiver: .client, version: version)
        var packets: [Received] = []
        var offset = 0
        do throws(WireError) {
            while let decoded = try decoder.decode(inbox.span, from: offset) {
                packets.append(Received(packet: decoded.packet, bytes: inbox))
                offset = decoded.end
            }
        } catch {
            preconditionFailure("the broker sent what is no packet: \(error)")
        }
        inbox.removeFirst(offset)
        return packets
    }

    /// What came since the last call, in words.
    func conversation() -> [String] { received().map(\.description) }

    /// The network goes, without DISCONNECT.
    func drop() {
        broker.shard.closed(id, at: broker.now)
        isClosed = true
        broker.settle()
    }

    func takePacketID() -> UInt16 {
        nextPacketID += 1
        return nextPacketID
    }

    // MARK: Packets

    @discardableResult
    func connect(
        _ clientID: String, cleanStart: Bool = true, keepAlive: UInt16 = 0, isBridge: Bool = false,
        user: String? = nil, password: String? = nil, will: TestWill? = nil,
        _ properties: (inout PropertyWriter) -> Void = { _ in }
    ) -> TestClient {
        var arena: [UInt8] = []
        func put(_ text: String) -> ByteRange {
            let start = arena.count
            arena.append(contentsOf: Array(text.utf8))
            return ByteRange(start..<arena.count)
        }
        var writer = PropertyWriter()
        properties(&writer)
        let region = writer.append(to: &arena)
        var packet = Connect(
            version: version, isBridge: isBridge, cleanStart: cleanStart, keepAlive: keepAlive,
            clientID: put(clientID), properties: region, username: user.map(put),
            password: password.map(put))
        if let will {
            var writer = PropertyWriter()
            will.properties(&writer)
            let properties = writer.append(to: &arena)
            packet.will = Will(
                qos: will.qos, retain: will.retain, topic: put(will.topic),
                payload: put(will.payload), properties: properties)
        }
        send(.connect(packet), from: arena)
        return self
    }

    /// Sends PUBLISH; returns its packet identifier, 0 at QoS 0.
    @discardableResult
    func publish(
        _ topic: String, _ payload: String, _ qos: QoS = .atMostOnce, retain: Bool = false,
        duplicate: Bool = false, id packetID: UInt16? = nil,
        _ properties: (inout PropertyWriter) -> Void = { _ in }
    ) -> UInt16 {
        let identifier = qos == .atMostOnce ? nil : packetID ?? takePacketID()
        var arena = Array(topic.utf8)
        let topicRange = ByteRange(0..<arena.count)
        var writer = PropertyWriter()
        properties(&writer)
        let region = writer.append(to: &arena)
        let start = arena.count
        arena.append(contentsOf: Array(payload.utf8))
        send(
            .publish(
                Publish(
                    duplicate: duplicate, qos: qos, retain: retain, topic: topicRange,
                    packetID: identifier, properties: region,
                    payload: ByteRange(start..<arena.count))), from: arena)
        return identifier ?? 0
    }

    func subscribe(_ filters: [(String, SubscriptionOptions)], identifier: UInt32? = nil) {
        var writer = PropertyWriter()
        if let identifier { writer.add(.subscriptionIdentifier, variableByteInteger: identifier) }
        var arena: [UInt8] = []
        let properties = writer.append(to: &arena)
        let start = arena.count
        for (filter, options) in filters {
            Subscribe.append(filter: Array(filter.utf8).span, options: options, to: &arena)
        }
        send(
            .subscribe(
                Subscribe(
                    packetID: takePacketID(), properties: properties,
                    filters: ByteRange(start..<arena.count), filterCount: filters.count)),
            from: arena)
    }

    /// Subscribes and forgets the SUBACK.
    @discardableResult
    func subscribed(
        _ filter: String, _ qos: QoS = .atMostOnce, noLocal: Bool = false,
        retainAsPublished: Bool = false, _ handling: RetainHandling = .sendAtSubscribe
    ) -> TestClient {
        subscribe([
            (
                filter,
                SubscriptionOptions(
                    qos: qos, noLocal: noLocal, retainAsPublished: retainAsPublished,
                    retainHandling: handling)
            )
        ])
        dropFirstSubAck()
        return self
    }

    /// What came, but for the CONNACK and the SUBACKs.
    private func dropFirstSubAck() {
        let packets = received().filter { packet in
            switch packet.packet {
            case .subAck, .connAck: false
            default: true
            }
        }
        for packet in packets {
            inbox += TestClient.encode(packet.packet, packet.bytes, version)
        }
    }

    func unsubscribe(_ filters: String...) {
        var arena: [UInt8] = []
        for filter in filters { Unsubscribe.append(filter: Array(filter.utf8).span, to: &arena) }
        send(
            .unsubscribe(
                Unsubscribe(
                    packetID: takePacketID(), filters: ByteRange(0..<arena.count),
                    filterCount: filters.count)), from: arena)
    }

    func disconnect(
        _ reason: ReasonCode = .normalDisconnection, sessionExpiry: UInt32? = nil
    ) {
        var writer = PropertyWriter()
        if let sessionExpiry { writer.add(.sessionExpiryInterval, uint32: sessionExpiry) }
        var arena: [UInt8] = []
        let properties = writer.append(to: &arena)
        send(.disconnect(Disconnect(reasonCode: reason, properties: properties)), from: arena)
    }

    func pubAck(_ packetID: UInt16) { answer(.pubAck, packetID) }
    func pubRec(_ packetID: UInt16, _ reason: ReasonCode = .success) {
        answer(.pubRec, packetID, reason)
    }
    func pubRel(_ packetID: UInt16) { answer(.pubRel, packetID) }
    func pubComp(_ packetID: UInt16) { answer(.pubComp, packetID) }

    private func answer(
        _ kind: PacketType, _ packetID: UInt16, _ reason: ReasonCode = .success
    ) {
        let packet = Acknowledgement(kind: kind, packetID: packetID, reasonCode: reason)
        switch kind {
        case .pubAck: send(.pubAck(packet))
        case .pubRec: send(.pubRec(packet))
        case .pubRel: send(.pubRel(packet))
        default: send(.pubComp(packet))
        }
    }
}

struct TestWill {
    var topic: String
    var payload: String
    var qos = QoS.atMostOnce
    var retain = false
    var properties: (inout PropertyWriter) -> Void = { _ in }
}

extension TestBroker {
    /// A client that is connected, its CONNACK left aside.
    func client(
        _ clientID: String, _ version: ProtocolVersion = .v5_0, cleanStart: Bool = true,
        expiry: UInt32? = nil, will: TestWill? = nil,
        _ properties: (inout PropertyWriter) -> Void = { _ in }
    ) -> TestClient {
        guard let client = open(version) else { preconditionFailure("no room") }
        client.connect(clientID, cleanStart: cleanStart, will: will) { writer in
            if let expiry { writer.add(.sessionExpiryInterval, uint32: expiry) }
            properties(&writer)
        }
        let packets = client.received()
        precondition(packets.first?.connAck?.reasonCode == .success, "refused: \(packets)")
        for packet in packets.dropFirst() {
            client.inbox += TestClient.encode(packet.packet, packet.bytes, version)
        }
        return client
    }
}
