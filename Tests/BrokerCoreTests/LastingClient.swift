import MQTT

@testable import BrokerCore

/// A client that keeps its half of the session, as MQTT asks, through all that happens to the broker.
///
/// It numbers what it publishes for each topic and QoS, sends again with DUP what it has not seen
/// acknowledged, and notes whatever it receives that is missing, late, or comes twice.
final class LastingClient {
    struct Outgoing {
        var id: UInt16
        var topic: String
        var payload: String
        var qos: QoS
        var retain: Bool
    }

    let name: String
    let version: ProtocolVersion
    private(set) var client: TestClient?
    /// Whether a CONNACK has told it that the broker keeps its session.
    private var hasSession = false
    private var isConnected = false
    private var subscription: (filter: String, qos: QoS)?
    private var isSubscribed = false

    private(set) var unacknowledged: [Outgoing] = []
    private(set) var unreleased: [UInt16] = []
    /// How many were published, for each topic and QoS.
    private(set) var published: [String: Int] = [:]
    private(set) var lastRetained: [String: String] = [:]
    private var lastID: UInt16 = 0

    /// QoS 2 identifiers that were taken and not released, with what came under them.
    private var taken: [UInt16: String] = [:]
    /// The number that must come next, for each sender, topic and QoS.
    private(set) var next: [String: Int] = [:]
    /// What came, and how often.
    private(set) var arrivals: [String: Int] = [:]
    private var unread: [Received] = []
    private var answers: [(kind: PacketType, id: UInt16)] = []
    var faults: [String] = []

    init(_ name: String, _ version: ProtocolVersion, subscribes: (filter: String, qos: QoS)? = nil)
    {
        self.name = name
        self.version = version
        subscription = subscribes
    }

    var isQuiet: Bool {
        unacknowledged.isEmpty && unreleased.isEmpty && answers.isEmpty && unread.isEmpty
    }

    /// Whether it has a subscription, and knows that the broker does.
    var isReady: Bool { isConnected && (subscription == nil || isSubscribed) }

    // MARK: Coming and going

    func come(_ broker: TestBroker) {
        client?.drop()
        lost()
        guard let next = broker.open(version) else { preconditionFailure("no room") }
        next.connect(name, cleanStart: false) { properties in
            if version == .v5_0 { properties.add(.sessionExpiryInterval, uint32: 100_000) }
        }
        client = next
    }

    func go() {
        client?.drop()
        lost()
    }

    /// The connection is gone, and with it what was to be said on it.
    func lost() {
        client = nil
        isConnected = false
        answers = []
        unread = []
    }

    // MARK: Publishing

    func publish(_ topic: String, _ qos: QoS, retain: Bool) {
        guard isConnected, let client, unacknowledged.count + unreleased.count < 20 else { return }
        repeat { lastID = lastID == 50 ? 1 : lastID + 1 } while isInUse(lastID)
        let key = "\(topic) \(qos.rawValue)"
        let message = Outgoing(
            id: lastID, topic: topic, payload: "\(name) \(key) \(published[key, default: 0])",
            qos: qos, retain: retain)
        published[key, default: 0] += 1
        unacknowledged.append(message)
        if retain { lastRetained[topic] = message.payload }
        client.publish(topic, message.payload, qos, retain: retain, id: message.id)
    }

    private func isInUse(_ id: UInt16) -> Bool {
        unreleased.contains(id) || unacknowledged.contains { $0.id == id }
    }

    /// CONNACK: what was on its way goes on. [MQTT-4.4.0-1]
    private func resume(_ connAck: ConnAck, _ client: TestClient) {
        if connAck.reasonCode != .success { faults.append("\(name): refused") }
        // 3.1 has no such flag.
        let isPresent = connAck.sessionPresent || version == .v3_1 && hasSession
        if hasSession && !isPresent { faults.append("\(name): its session is lost") }
        if !isPresent { (taken, isSubscribed) = ([:], false) }
        hasSession = true
        isConnected = true
        for message in unacknowledged {
            client.publish(
                message.topic, message.payload, message.qos, retain: message.retain,
                duplicate: true, id: message.id)
        }
        for id in unreleased { client.pubRel(id) }
        if let subscription, !isSubscribed {
            client.subscribe([(subscription.filter, SubscriptionOptions(qos: subscription.qos))])
        }
    }

    // MARK: Reading and answering

    /// Takes at most `count` of the packets that have arrived.
    func read(_ count: Int = .max) {
        guard let client else { return }
        unread += client.received()
        for _ in 0..<min(count, unread.count) { take(unread.removeFirst(), client) }
    }

    private func take(_ packet: Received, _ client: TestClient) {
        switch packet.packet {
        case .connAck(let connAck): resume(connAck, client)
        case .subAck: isSubscribed = true
        case .publish(let publish): take(publish, packet)
        case .pubAck(let answer):
            unacknowledged.removeAll { $0.id == answer.packetID && $0.qos == .atLeastOnce }
        case .pubRec(let answer):
            if let index = unacknowledged.firstIndex(where: {
                $0.id == answer.packetID && $0.qos == .exactlyOnce
            }) {
                unacknowledged.remove(at: index)
                unreleased.append(answer.packetID)
            }
            client.pubRel(answer.packetID)
        case .pubComp(let answer): unreleased.removeAll { $0 == answer.packetID }
        case .pubRel(let answer):
            taken[answer.packetID] = nil
            answers.append((.pubComp, answer.packetID))
        case .disconnect(let packet):
            faults.append("\(name): DISCONNECT \(packet.reasonCode.hex)")
        default: faults.append("\(name): \(packet)")
        }
    }

    private func take(_ publish: Publish, _ packet: Received) {
        guard let id = publish.packetID else { return arrived(packet.payload, publish.qos) }
        if publish.qos == .atLeastOnce {
            arrived(packet.payload, publish.qos)
            answers.append((.pubAck, id))
            return
        }
        if let before = taken[id] {
            if before != packet.payload {
                faults.append("\(name): \(packet) in place of \(before)")
            }
            if !publish.duplicate { faults.append("\(name): \(packet) without DUP") }
        } else {
            taken[id] = packet.payload
            arrived(packet.payload, publish.qos)
        }
        answers.append((.pubRec, id))
    }

    private func arrived(_ payload: String, _ qos: QoS) {
        guard let space = payload.lastIndex(of: " "),
            let number = Int(payload[payload.index(after: space)...])
        else { return faults.append("\(name): \(payload)?") }
        arrivals[payload, default: 0] += 1
        // Of a group it gets some.
        if isMember { return }
        let key = String(payload[..<space])
        let expected = next[key, default: 0]
        if number > expected || number < expected && qos == .exactlyOnce {
            faults.append("\(name): \(payload), when \(expected) was next")
        }
        next[key] = max(expected, number + 1)
    }

    var isMember: Bool { subscription?.filter.hasPrefix("$share/") == true }

    /// Answers the oldest `count` of what wants an answer.
    func answer(_ count: Int = .max) {
        guard let client else { return }
        for _ in 0..<min(count, answers.count) {
            let (kind, id) = answers.removeFirst()
            switch kind {
            case .pubAck: client.pubAck(id)
            case .pubRec: client.pubRec(id)
            default: client.pubComp(id)
            }
        }
    }
}

extension LastingClient {
    /// Whether its subscription matches a topic; `key` is the topic and a QoS.
    func wants(_ key: String) -> Bool {
        guard !isMember, let subscription, let filter = try? TopicFilter(subscription.filter),
            let topic = try? TopicName(String(key.dropLast(2)))
        else { return false }
        return filter.matches(topic)
    }
}
