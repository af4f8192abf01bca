import MQTT
import Testing

@testable import BrokerCore

@Suite struct RetainedTests {
    @Test func `a new subscription brings the last retained message`() {
        // [MQTT-3.3.1-5], [MQTT-3.3.1-8]
        let broker = TestBroker()
        let client = broker.client("c")
        client.publish("a/b", "old", .atLeastOnce, retain: true)
        client.publish("a/b", "new", .atLeastOnce, retain: true)
        client.publish("a/c", "other", retain: true)
        let listener = broker.client("l").subscribed("a/+", .exactlyOnce)
        #expect(
            listener.conversation() == [
                "publish a/b=new q1 retain id1", "publish a/c=other q0 retain",
            ])
    }

    @Test(arguments: [ProtocolVersion.v3_1_1, .v5_0])
    func `a retained message outlives the session that published it`(version: ProtocolVersion) {
        // [MQTT-3.1.2-7] of 3.1.1
        let broker = TestBroker()
        let client = broker.client("c", version)
        client.publish("t", "x", .atLeastOnce, retain: true)
        client.disconnect()
        _ = broker.client("c", version)
        #expect(broker.client("l").subscribed("t").conversation() == ["publish t=x q0 retain"])
    }

    @Test func `QoS 0 replaces a retained message of a higher QoS`() {
        // [MQTT-3.3.1-7] of 3.1.1
        let broker = TestBroker()
        let client = broker.client("c", .v3_1_1)
        client.publish("t", "old", .exactlyOnce, retain: true)
        client.publish("t", "new", .atMostOnce, retain: true)
        let listener = broker.client("l", .v3_1_1).subscribed("t", .exactlyOnce)
        #expect(listener.conversation() == ["publish t=new q0 retain"])
    }

    @Test(arguments: [ProtocolVersion.v3_1_1, .v5_0], QoS.allCases)
    func `without RETAIN nothing is kept, replaced or removed`(
        version: ProtocolVersion, qos: QoS
    ) {
        // [MQTT-3.3.1-8]; [MQTT-3.3.1-12] of 3.1.1
        let broker = TestBroker()
        let client = broker.client("c", version)
        client.publish("kept", "x", .atLeastOnce, retain: true)
        client.publish("kept", "y", qos)
        client.publish("kept", "", qos)
        client.publish("other", "z", qos)
        let listener = broker.client("l", version).subscribed("#", .atLeastOnce)
        #expect(listener.conversation() == ["publish kept=x q1 retain id1"])
    }

    @Test(arguments: [ProtocolVersion.v3_1, .v3_1_1])
    func `before 5 a subscription that is there never sees RETAIN`(version: ProtocolVersion) {
        // [MQTT-3.3.1-9] of 3.1.1
        let broker = TestBroker()
        let listener = broker.client("l", version).subscribed("t", .exactlyOnce)
        let client = broker.client("c", version)
        for qos in QoS.allCases { client.publish("t", "\(qos.rawValue)", qos, retain: true) }
        #expect(
            listener.conversation() == [
                "publish t=0 q0", "publish t=1 q1 id1", "publish t=2 q2 id2",
            ])
    }

    @Test func `an empty payload deletes, and is passed on`() {
        // [MQTT-3.3.1-6], [MQTT-3.3.1-7]
        let broker = TestBroker()
        let client = broker.client("c")
        client.publish("t", "x", retain: true)
        let now = broker.client("n").subscribed("t")
        _ = now.received()
        client.publish("t", "", retain: true)
        #expect(now.conversation() == ["publish t= q0"])
        #expect(broker.client("l").subscribed("t").conversation().isEmpty)
        #expect(broker.shard.retainedCount == 0)
    }

    @Test func `those who are there get the message without RETAIN, unless they ask for it`() {
        // [MQTT-3.3.1-12], [MQTT-3.3.1-13]
        let broker = TestBroker()
        let plain = broker.client("p").subscribed("t")
        let asPublished = broker.client("r").subscribed("t", retainAsPublished: true)
        let client = broker.client("c")
        client.publish("t", "x", retain: true)
        client.publish("t", "y")
        #expect(plain.conversation() == ["publish t=x q0", "publish t=y q0"])
        #expect(asPublished.conversation() == ["publish t=x q0 retain", "publish t=y q0"])
    }

    @Test func `retain handling decides about what was there`() {
        // [MQTT-3.3.1-9], [MQTT-3.3.1-10], [MQTT-3.3.1-11]
        let broker = TestBroker()
        broker.client("c").publish("t", "x", retain: true)
        let client = broker.client("l")
        client.subscribed("t", .atMostOnce, .sendAtSubscribe)
        client.subscribed("t", .atMostOnce, .sendAtSubscribe)
        #expect(client.conversation().count == 2)
        client.subscribed("t", .atMostOnce, .sendIfNew)
        #expect(client.conversation().isEmpty)
        client.unsubscribe("t")
        _ = client.received()
        client.subscribed("t", .atMostOnce, .sendIfNew)
        #expect(client.conversation().count == 1)
        client.unsubscribe("t")
        _ = client.received()
        client.subscribed("t", .atMostOnce, .doNotSend)
        #expect(client.conversation().isEmpty)
    }

    @Test func `SUBACK comes before the retained messages`() {
        let broker = TestBroker()
        broker.client("c").publish("t", "x", retain: true)
        let client = broker.client("l")
        client.subscribe([("t", SubscriptionOptions(qos: .atMostOnce))])
        #expect(client.conversation() == ["suback id1 [0]", "publish t=x q0 retain"])
    }

    @Test func `a retained message expires`() {
        let broker = TestBroker()
        broker.client("c").publish("t", "x", retain: true) {
            $0.add(.messageExpiryInterval, uint32: 10)
        }
        broker.sleep(.seconds(4))
        let packet = broker.client("a").subscribed("t").received().first
        #expect(packet?.uint32(.messageExpiryInterval) == 6)
        broker.sleep(.seconds(6))
        #expect(broker.client("b").subscribed("t").conversation().isEmpty)
        #expect(broker.shard.retainedCount == 0)
    }

    @Test func `retained messages have a limit by count`() {
        var configuration = BrokerConfiguration()
        configuration.limits.retainedMessages = 1
        let broker = TestBroker(configuration)
        let listener = broker.client("l").subscribed("#")
        let client = broker.client("c")
        client.publish("a", "1", .atLeastOnce, retain: true)
        // The one that is there may be replaced.
        client.publish("a", "2", .atLeastOnce, retain: true)
        client.publish("b", "3", .atLeastOnce, retain: true)
        #expect(client.conversation() == ["pubAck id1", "pubAck id2", "pubAck id3 0x97"])
        // Who cannot be told has the message routed all the same.
        client.publish("b", "4", retain: true)
        #expect(
            listener.received().map(\.payload) == ["1", "2", "4"])
        #expect(broker.shard.retainedCount == 1)
        #expect(broker.shard.counters.droppedRetainedFull == 1)
    }

    @Test func `retained messages have a limit by bytes`() {
        var configuration = BrokerConfiguration()
        configuration.limits.retainedBytes = 1_000
        let broker = TestBroker(configuration)
        let client = broker.client("c", .v3_1_1)
        for number in 1...10 {
            client.publish("\(number)", String(repeating: "x", count: 100), retain: true)
        }
        #expect((3...5).contains(broker.shard.retainedCount))
    }

    @Test func `retained QoS 0 does not overtake and is not overtaken`() {
        var configuration = BrokerConfiguration()
        configuration.limits.outputBytes = 4_096
        let broker = TestBroker(configuration)
        let client = broker.client("c")
        for number in 1...8 {
            client.publish("t\(number)", String(repeating: "x", count: 1_000), retain: true)
        }
        let listener = broker.client("l")
        listener.reads = false
        listener.subscribe([("#", SubscriptionOptions(qos: .atMostOnce))])
        client.publish("t8", "live")
        listener.reads = true
        for _ in 1...8 {
            broker.flush(listener.id)
            broker.settle()
        }
        let topics = listener.received().filter { $0.publish != nil }
        #expect(topics.map(\.topic) == (1...8).map { "t\($0)" } + ["t8"])
        #expect(topics.last?.payload == "live")
    }
}
