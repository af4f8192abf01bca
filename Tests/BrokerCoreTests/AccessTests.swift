import MQTT
import Testing

@testable import BrokerCore

/// Rules at work: at publish, subscribe and delivery, for wills and retained messages, and when they change.
struct AccessTests {
    private static let passwords = AccessRules(
        allowsAnonymous: true, checksPasswords: true, listener: "in")

    private func broker(_ roles: AccessRole...) -> TestBroker { broker(roles) }

    private func broker(_ roles: [AccessRole]) -> TestBroker {
        var configuration = BrokerConfiguration()
        configuration.access = AccessPolicy(roles: roles)
        return TestBroker(configuration)
    }

    /// A client of a user whose password was right, its CONNACK still to come.
    private func connecting(
        _ broker: TestBroker, _ clientID: String, _ user: String?,
        _ version: ProtocolVersion = .v5_0,
        cleanStart: Bool = true, expiry: UInt32 = 0, will: TestWill? = nil
    ) throws -> TestClient {
        let client = try #require(broker.open(version, rules: Self.passwords))
        client.connect(clientID, cleanStart: cleanStart, user: user, password: "x", will: will) {
            if version == .v5_0 { $0.add(.sessionExpiryInterval, uint32: expiry) }
        }
        if user != nil {
            broker.shard.authenticated(client.id, result: .accepted, at: broker.now)
            broker.settle()
        }
        return client
    }

    private func client(
        _ broker: TestBroker, _ clientID: String, _ user: String? = nil,
        _ version: ProtocolVersion = .v5_0, cleanStart: Bool = true, expiry: UInt32 = 0,
        will: TestWill? = nil
    ) throws -> TestClient {
        let client = try connecting(
            broker, clientID, user, version, cleanStart: cleanStart, expiry: expiry, will: will)
        let answer = client.received()
        #expect(answer.first?.connAck?.reasonCode == .success)
        for packet in answer.dropFirst() {
            client.inbox += TestClient.encode(packet.packet, packet.bytes, version)
        }
        return client
    }

    private func change(_ broker: TestBroker, _ roles: [AccessRole]) {
        var configuration = broker.shard.configuration
        configuration.access = AccessPolicy(roles: roles)
        broker.shard.reconfigure(configuration, at: broker.now)
        broker.settle()
    }

    private func all() throws -> AccessRole {
        try AccessPolicyTests.role(
            "all", users: ["root"], publish: ["#"], subscribe: ["#", "$SYS/#"])
    }

    // MARK: Publish

    @Test func `a publish that is not allowed is refused and goes nowhere`() throws {
        let broker = broker(
            try all(), try AccessPolicyTests.role("w", users: ["w"], publish: ["a/#"]))
        let reader = try client(broker, "r", "root").subscribed("#")
        let writer = try client(broker, "w", "w")
        writer.publish("a/1", "yes")
        writer.publish("b", "no")
        writer.publish("b", "no", .atLeastOnce)
        writer.publish("b", "no", .exactlyOnce)
        writer.publish("a/1", "yes", .atLeastOnce)
        #expect(writer.conversation() == ["pubAck id1 0x87", "pubRec id2 0x87", "pubAck id3"])
        #expect(reader.conversation() == ["publish a/1=yes q0", "publish a/1=yes q0"])
        #expect(broker.shard.counters.publishesRefused == 3)
    }

    @Test func `before 5.0 a publish that is not allowed is acknowledged and dropped`() throws {
        let broker = broker(try all(), try AccessPolicyTests.role("w", users: ["w"]))
        let reader = try client(broker, "r", "root").subscribed("#")
        let writer = try client(broker, "w", "w", .v3_1_1)
        writer.publish("b", "no")
        writer.publish("b", "no", .atLeastOnce)
        writer.publish("b", "no", .exactlyOnce)
        writer.pubRel(2)
        #expect(writer.conversation() == ["pubAck id1", "pubRec id2", "pubComp id2"])
        #expect(reader.conversation() == [])
    }

    @Test func `the topic that was allowed last opens no other`() throws {
        let broker = broker(
            try AccessPolicyTests.role("w", users: ["w"], publish: ["a/bc", "a/bd"]))
        let writer = try client(broker, "w", "w")
        for topic in ["a/bc", "a/b", "a/bcd", "a/bx", "a/bd", "a/bc", "b/bc"] {
            writer.publish(topic, "", .atLeastOnce)
        }
        let codes = writer.received().compactMap { $0.acknowledgement?.reasonCode.rawValue }
        #expect(codes == [0x10, 0x87, 0x87, 0x87, 0x10, 0x10, 0x87])
    }

    @Test func `nobody writes to $SYS, whatever the rules`() throws {
        let broker = broker(try all())
        let root = try client(broker, "r", "root")
        root.publish("$SYS/broker/uptime", "0", .atLeastOnce)
        #expect(root.conversation() == ["pubAck id1 0x87"])
    }

