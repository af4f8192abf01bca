import MQTT
import Testing

@testable import BrokerCore

@Suite struct SubscribeTests {
    private func options(_ qos: QoS) -> SubscriptionOptions { SubscriptionOptions(qos: qos) }

    @Test func `each filter is answered for itself and in order`() {
        // [MQTT-3.8.4-1], [MQTT-3.8.4-5], [MQTT-3.8.4-6]
        let client = TestBroker().client("a")
        client.subscribe([
            ("a", options(.atMostOnce)), ("b/#", options(.exactlyOnce)),
            ("b/#/c", options(.atMostOnce)), ("+", options(.atLeastOnce)),
        ])
        #expect(client.conversation() == ["suback id1 [0, 2, 143, 1]"])
    }

    @Test func `before 5 a filter that is not taken gets 0x80`() {
        // [MQTT-3.9.3-2] of 3.1.1
        let client = TestBroker().client("a", .v3_1_1)
        client.subscribe([("a/#/b", options(.atMostOnce)), ("a", options(.atMostOnce))])
        #expect(client.conversation() == ["suback id1 [128, 0]"])
    }

    @Test func `before 5 a share is an ordinary level`() {
        let broker = TestBroker()
        let new = broker.client("n")
        let old = broker.client("o", .v3_1_1)
        old.subscribe([("$share/g/t", options(.atMostOnce))])
        new.publish("t", "x")
        new.publish("$share/g/t", "y")
        #expect(old.conversation() == ["suback id1 [0]", "publish $share/g/t=y q0"])
    }

    @Test func `reason strings are not sent to who does not want them`() throws {
        // [MQTT-3.1.2-29]
        let client = TestBroker().client("a") { $0.add(.requestProblemInformation, uint8: 0) }
        client.subscribe([("a/#/b", options(.atMostOnce))])
        let answer = try #require(client.received().first)
        #expect(answer.codes == [0x8F])
        #expect(answer.string(.reasonString) == nil)
    }

    @Test func `a filter that is held is replaced`() {
        // [MQTT-3.8.4-3]
        let broker = TestBroker()
        let client = broker.client("a").subscribed("t", .atLeastOnce)
        client.subscribed("t", .atMostOnce)
        #expect(broker.shard.subscriptionCount == 1)
        broker.client("b").publish("t", "x", .exactlyOnce)
        #expect(client.conversation() == ["publish t=x q0"])
    }

