import MQTT

@testable import BrokerCore

/// A shard with a virtual clock and no sockets: bytes in, bytes out.
final class TestBroker {
    var shard: BrokerShard
    var now = MonotonicTime(nanoseconds: 1_000_000_000)
    var events: [BrokerEvent] = []
    var passwordChecks: [(connection: ConnectionID, user: [UInt8], password: [UInt8])] = []
    /// Steps of enhanced authentications that the shell was asked for.
    var steps: [(connection: ConnectionID, data: [UInt8], isFirst: Bool)] = []
    var turns: [Turn] = []
    /// Commits each turn at once; false: `commit()` does.
    var commitsAtOnce = true
    /// Off in tests that take very many steps.
    var checksInvariants = true
    /// All shards of the broker, this one among them, in their order; empty for a broker of one.
    var shards: [TestBroker] = []
    /// Whether mail reaches other shards at once; false: `deliverMail()` does.
    var deliversAtOnce = true
    /// Whether connections move at once; false: `moveWaiting()` does.
    var movesAtOnce = true
    private var moving: [(id: ConnectionID, shard: Int)] = []
    /// Mail of this shard that is under way, with the shard that it is for.
    private var mails: [(shard: Int, mail: ShardMail)] = []
    private var clients: [ConnectionID: TestClient] = [:]
    private var nonce: UInt64 = 1

    init(
        _ configuration: BrokerConfiguration = BrokerConfiguration(),
        position: ShardPosition = .only, board: ShardBoard? = nil
    ) {
        shard = BrokerShard(configuration: configuration, seed: 7, position: position, board: board)
    }

    static let open = AccessRules(allowsAnonymous: true, checksPasswords: false)

    /// A transport without a CONNECT.
    func open(
        _ version: ProtocolVersion = .v5_0, rules: AccessRules = TestBroker.open
    ) -> TestClient? {
        nonce += 1
        guard let id = shard.opened(rules: rules, nonce: nonce, at: now) else { return nil }
        let client = TestClient(self, id, version)
        clients[id] = client
        return client
    }

    /// Does what the shell does at the end of each turn of its loop.
    func settle() {
        while let turn = shard.endTurn(at: now) {
            turns.append(turn)
            if commitsAtOnce { shard.committed(turn.number, at: now) }
        }
        takeMail()
        if deliversAtOnce { while deliverMail() {} }
        while let action = shard.nextAction() {
            switch action {
            case .close(let id): closing.append(id)
            case .move(let id, let target): moving.append((id, target))
            case .authenticate(let id, let user, let password):
                passwordChecks.append((id, user, password))
            case .exchange(let id, let data, let isFirst):
                steps.append((id, data, isFirst))
            case .pauseReading(let id): clients[id]?.isPaused = true
            case .resumeReading(let id): clients[id]?.isPaused = false
            case .log(let event): events.append(event)
            }
        }
        while let id = shard.nextDirty() { flush(id) }
        for id in closing {
            flush(id)
            clients[id]?.isClosed = true
            clients[id] = nil
            shard.closed(id, at: now)
        }
        closing = []
        if movesAtOnce { moveWaiting() }
        if checksInvariants { shard.checkInvariants() }
    }

    private var closing: [ConnectionID] = []

    func flush(_ id: ConnectionID) {
        guard let client = clients[id] else { return }
        let room = client.reads ? client.room : 0
        _ = shard.flush(id, at: now) { bytes in
            let count = min(room, bytes.count)
            client.inbox.append(contentsOf: Array(copying: bytes.extracting(0..<count)))
            return count
        }
    }

    /// Gathers what this turn has for the other shards.
    private func takeMail() {
        for index in shards.indices where index != shard.position.index {
            var mail = ShardMail()
            if shard.takeMail(for: index, &mail) { mails.append((index, mail)) }
        }
    }

    /// The oldest mail of this shard arrives; false where none is under way.
    @discardableResult
    func deliverMail() -> Bool {
        if mails.isEmpty { return false }
        let (index, mail) = mails.removeFirst()
        shards[index].shard.receive(mail, at: now)
        shards[index].settle()
        return true
    }

