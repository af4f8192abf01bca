import MQTT
import Testing

@testable import BrokerCore

/// Clients that come, go, subscribe and publish at random, against a model that only knows what must
/// arrive. The seed in a failure replays it.
@Suite struct RandomTests {
    @Test(arguments: 1...scaled(30, 3_000))
    func `what must arrive arrives, in order, and QoS 2 once`(seed: UInt64) throws {
        var configuration = BrokerConfiguration()
        configuration.limits.inFlight = 3
        configuration.durability = DurabilityRules(seed % 2 == 0 ? .memory : .process)
        configuration.journal.flushInterval = .zero
        // Every fourth conversation is with a broker of three shards, which must not show.
        let broker =
            seed % 4 == 0 ? TestBroker.shards(3, configuration)[0] : TestBroker(configuration)
        broker.commitsAtOnce = false
        var random = SplitMix(state: seed)
        let actors = (0..<5).map { Actor("c\($0)", broker) }
        for actor in actors { actor.come(cleanStart: true) }
        for step in 0..<600 {
            let actor = actors[Int(random.next() % UInt64(actors.count))]
            switch random.next() % 14 {
            case 0: actor.come(cleanStart: random.next() % 16 == 0)
            case 1: actor.go()
            case 2: actor.subscribe(&random)
            case 3: actor.unsubscribe(&random)
            case 4...9: actor.publish("\(step)", to: actors, &random)
            case 10: broker.commit()
            default: actor.read(answering: Int(random.next() % 6))
            }
        }
        broker.commit()
        for actor in actors { actor.come(cleanStart: false) }
        broker.commit()
        broker.checksInvariants = false
        for _ in 0..<300 {
            for actor in actors { actor.read(answering: 10) }
            broker.commit()
        }
        for actor in actors {
            #expect(actor.got == actor.expected, "\(actor.name), seed \(seed)")
            #expect(actor.faults.isEmpty, "\(actor.name), seed \(seed): \(actor.faults)")
        }
        let expected = actors.reduce(0) { $0 + $1.totalExpected + $1.expected.count }
        #expect(expected > 10, "the test tests something")
    }
}

/// A client of the random test, with what the model knows about it.
private final class Actor {
    static let topics = ["a", "a/b", "a/c", "b", "b/c/d"]
    static let filters = ["#", "a/+", "a/#", "+", "a/b", "b/+/d"]

    let name: String
    private let broker: TestBroker
    private var client: TestClient?
    private var subscriptions: [String: QoS] = [:]
    /// Payloads of QoS 1 and 2 that must come, and that came, since the session began.
    var expected: [String] = []
    var got: [String] = []
    var faults: [String] = []
    var totalExpected = 0
    /// Packets to answer.
    private var unanswered: [Received] = []
    /// QoS 2 messages that were taken and not released.
    private var held: Set<UInt16> = []
    private var packetID: UInt16 = 0
    /// QoS 2 messages of ours that were not released.
    private var sent: [UInt16] = []

    init(_ name: String, _ broker: TestBroker) {
        self.name = name
        self.broker = broker
    }

    func come(cleanStart: Bool) {
        client?.drop()
        guard let next = broker.open() else { preconditionFailure("no room") }
        next.connect(name, cleanStart: cleanStart) {
            $0.add(.sessionExpiryInterval, uint32: 100_000)
        }
        broker.commit()
        unanswered = []
        client = next
        if cleanStart {
            totalExpected += expected.count
            (subscriptions, expected, got, held, sent) = ([:], [], [], [], [])
        }
    }

    func go() {
        client?.drop()
        client = nil
        unanswered = []
    }

    func subscribe(_ random: inout SplitMix) {
        guard let client else { return }
        let filter = Self.filters[Int(random.next() % UInt64(Self.filters.count))]
        let qos = QoS.allCases[Int(random.next() % 3)]
        client.subscribe([(filter, SubscriptionOptions(qos: qos))])
        subscriptions[filter] = qos
    }

    func unsubscribe(_ random: inout SplitMix) {
        guard let client else { return }
        let filter = Self.filters[Int(random.next() % UInt64(Self.filters.count))]
        client.unsubscribe(filter)
        subscriptions[filter] = nil
    }

    func publish(_ payload: String, to actors: [Actor], _ random: inout SplitMix) {
        guard let client else { return }
        let topic = Self.topics[Int(random.next() % UInt64(Self.topics.count))]
        let qos = QoS.allCases[Int(random.next() % 3)]
        packetID += 1
        client.publish(topic, payload, qos, id: packetID)
        if qos == .exactlyOnce {
            sent.append(packetID)
            // Said twice, it must count once.
            client.publish(topic, payload, qos, duplicate: true, id: packetID)
        }
        // Held QoS 2 messages are routed at the commit; the model knows no such delay.
        broker.commit()
        for actor in actors { actor.expect(topic, payload, qos) }
    }

    private func expect(_ topic: String, _ payload: String, _ qos: QoS) {
        var highest: QoS?
        for (filter, granted) in subscriptions {
            guard let filter = try? TopicFilter(filter), let topic = try? TopicName(topic),
                filter.matches(topic)
            else { continue }
            highest = max(highest ?? granted, granted)
        }
        guard let highest, min(highest, qos) != .atMostOnce else { return }
        expected.append(payload)
    }

    /// Takes what came, and answers the oldest `count` packets that want an answer.
    func read(answering count: Int) {
        guard let client else { return }
        for packet in client.received() { take(packet) }
        for _ in 0..<min(count, unanswered.count) { answer(unanswered.removeFirst(), client) }
        if !sent.isEmpty, count > 3 { client.pubRel(sent.removeFirst()) }
    }

    private func take(_ packet: Received) {
        if case .pubRel = packet.packet { unanswered.append(packet) }
        if let reason = packet.disconnect?.reasonCode { faults.append("disconnect \(reason.hex)") }
        guard let publish = packet.publish, let id = publish.packetID else { return }
        unanswered.append(packet)
        if publish.qos == .exactlyOnce, !held.insert(id).inserted {
            if !publish.duplicate { faults.append("\(packet) without DUP") }
            return
        }
        if got.contains(packet.payload) {
            if publish.qos == .exactlyOnce || !publish.duplicate {
                faults.append("\(packet) twice")
            }
            return
        }
        got.append(packet.payload)
    }

    private func answer(_ packet: Received, _ client: TestClient) {
        if let publish = packet.publish, let id = publish.packetID {
            publish.qos == .atLeastOnce ? client.pubAck(id) : client.pubRec(id)
        } else if let id = packet.acknowledgement?.packetID {
            held.remove(id)
            client.pubComp(id)
        }
    }
}