    @Test func `a filter that is held brings its retained messages again, and loses nothing`() {
        // [MQTT-3.8.4-3] of 3.1.1, [MQTT-3.8.4-4]
        let broker = TestBroker()
        let publisher = broker.client("p")
        publisher.publish("t", "kept", .atLeastOnce, retain: true)
        let client = broker.client("a", .v3_1_1).subscribed("t", .atLeastOnce)
        publisher.publish("t", "1", .atLeastOnce)
        client.subscribe([("t", options(.exactlyOnce))])
        publisher.publish("t", "2", .exactlyOnce)
        #expect(broker.shard.subscriptionCount == 1)
        #expect(
            client.conversation() == [
                "publish t=kept q1 retain id1", "publish t=1 q1 id2", "suback id2 [2]",
                "publish t=kept q1 retain id3", "publish t=2 q2 id4",
            ])
    }

    @Test(arguments: [ProtocolVersion.v3_1_1, .v5_0])
    func `several filters in a packet do what several packets do, with one answer`(
        version: ProtocolVersion
    ) {
        // [MQTT-3.8.4-5], [MQTT-3.10.4-6]; [MQTT-3.8.4-4], [MQTT-3.10.4-6] of 3.1.1
        func run(_ groups: [[String]]) -> (answers: [[String]], publishes: [String], left: Int) {
            let broker = TestBroker()
            let publisher = broker.client("p")
            for topic in ["a", "b", "c"] {
                publisher.publish(topic, "kept", .atLeastOnce, retain: true)
            }
            let client = broker.client("s", version)
            var answers: [[String]] = []
            var publishes: [String] = []
            func sort() {
                var packets: [String] = []
                for packet in client.received() {
                    if packet.publish == nil {
                        packets.append(packet.description)
                    } else {
                        publishes.append(packet.description)
                    }
                }
                answers.append(packets)
            }
            for filters in groups {
                client.subscribe(filters.map { ($0, options(.atLeastOnce)) })
                sort()
            }
            for topic in ["a", "b", "c"] { publisher.publish(topic, "live", .atLeastOnce) }
            for filters in groups {
                var arena: [UInt8] = []
                for filter in filters {
                    Unsubscribe.append(filter: Array(filter.utf8).span, to: &arena)
                }
                client.send(
                    .unsubscribe(
                        Unsubscribe(
                            packetID: client.takePacketID(), filters: ByteRange(0..<arena.count),
                            filterCount: filters.count)), from: arena)
                sort()
            }
            for topic in ["a", "b", "c"] { publisher.publish(topic, "late", .atLeastOnce) }
            sort()
            return (answers, publishes, broker.shard.subscriptionCount)
        }
        // The same filter twice: the later replaces the earlier, and brings the message again.
        let filters = ["a", "b/#", "a", "c"]
        let together = run([filters])
        let apart = run(filters.map { [$0] })
        #expect(together.publishes == apart.publishes)
        #expect(together.left == 0 && apart.left == 0)
        let gone = version == .v5_0 ? "[0, 0, 17, 0]" : "[]"
        #expect(
            together.answers == [["suback id1 [1, 1, 1, 1]"], ["unsuback id2 \(gone)"], []])
        #expect(apart.answers.map(\.count) == [1, 1, 1, 1, 1, 1, 1, 1, 0])
        #expect(together.publishes.count == 7)
    }

    @Test func `overlapping filters bring one copy at the highest QoS`() {
        // [MQTT-3.3.4-2]
        let broker = TestBroker()
        let client = broker.client("a").subscribed("t/#").subscribed("t/+", .exactlyOnce)
        client.subscribed("t/x", .atLeastOnce, retainAsPublished: true)
        broker.client("b").publish("t/x", "x", .exactlyOnce, retain: true)
        #expect(client.conversation() == ["publish t/x=x q2 retain id1"])
    }

    @Test func `no local keeps a client's own messages away`() {
        // [MQTT-3.8.3-3]
        let broker = TestBroker()
        let client = broker.client("a").subscribed("t", noLocal: true).subscribed("u")
        let other = broker.client("b").subscribed("#", noLocal: true)
        client.publish("t", "1")
        client.publish("u", "2")
        other.publish("t", "3")
        #expect(client.conversation() == ["publish u=2 q0", "publish t=3 q0"])
        #expect(other.conversation() == ["publish t=1 q0", "publish u=2 q0"])
    }

    @Test func `a bridge of Mosquitto gets neither its own messages nor RETAIN cleared`() throws {
        let broker = TestBroker()
        let bridge = try #require(broker.open(.v3_1_1))
        bridge.connect("bridge", isBridge: true)
        bridge.subscribed("#")
        bridge.publish("own", "x")
        broker.client("c").publish("t", "y", retain: true)
        #expect(bridge.conversation() == ["publish t=y q0 retain"])
    }

    @Test func `UNSUBSCRIBE is answered and takes effect`() {
        // [MQTT-3.10.4-1], [MQTT-3.10.4-4], [MQTT-3.11.3-1]
        let broker = TestBroker()
        let client = broker.client("a").subscribed("t")
        client.unsubscribe("t", "u", "a#")
        #expect(client.conversation() == ["unsuback id2 [0, 17, 143]"])
        broker.client("b").publish("t", "x")
        #expect(client.conversation().isEmpty)
        let old = broker.client("o", .v3_1_1).subscribed("t")
        old.unsubscribe("t", "u")
        #expect(old.conversation() == ["unsuback id2 []"])
    }

    @Test(arguments: [ProtocolVersion.v3_1_1, .v5_0])
    func `UNSUBACK carries the identifier, also where nothing was removed`(
        version: ProtocolVersion
    ) {
        // [MQTT-3.10.4-4], [MQTT-3.10.4-5]
        let client = TestBroker().client("a", version)
        let filter: [UInt8] = [0, 1, 116]
        for id: UInt16 in [1, 77, 65_535] {
            client.send(
                .unsubscribe(
                    Unsubscribe(packetID: id, filters: ByteRange(0..<3), filterCount: 1)),
                from: filter)
        }
        let codes = version == .v5_0 ? "[17]" : "[]"
        #expect(
            client.conversation() == [
                "unsuback id1 \(codes)", "unsuback id77 \(codes)", "unsuback id65535 \(codes)",
            ])
    }

    @Test func `UNSUBSCRIBE takes the filter that is equal, byte by byte, and no other`() {
        // [MQTT-3.10.4-1]
        let broker = TestBroker()
        let client = broker.client("a").subscribed("a/b").subscribed("a/+").subscribed("A/b")
        client.unsubscribe("a/#", "+/b", "a/b/", "a/B")
        #expect(broker.shard.subscriptionCount == 3)
        client.unsubscribe("a/+")
        broker.client("p").publish("a/c", "x")
        #expect(broker.shard.subscriptionCount == 2)
        #expect(client.received().allSatisfy { $0.publish == nil })
    }

    @Test(arguments: [ProtocolVersion.v3_1_1, .v5_0])
    func `UNSUBSCRIBE ends what is new, and what was begun goes on`(version: ProtocolVersion) throws
    {
        // [MQTT-3.10.4-2], [MQTT-3.10.4-3]
        let broker = TestBroker()
        let client = broker.client("a", version, cleanStart: false, expiry: 100)
        client.subscribed("t", .exactlyOnce)
        let publisher = broker.client("p")
        for (payload, qos) in [("1", QoS.atLeastOnce), ("2", .exactlyOnce), ("3", .exactlyOnce)] {
            publisher.publish("t", payload, qos)
        }
        client.pubRec(3)
        _ = client.received()
        client.unsubscribe("t")
        publisher.publish("t", "new", .exactlyOnce)
        publisher.publish("t", "new")
        client.pubRec(2)
        client.pubComp(3)
        let codes = version == .v5_0 ? "[0]" : "[]"
        #expect(client.conversation() == ["unsuback id2 \(codes)", "pubRel id2"])
        client.drop()
        let again = try #require(broker.open(version))
        again.connect("a", cleanStart: false) { $0.add(.sessionExpiryInterval, uint32: 100) }
        #expect(
            again.conversation() == [
                "connack 0x00 present", "pubRel id2", "publish t=1 q1 dup id1",
            ])
    }

    @Test func `subscriptions of a client have a limit`() {
        var configuration = BrokerConfiguration()
        configuration.limits.subscriptions = 2
        let client = TestBroker(configuration).client("a").subscribed("a").subscribed("b")
        client.subscribe([("c", options(.atMostOnce)), ("a", options(.atLeastOnce))])
        #expect(client.conversation() == ["suback id3 [151, 1]"])
    }

    @Test func `wildcard filters of a client have a limit of their own`() {
        var configuration = BrokerConfiguration()
        configuration.limits.topics.maximumWildcardFilters = 1
        let client = TestBroker(configuration).client("a")
        client.subscribe([
            ("a/+", options(.atMostOnce)), ("b/+", options(.atMostOnce)),
            ("c", options(.atMostOnce)),
        ])
        #expect(client.conversation() == ["suback id1 [0, 151, 0]"])
    }

    @Test func `leading wildcards miss the server's topics`() {
        // [MQTT-4.7.2-1]
        let broker = TestBroker()
        let client = broker.client("a").subscribed("#").subscribed("+/x")
        broker.client("b").publish("$other/x", "y")
        #expect(client.conversation().isEmpty)
    }
}