    /// All mail of this shard that is under way arrives.
    func deliverAllMail() { while deliverMail() {} }

    /// Moves the connections that are to be moved.
    func moveWaiting() {
        let all = moving
        moving = []
        for (id, target) in all { move(id, to: target) }
    }

    private func move(_ id: ConnectionID, to target: Int) {
        guard let moved = shard.release(id), let client = clients.removeValue(forKey: id) else {
            return
        }
        let new = shards[target]
        client.broker = new
        client.id = new.shard.adopt(moved, at: new.now)
        client.isPaused = false
        new.clients[client.id] = client
        new.shard.takeMoved(client.id, at: new.now)
        new.settle()
    }

    /// Everything handed over so far is safe.
    func commit() {
        var committed = 0
        while turns.count > committed, let last = turns.last {
            committed = turns.count
            shard.committed(last.number, at: now)
            settle()
        }
    }

    /// A process that died and was started again: what was committed, and nothing else.
    ///
    /// - Parameter upTo: turns that were committed; all that were handed over by default.
    func restarted(upTo count: Int? = nil, after pause: Duration = .zero) -> TestBroker {
        let later = TestBroker(shard.configuration)
        later.now = now + pause
        later.kept = Array((kept + turns).prefix(count.map { kept.count + $0 } ?? .max))
        var state = RecoveredState(
            seed: 7, at: TestBroker.anchor(later.now))
        for turn in later.kept {
            state.read(
                turn.records.span, turn: turn.number, shard: 0, anchor: TestBroker.anchor(now))
        }
        later.shard.restore(&state, at: later.now)
        later.shard.routeRestored(at: later.now)
        later.shard.finishRestoring()
        later.settle()
        return later
    }

    /// What the store held at the start.
    private(set) var kept: [Turn] = []

    static func anchor(_ time: MonotonicTime) -> TimeAnchor {
        TimeAnchor(monotonic: time, unixMilliseconds: 0, boot: 1)
    }

    func sleep(_ duration: Duration) {
        let end = now + duration
        while let next = shard.nextDeadline, next <= end {
            now = max(now, next)
            shard.advance(to: now)
            settle()
        }
        now = end
    }

    /// What was logged about the end of a client's connections.
    func causes(_ clientID: String) -> [DisconnectCause] {
        events.compactMap { event in
            if case .disconnected(_, let id, _, let cause, _) = event, id == Array(clientID.utf8) {
                return cause
            }
            return nil
        }
    }

    /// Why connections were refused.
    var refusals: [DisconnectCause] {
        events.compactMap { event in
            if case .refused(_, _, _, let cause) = event { return cause }
            return nil
        }
    }
}

extension TestBroker {
    /// All shards of one broker.
    static func shards(
        _ count: Int, _ configuration: BrokerConfiguration = BrokerConfiguration()
    ) -> [TestBroker] {
        let board = ShardBoard(
            shards: count, seed: 7, limits: configuration.limits.topics)
        let shards = (0..<count).map { index in
            TestBroker(
                configuration, position: ShardPosition(index: index, count: count), board: board)
        }
        for shard in shards { shard.shards = shards }
        return shards
    }
}

extension [TestBroker] {
    /// What a start leaves for other shards arrives, before anything is committed.
    func exchangeMail(at now: MonotonicTime) {
        var mail = ShardMail()
        var isQuiet = false
        while !isQuiet {
            isQuiet = true
            for sender in self {
                for receiver in indices where sender.shard.takeMail(for: receiver, &mail) {
                    self[receiver].shard.receive(mail, at: now)
                    mail.removeAll()
                    isQuiet = false
                }
            }
        }
    }

    /// The shard of a client identifier.
    func home(of clientID: String) -> TestBroker {
        let name = Array<UInt8>(clientID.utf8)
        return self[ShardPosition.shard(ofClientID: name.span, count: count)]
    }

    /// A client of a shard, under the first free name that belongs there but for `besides`.
    func client(
        at index: Int, besides: Int = 0, _ version: ProtocolVersion = .v5_0
    ) -> TestClient {
        let names = (0...).lazy.map { "client-\($0)" }.filter { home(of: $0) === self[index] }
        return self[index].client(names.dropFirst(besides).first { _ in true } ?? "", version)
    }
}