    // MARK: Subscribe

    @Test func `a refusal says nothing where it is to be concealed`() throws {
        let broker = broker(try all())
        var configuration = broker.shard.configuration
        configuration.concealsRefusals = true
        broker.shard.reconfigure(configuration, at: broker.now)
        let client = try client(broker, "c", "other")
        client.subscribe([("t", SubscriptionOptions(qos: .atMostOnce))])
        let answer = try #require(client.received().first)
        #expect(answer.codes == [0x80])
        #expect(answer.string(.reasonString) == nil)
    }

    @Test func `a subscription that is not allowed is refused`() throws {
        let broker = broker(
            try AccessPolicyTests.role("r", users: ["r"], subscribe: ["a/#", "c/%c"]))
        for (version, refused) in [(ProtocolVersion.v5_0, UInt8(0x87)), (.v3_1_1, 0x80)] {
            let reader = try client(broker, "me", "r", version)
            reader.subscribe(
                ["a/b", "b", "$SYS/#", "c/me", "c/you"].map {
                    ($0, SubscriptionOptions(qos: .atMostOnce))
                })
            #expect(reader.received().last?.codes == [0, refused, refused, 0, refused])
        }
        #expect(broker.shard.subscriptionCount == 2)
    }

    @Test func `a filter that asks for more brings what is allowed`() throws {
        let broker = broker(
            try all(),
            try AccessPolicyTests.role(
                "r", users: ["r"], subscribe: ["a/#", "b"], denySubscribe: ["a/secret"]))
        let reader = try client(broker, "r", "r", expiry: 100).subscribed("#", .atLeastOnce)
        let writer = try client(broker, "w", "root")
        for topic in ["a/1", "a/secret", "b", "c"] {
            writer.publish(topic, "0")
            writer.publish(topic, "1", .atLeastOnce)
        }
        let got = reader.received()
        #expect(got.map(\.topic) == ["a/1", "a/1", "b", "b"])
        for packet in got { if let id = packet.publish?.packetID { reader.pubAck(id) } }
        reader.drop()
        for topic in ["a/secret", "b", "c"] { writer.publish(topic, "2", .atLeastOnce) }
        let again = try client(broker, "r", "r", cleanStart: false, expiry: 100)
        #expect(again.conversation() == ["publish b=2 q1 id3"])
    }

    @Test func `the server's own topics are read by right`() throws {
        let broker = broker(
            try all(), try AccessPolicyTests.role("r", users: ["r"], subscribe: ["#"]))
        for (user, code) in [("r", UInt8(0x87)), ("root", 0)] {
            let reader = try client(broker, user, user)
            reader.subscribe([("$SYS/broker/#", SubscriptionOptions(qos: .atMostOnce))])
            #expect(reader.received().last?.codes == [code])
        }
    }

    // MARK: Wills and retained messages

    @Test func `a will on a topic that is not allowed refuses the connection`() throws {
        let broker = broker(try AccessPolicyTests.role("w", users: ["w"], publish: ["a"]))
        let refused = try connecting(broker, "w", "w", will: TestWill(topic: "b", payload: "x"))
        #expect(refused.conversation() == ["connack 0x87"])
        let old = try connecting(
            broker, "w", "w", .v3_1_1, will: TestWill(topic: "b", payload: "x"))
        #expect(old.conversation() == ["connack 0x05"])
        _ = try client(broker, "w", "w", will: TestWill(topic: "a", payload: "x"))
    }

    @Test func `a will is not published once its client has lost the right to`() throws {
        let writer = try AccessPolicyTests.role("w", users: ["w"], publish: ["a"])
        let broker = broker(try all(), writer)
        let reader = try client(broker, "r", "root").subscribed("#")
        let kept = try client(broker, "w", "w", will: TestWill(topic: "a", payload: "x"))
        kept.drop()
        #expect(reader.conversation() == ["publish a=x q0"])
        let lost = try client(broker, "w", "w", will: TestWill(topic: "a", payload: "x"))
        change(broker, [try all()])
        lost.drop()
        #expect(reader.conversation() == [])
        #expect(broker.shard.counters.willsRefused == 1)
    }

    @Test func `a retained message is given to those alone who may read it`() throws {
        let broker = broker(
            try all(), try AccessPolicyTests.role("r", users: ["r"], subscribe: ["a/#"]))
        let root = try client(broker, "root", "root")
        for topic in ["a/1", "b"] { root.publish(topic, "x", retain: true) }
        let reader = try client(broker, "r", "r")
        reader.subscribe([("#", SubscriptionOptions(qos: .atMostOnce))])
        #expect(reader.received().map(\.topic) == ["", "a/1"])
    }