@Suite struct PasswordTests {
    private static let rules = AccessRules(allowsAnonymous: false, checksPasswords: true)

    @Test func `without a user name nobody gets in`() throws {
        for (version, answer) in [(ProtocolVersion.v5_0, "0x87"), (.v3_1_1, "0x05")] {
            let client = try #require(TestBroker().open(version, rules: Self.rules))
            client.connect("a")
            #expect(client.conversation() == ["connack \(answer)"])
            #expect(client.isClosed)
        }
    }

    @Test(arguments: [
        (AuthenticationResult.accepted, ProtocolVersion.v5_0, "0x00"), (.wrong, .v5_0, "0x86"),
        (.wrong, .v3_1_1, "0x04"), (.busy, .v5_0, "0x89"), (.busy, .v3_1, "0x03"),
    ])
    func `a check decides`(
        result: AuthenticationResult, version: ProtocolVersion, answer: String
    ) throws {
        let broker = TestBroker()
        let client = try #require(broker.open(version, rules: Self.rules))
        client.connect("a", user: "alice", password: "secret")
        #expect(client.inbox.isEmpty)
        #expect(client.isPaused)
        let check = try #require(broker.passwordChecks.first)
        #expect(check.user == Array("alice".utf8))
        #expect(check.password == Array("secret".utf8))
        broker.shard.authenticated(check.connection, result: result, at: broker.now)
        broker.settle()
        #expect(client.conversation() == ["connack \(answer)"])
        #expect(client.isClosed == (result != .accepted))
        #expect(broker.passwordChecks.count == 1)
    }

    @Test func `what came behind CONNECT is taken after the check`() throws {
        let broker = TestBroker()
        let listener = broker.client("l").subscribed("t")
        let client = try #require(broker.open(.v3_1_1, rules: Self.rules))
        client.connect("a", user: "u", password: "p")
        client.publish("t", "1")
        client.publish("t", "2")
        #expect(listener.inbox.isEmpty)
        let check = try #require(broker.passwordChecks.first)
        broker.shard.authenticated(check.connection, result: .accepted, at: broker.now)
        broker.settle()
        #expect(!client.isPaused)
        #expect(listener.conversation() == ["publish t=1 q0", "publish t=2 q0"])
    }

    @Test func `a check that ends after its connection changes nothing`() throws {
        let broker = TestBroker()
        let client = try #require(broker.open(.v5_0, rules: Self.rules))
        client.connect("a", user: "u", password: "p")
        client.drop()
        let other = try #require(broker.open(.v5_0, rules: Self.rules))
        let check = try #require(broker.passwordChecks.first)
        broker.shard.authenticated(check.connection, result: .accepted, at: broker.now)
        broker.settle()
        #expect(other.inbox.isEmpty)
        #expect(broker.shard.sessionCount == 0)
    }

    @Test func `a check that takes too long ends with the time to connect`() throws {
        let broker = TestBroker()
        let client = try #require(broker.open(.v5_0, rules: Self.rules))
        client.connect("a", user: "u", password: "p")
        broker.sleep(.seconds(10))
        #expect(client.isClosed)
    }
}