/// A packet that a test client got, with the bytes it lies in.
struct Received: CustomStringConvertible {
    let packet: Packet
    let bytes: [UInt8]

    func text(_ range: ByteRange) -> String { String(decoding: bytes[range.range], as: UTF8.self) }

    var publish: Publish? { if case .publish(let packet) = packet { packet } else { nil } }
    var topic: String { publish.map { text($0.topic) } ?? "" }
    var payload: String { publish.map { text($0.payload) } ?? "" }
    var connAck: ConnAck? { if case .connAck(let packet) = packet { packet } else { nil } }
    var disconnect: Disconnect? {
        if case .disconnect(let packet) = packet { packet } else { nil }
    }
    var codes: [UInt8] {
        switch packet {
        case .subAck(let packet): Array(bytes[packet.reasonCodes.range])
        case .unsubAck(let packet): Array(bytes[packet.reasonCodes.range])
        default: []
        }
    }
    var acknowledgement: Acknowledgement? {
        switch packet {
        case .pubAck(let packet), .pubRec(let packet), .pubRel(let packet), .pubComp(let packet):
            packet
        default: nil
        }
    }

    func uint16(_ identifier: PropertyIdentifier) -> UInt16? {
        properties.uint16(identifier, in: bytes.span)
    }
    func uint32(_ identifier: PropertyIdentifier) -> UInt32? {
        properties.uint32(identifier, in: bytes.span)
    }
    func uint8(_ identifier: PropertyIdentifier) -> UInt8? {
        properties.uint8(identifier, in: bytes.span)
    }
    func string(_ identifier: PropertyIdentifier) -> String? {
        properties.range(identifier, in: bytes.span).map { text($0) }
    }
    var userProperties: [String] {
        var found: [String] = []
        var iterator = properties.makeIterator()
        while let property = iterator.next(in: bytes.span) {
            if case .pair(let name, let value) = property.value {
                found.append(text(name) + "=" + text(value))
            }
        }
        return found
    }

    var subscriptionIdentifiers: [UInt32] {
        var found: [UInt32] = []
        var iterator = properties.makeIterator()
        while let property = iterator.next(in: bytes.span) {
            if property.identifier == .subscriptionIdentifier,
                case .integer(let value) = property.value
            {
                found.append(value)
            }
        }
        return found
    }

    var properties: Properties {
        switch packet {
        case .connAck(let packet): packet.properties
        case .publish(let packet): packet.properties
        case .pubAck(let packet), .pubRec(let packet), .pubRel(let packet), .pubComp(let packet):
            packet.properties
        case .subAck(let packet): packet.properties
        case .unsubAck(let packet): packet.properties
        case .disconnect(let packet): packet.properties
        default: .none
        }
    }

    /// The packet in a few words, so that a test can compare a whole conversation.
    var description: String {
        switch packet {
        case .connAck(let packet):
            "connack \(packet.reasonCode.hex)\(packet.sessionPresent ? " present" : "")"
        case .publish(let packet):
            "publish \(topic)=\(payload) q\(packet.qos.rawValue)\(packet.retain ? " retain" : "")"
                + (packet.duplicate ? " dup" : "")
                + (packet.packetID.map { " id\($0)" } ?? "")
        case .pubAck(let packet), .pubRec(let packet), .pubRel(let packet), .pubComp(let packet):
            "\(packet.kind) id\(packet.packetID)"
                + (packet.reasonCode == .success ? "" : " \(packet.reasonCode.hex)")
        case .subAck(let packet): "suback id\(packet.packetID) \(codes)"
        case .unsubAck(let packet): "unsuback id\(packet.packetID) \(codes)"
        case .pingResp: "pingresp"
        case .disconnect(let packet): "disconnect \(packet.reasonCode.hex)"
        default: "\(packet.type)"
        }
    }
}

extension ReasonCode {
    var hex: String { "0x" + (rawValue < 16 ? "0" : "") + String(rawValue, radix: 16) }
}
