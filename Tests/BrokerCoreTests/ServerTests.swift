import MQTT
import Testing

@testable import BrokerCore

extension TestBroker {
    func publishAsServer(
        _ topic: String, _ payload: String, _ qos: QoS = .atMostOnce, retain: Bool = true
    ) {
        shard.publishAsServer(
            topic: Array(topic.utf8), payload: Array(payload.utf8), qos: qos, retain: retain,
            at: now)
        settle()
    }

    /// Ends a client's connection as an operator does.
    @discardableResult
    func kick(_ clientID: String) -> Bool {
        defer { settle() }
        return shard.disconnect(clientID: Array(clientID.utf8), at: now)
    }

    func removeRetained(_ topic: String) -> Bool {
        defer { settle() }
        return shard.removeRetained(topic: Array(topic.utf8))
    }

    func session(_ clientID: String) -> SessionInfo? {
        shard.session(clientID: Array(clientID.utf8))
    }
}

@Suite struct ServerTests {
    @Test func `what the server publishes reaches those who asked and those who ask later`() {
        let broker = TestBroker()
        let early = broker.client("early").subscribed("$SYS/#", .exactlyOnce)
        broker.publishAsServer("$SYS/broker/uptime", "1 seconds")
        broker.publishAsServer("$SYS/broker/uptime", "2 seconds")
        #expect(
            early.conversation() == [
                "publish $SYS/broker/uptime=1 seconds q0",
                "publish $SYS/broker/uptime=2 seconds q0",
            ])
        let late = broker.client("late").subscribed("$SYS/broker/+")
        #expect(late.conversation() == ["publish $SYS/broker/uptime=2 seconds q0 retain"])
        #expect(broker.client("all").subscribed("#").conversation() == [])
    }

    @Test func `below SYS the server's messages are no user's retained messages`() {
        var configuration = BrokerConfiguration()
        configuration.limits.retainedMessages = 0
        configuration.durability = DurabilityRules(.process)
        configuration.journal.flushInterval = .zero
        let broker = TestBroker(configuration)
        broker.publishAsServer("$SYS/broker/version", "x")
        #expect(broker.shard.retainedCount == 0)
        #expect(broker.turns.isEmpty)
        #expect(broker.shard.counters.droppedRetainedFull == 0)
        let client = broker.client("c").subscribed("$SYS/broker/version")
        #expect(client.conversation() == ["publish $SYS/broker/version=x q0 retain"])
        broker.publishAsServer("$SYS/broker/version", "")
        #expect(broker.client("d").subscribed("$SYS/#").conversation() == [])
    }

    @Test func `elsewhere it is retained as others' are, and not recorded`() {
        var configuration = BrokerConfiguration()
        configuration.durability = DurabilityRules(.process)
        configuration.journal.flushInterval = .zero
        let broker = TestBroker(configuration)
        broker.publishAsServer("fleet/v1/home/pi/service/broker", "{}", .atLeastOnce)
        #expect(broker.shard.retainedCount == 1)
        #expect(broker.turns.isEmpty)
        let client = broker.client("c").subscribed("fleet/#", .exactlyOnce)
        #expect(
            client.conversation() == ["publish fleet/v1/home/pi/service/broker={} q1 retain id1"])
    }

    @Test func `a session that is kept has the server's word of QoS 1 queued`() {
        let broker = TestBroker()
        broker.client("c", cleanStart: false, expiry: 100).subscribed("s", .atLeastOnce).drop()
        broker.publishAsServer("s", "offline", .atLeastOnce)
        let again = broker.client("c", cleanStart: false, expiry: 100)
        #expect(again.conversation() == ["publish s=offline q1 id1"])
    }

    @Test func `it goes to this shard alone`() {
        let shards = TestBroker.shards(2)
        let (first, second) = (shards[0], shards[1])
        first.publishAsServer("$SYS/broker/uptime", "1")
        #expect(first.shard.serversRetained.count == 1)
        #expect(second.shard.serversRetained.count == 0)
    }

    @Test func `clients cannot put anything below SYS in its place`() {
        let broker = TestBroker()
        broker.publishAsServer("$SYS/broker/version", "ours")
        for version in [ProtocolVersion.v3_1_1, .v5_0] {
            let client = broker.client("c", version)
            client.publish("$SYS/broker/version", "theirs", .atLeastOnce, retain: true)
            client.publish("$SYS/broker/version", "", .atLeastOnce, retain: true)
        }
        let reader = broker.client("r").subscribed("$SYS/#")
        #expect(reader.conversation() == ["publish $SYS/broker/version=ours q0 retain"])
    }

    @Test func `an operator ends a connection, and its session and will go on as always`() {
        let broker = TestBroker()
        let watcher = broker.client("w").subscribed("will")
        let client = broker.client(
            "c", cleanStart: false, expiry: 100, will: TestWill(topic: "will", payload: "gone"))
        #expect(broker.kick("c"))
        #expect(client.conversation() == ["disconnect 0x98"])
        #expect(client.isClosed)
        #expect(broker.causes("c") == [.byOperator])
        #expect(watcher.conversation() == ["publish will=gone q0"])
        #expect(broker.session("c")?.connection == nil)
        #expect(!broker.kick("c"))
        #expect(!broker.kick("x"))
    }

    @Test func `an operator's removal of a retained message is recorded`() {
        var configuration = BrokerConfiguration()
        configuration.durability = DurabilityRules(.process)
        configuration.journal.flushInterval = .zero
        let broker = TestBroker(configuration)
        broker.client("c").publish("a", "x", .atLeastOnce, retain: true)
        #expect(broker.restarted().shard.retainedCount == 1)
        #expect(broker.removeRetained("a"))
        #expect(!broker.removeRetained("a"))
        #expect(broker.restarted().shard.retainedCount == 0)
        #expect(broker.client("d").subscribed("#").conversation() == [])
    }

    @Test func `a refusal names who it was that CONNECT said`() {
        let broker = TestBroker()
        let rules = AccessRules(allowsAnonymous: false, checksPasswords: true)
        let client = broker.open(rules: rules)
        client?.connect("barn", user: "alice", password: "no")
        broker.shard.authenticated(
            broker.passwordChecks[0].connection, result: .wrong, at: broker.now)
        broker.settle()
        let names = broker.events.compactMap { event -> [String]? in
            guard case .refused(_, let id, let user, let cause) = event else { return nil }
            return [id, user ?? []].map { String(decoding: $0, as: UTF8.self) }
                + ["\(cause.reasonCode?.rawValue ?? 0)"]
        }
        #expect(names == [["barn", "alice", "134"]])
        // The same CONNECT was decoded twice, and is one packet.
        #expect(broker.shard.counters.packetsReceived == 1)
        #expect(broker.shard.counters.connectsReceived == 1)
    }
}