    @Test(arguments: [true, false])
    func `a retained message goes to nobody once its publisher has lost the right`(
        _ hadRules: Bool
    ) throws {
        let writers = ["w", "x"].map { user in
            try? AccessPolicyTests.role(user, users: [user], publish: ["\(user)/#"])
        }.compactMap { $0 }
        let broker = hadRules ? broker([try all()] + writers) : TestBroker()
        for user in ["w", "x"] {
            try client(broker, user, user).publish("\(user)/1", "kept", retain: true)
        }
        change(broker, [try all(), writers[1]])
        let reader = try client(broker, "r", "root")
        reader.subscribe([("#", SubscriptionOptions(qos: .atMostOnce))])
        #expect(reader.received().map(\.topic) == ["", "x/1"])
        // The message is still there: who gives the right back gets it back.
        change(broker, [try all()] + writers)
        reader.subscribe([("#", SubscriptionOptions(qos: .atMostOnce))])
        #expect(reader.received().map(\.topic).sorted() == ["", "w/1", "x/1"])
    }

    @Test
    func `after a restart with other rules a retained message asks for its publisher's right`()
        throws
    {
        var configuration = BrokerConfiguration()
        configuration.durability = DurabilityRules(.process)
        configuration.journal.flushInterval = .zero
        configuration.journal.idleInterval = .zero
        let broker = TestBroker(configuration)
        try client(broker, "w", "w").publish("w/1", "kept", .atLeastOnce, retain: true)
        try client(broker, "x", "x").publish("x/1", "kept", .atLeastOnce, retain: true)
        change(
            broker, [try all(), try AccessPolicyTests.role("x", users: ["x"], publish: ["x/#"])])
        let later = broker.restarted()
        let reader = try client(later, "r", "root")
        reader.subscribe([("#", SubscriptionOptions(qos: .atMostOnce))])
        #expect(reader.received().map(\.topic) == ["", "x/1"])
    }

    // MARK: New rules

