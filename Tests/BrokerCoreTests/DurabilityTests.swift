import MQTT
import Testing

@testable import BrokerCore

/// What a store that commits later will rely on.
@Suite struct DurabilityTests {
    private func broker() -> TestBroker {
        var configuration = BrokerConfiguration()
        configuration.durability = DurabilityRules(.process)
        configuration.journal.flushInterval = .zero
        let broker = TestBroker(configuration)
        broker.commitsAtOnce = false
        return broker
    }

    private func keptSession(_ broker: TestBroker, _ name: String) -> TestClient {
        guard let client = broker.open() else { preconditionFailure("no room") }
        client.connect(name, cleanStart: false) { $0.add(.sessionExpiryInterval, uint32: 100) }
        broker.commit()
        return client
    }

    @Test func `memory durability records nothing and holds nothing back`() {
        let broker = TestBroker()
        broker.client("l", cleanStart: false, expiry: 100).subscribed("t", .atLeastOnce)
        let client = broker.client("c", cleanStart: false, expiry: 100)
        client.publish("t", "x", .exactlyOnce, retain: true)
        #expect(client.conversation() == ["pubRec id1"])
        #expect(broker.turns.isEmpty)
    }

    @Test func `CONNACK of a kept session waits for its commit`() throws {
        let broker = broker()
        let client = try #require(broker.open())
        client.connect("c", cleanStart: false) { $0.add(.sessionExpiryInterval, uint32: 100) }
        #expect(client.conversation().isEmpty)
        broker.commit()
        #expect(client.conversation() == ["connack 0x00"])
    }

    @Test func `PUBACK leaves after the commit of what it acknowledges`() {
        let broker = broker()
        let listener = keptSession(broker, "l")
        listener.subscribe([("t", SubscriptionOptions(qos: .atLeastOnce))])
        broker.commit()
        #expect(listener.conversation() == ["connack 0x00", "suback id1 [1]"])
        let client = broker.client("c")
        client.publish("t", "x", .atLeastOnce)
        // Neither the acknowledgement nor the message to the kept session, which must be known again.
        #expect(client.conversation().isEmpty)
        #expect(listener.conversation().isEmpty)
        broker.commit()
        #expect(client.conversation() == ["pubAck id1"])
        #expect(listener.conversation() == ["publish t=x q1 id1"])
    }

    @Test func `QoS 1 that no kept session takes waits for nothing`() {
        let broker = broker()
        let listener = broker.client("l").subscribed("t", .atLeastOnce)
        let client = broker.client("c")
        client.publish("t", "x", .atLeastOnce)
        #expect(client.conversation() == ["pubAck id1"])
        #expect(listener.conversation() == ["publish t=x q1 id1"])
        #expect(broker.turns.isEmpty)
    }

    @Test func `QoS 2 is routed after its identifier is committed`() {
        let broker = broker()
        let listener = broker.client("l").subscribed("t")
        let client = keptSession(broker, "c")
        _ = client.received()
        client.publish("t", "x", .exactlyOnce)
        client.publish("t", "x", .exactlyOnce, duplicate: true, id: 1)
        #expect(listener.conversation().isEmpty)
        #expect(client.conversation().isEmpty)
        broker.commit()
        #expect(listener.conversation() == ["publish t=x q0"])
        #expect(client.conversation() == ["pubRec id1", "pubRec id1"])
    }

    @Test func `QoS 2 that expires before it is routed is answered to its end`() {
        // [MQTT-4.3.3-13], [MQTT-3.3.2-5]
        let broker = broker()
        let listener = broker.client("l").subscribed("t")
        let client = keptSession(broker, "c")
        _ = client.received()
        client.publish("t", "x", .exactlyOnce) { $0.add(.messageExpiryInterval, uint32: 5) }
        broker.sleep(.seconds(6))
        broker.commit()
        #expect(listener.conversation().isEmpty)
        #expect(broker.shard.counters.droppedExpired == 1)
        client.pubRel(1)
        broker.commit()
        #expect(client.conversation() == ["pubRec id1", "pubComp id1"])
    }

    @Test func `DISCONNECT does not overtake a CONNACK that waits for its commit`() throws {
        // [MQTT-3.14.0-1]
        let broker = broker()
        let client = try #require(broker.open())
        client.connect("c", cleanStart: false) { $0.add(.sessionExpiryInterval, uint32: 100) }
        client.send(bytes: [0x36, 0])  // QoS 3
        #expect(client.conversation().isEmpty)
        broker.commit()
        #expect(["connack 0x00", "disconnect 0x81"].starts(with: client.conversation()))
    }

    @Test func `acknowledgements leave in order of arrival`() {
        // [MQTT-4.6.0-2], [MQTT-4.6.0-3]
        let broker = broker()
        keptSession(broker, "l").subscribe([("t", SubscriptionOptions(qos: .atLeastOnce))])
        broker.commit()
        let client = broker.client("c")
        client.publish("t", "kept", .atLeastOnce)
        client.publish("nobody", "x", .atLeastOnce)
        client.send(.pingReq)
        // The second is safe, but does not overtake the first.
        #expect(client.conversation().isEmpty)
        broker.commit()
        #expect(client.conversation() == ["pubAck id1", "pubAck id2 0x10", "pingresp"])
    }

    @Test func `PUBREL leaves after its state is committed`() {
        let broker = broker()
        let listener = keptSession(broker, "l")
        listener.subscribe([("t", SubscriptionOptions(qos: .exactlyOnce))])
        broker.commit()
        broker.client("c").publish("t", "x", .exactlyOnce)
        broker.commit()
        _ = listener.received()
        listener.pubRec(1)
        #expect(listener.conversation().isEmpty)
        broker.commit()
        #expect(listener.conversation() == ["pubRel id1"])
    }

    @Test func `unacknowledged QoS 1 counts against receive maximum`() {
        var configuration = BrokerConfiguration()
        configuration.durability = DurabilityRules(.process)
        configuration.journal.flushInterval = .zero
        configuration.limits.receiveMaximum = 2
        let broker = TestBroker(configuration)
        broker.commitsAtOnce = false
        keptSession(broker, "l").subscribe([("t", SubscriptionOptions(qos: .atLeastOnce))])
        broker.commit()
        let client = broker.client("c")
        for _ in 1...2 { client.publish("t", "x", .atLeastOnce) }
        broker.commit()
        for _ in 1...2 { client.publish("t", "x", .atLeastOnce) }
        #expect(!client.isClosed)
        client.publish("t", "x", .atLeastOnce)
        #expect(client.isClosed)
    }
}