    @Test func `a subscription that is not allowed any more ends at once`() throws {
        let reads = try AccessPolicyTests.role("r", users: ["r"], subscribe: ["a/#", "b/#"])
        let less = try AccessPolicyTests.role("r", users: ["r"], subscribe: ["a/#"])
        let broker = broker(try all(), reads)
        let reader = try client(broker, "r", "r", expiry: 100).subscribed("a/#").subscribed("b/1")
        let away = try client(broker, "away", "r", expiry: 100).subscribed("b/+", .atLeastOnce)
        away.drop()
        let writer = try client(broker, "w", "root")
        writer.publish("b/1", "before")
        change(broker, [try all(), less])
        writer.publish("b/1", "after")
        writer.publish("b/1", "after", .atLeastOnce)
        writer.publish("a/1", "after")
        #expect(reader.conversation() == ["publish b/1=before q0", "publish a/1=after q0"])
        #expect(broker.shard.subscriptionCount == 1)
        #expect(
            broker.events.contains { event in
                if case .rightsRevoked(let id, 1) = event {
                    id == Array("away".utf8)
                } else {
                    false
                }
            })
    }

    @Test func `what waits is not delivered once the right to read it is revoked`() throws {
        let reads = try AccessPolicyTests.role("r", users: ["r"], subscribe: ["a/#", "b/#"])
        let broker = broker(try all(), reads)
        let first = try client(broker, "r", "r", expiry: 100)
            .subscribed("a/#", .atLeastOnce).subscribed("b/#", .atLeastOnce)
        let writer = try client(broker, "w", "root")
        writer.publish("b/1", "in flight", .atLeastOnce)
        #expect(first.conversation() == ["publish b/1=in flight q1 id1"])
        first.drop()
        writer.publish("b/1", "queued", .atLeastOnce)
        writer.publish("a/1", "queued", .atLeastOnce)
        change(
            broker,
            [try all(), try AccessPolicyTests.role("r", users: ["r"], subscribe: ["a/#"])])
        let again = try client(broker, "r", "r", cleanStart: false, expiry: 100)
        #expect(again.received().map(\.payload) == ["queued"])
        #expect(broker.shard.counters.droppedNotAllowed == 2)
    }

    @Test func `rules may come and go while clients are connected`() throws {
        let broker = TestBroker()
        let client = try client(broker, "c", nil).subscribed("a")
        client.publish("a", "open")
        change(broker, [])
        client.publish("a", "closed", .atLeastOnce)
        var configuration = broker.shard.configuration
        configuration.access = .open
        broker.shard.reconfigure(configuration, at: broker.now)
        client.publish("a", "open", .atLeastOnce)
        #expect(
            client.conversation() == [
                "publish a=open q0", "pubAck id2 0x87", "pubAck id3 0x10",
            ])
    }

    @Test func `the same rules again change nothing`() throws {
        let broker = broker(try all())
        let reader = try client(broker, "r", "root").subscribed("#")
        change(broker, [try all()])
        reader.publish("a", "x")
        #expect(reader.conversation() == ["publish a=x q0"])
        #expect(broker.shard.configuration.access == AccessPolicy(roles: [try all()]))
    }

    @Test func `limits change at once`() throws {
        let broker = TestBroker()
        let client = try client(broker, "c", nil).subscribed("a")
        var configuration = broker.shard.configuration
        configuration.limits.subscriptions = 1
        broker.shard.reconfigure(configuration, at: broker.now)
        client.subscribe([("b", SubscriptionOptions(qos: .atMostOnce))])
        #expect(client.received().last?.codes == [0x97])
    }

    @Test func `a client that comes back through another listener has its rights there`() throws {
        var inside = try AccessPolicyTests.role("in", users: ["r"], subscribe: ["a"])
        inside.listeners = ["in"]
        let broker = broker(inside)
        let first = try client(broker, "r", "r", expiry: 100).subscribed("a")
        first.drop()
        let outside = AccessRules(allowsAnonymous: false, checksPasswords: true, listener: "out")
        let second = try #require(broker.open(rules: outside))
        second.connect("r", cleanStart: false, user: "r", password: "x") {
            $0.add(.sessionExpiryInterval, uint32: 100)
        }
        broker.shard.authenticated(second.id, result: .accepted, at: broker.now)
        broker.settle()
        #expect(second.conversation() == ["connack 0x00 present"])
        #expect(broker.shard.subscriptionCount == 0)
    }

    // MARK: Users

    @Test func `a user who is removed is disconnected and leaves nothing`() throws {
        let broker = TestBroker()
        let reader = try client(broker, "reader", "bob").subscribed("#")
        let will = TestWill(topic: "w", payload: "gone")
        let gone = try client(broker, "gone", "alice", expiry: 100, will: will)
        let away = try client(broker, "away", "alice", expiry: 100)
        away.drop()
        broker.shard.usersChanged(removed: [Array("alice".utf8)], changed: [], at: broker.now)
        broker.settle()
        #expect(gone.conversation() == ["disconnect 0x87"] && gone.isClosed)
        #expect(reader.conversation() == [] && !reader.isClosed)
        #expect(broker.shard.sessionCount == 1)
        let other = try client(broker, "away", "bob", cleanStart: false, expiry: 100)
        #expect(!other.isClosed)
    }

    @Test func `a user with another password is disconnected and keeps the session`() throws {
        let broker = TestBroker()
        let client = try client(broker, "c", "alice", expiry: 100)
        broker.shard.usersChanged(removed: [], changed: [Array("alice".utf8)], at: broker.now)
        broker.settle()
        #expect(client.conversation() == ["disconnect 0x98"] && client.isClosed)
        #expect(broker.shard.sessionCount == 1)
    }

    @Test func `the user of a certificate needs no password, and no other name`() throws {
        let rules = AccessRules(
            allowsAnonymous: false, checksPasswords: false, takesIdentity: true)
        let broker = broker(
            try AccessPolicyTests.role("own", everybody: true, publish: ["%u"]))
        func connect(_ user: String?, identity: String?) throws -> TestClient {
            let client = try #require(broker.open(rules: rules))
            if let identity { broker.shard.identified(client.id, user: Array(identity.utf8)) }
            return client.connect("c-\(user ?? "")", user: user, password: user.map { _ in "x" })
        }
        let alice = try connect(nil, identity: "alice")
        alice.publish("alice", "", .atLeastOnce)
        alice.publish("bob", "", .atLeastOnce)
        #expect(
            alice.conversation() == ["connack 0x00", "pubAck id1 0x10", "pubAck id2 0x87"])
        #expect(try connect("alice", identity: "alice").conversation() == ["connack 0x00"])
        #expect(try connect("bob", identity: "alice").conversation() == ["connack 0x86"])
        #expect(try connect(nil, identity: nil).conversation() == ["connack 0x87"])
        // Nor does the password file have a say in who has a certificate.
        broker.shard.usersChanged(removed: [Array("alice".utf8)], changed: [], at: broker.now)
        #expect(!alice.isClosed)
    }

    @Test func `a certificate's user does not take over the session of another`() throws {
        let rules = AccessRules(
            allowsAnonymous: false, checksPasswords: false, takesIdentity: true)
        let broker = TestBroker()
        func connect(_ user: String) throws -> [String] {
            let client = try #require(broker.open(rules: rules))
            broker.shard.identified(client.id, user: Array(user.utf8))
            return client.connect("same", cleanStart: false).conversation()
        }
        #expect(try connect("alice") == ["connack 0x00"])
        #expect(try connect("bob") == ["connack 0x87"])
    }
}
