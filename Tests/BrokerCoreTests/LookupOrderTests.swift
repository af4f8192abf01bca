import MQTT
import Testing

@testable import BrokerCore

/// A look-up of retained messages that waits for its turn, and messages that come meanwhile.
@Suite struct LookupOrderTests {
    /// A broker with so many retained topics that a wildcard is looked up in a tick of its own.
    private func crowded(
        _ configuration: BrokerConfiguration = BrokerConfiguration()
    ) -> (broker: TestBroker, publisher: TestClient) {
        let broker = TestBroker(configuration)
        broker.checksInvariants = false
        let publisher = broker.client("p")
        for number in 0..<1_200 { publisher.publish("many/\(number)", "x", retain: true) }
        broker.checksInvariants = true
        return (broker, publisher)
    }

    /// What came on topics of the test's own, in order, with R for RETAIN.
    private func own(_ client: TestClient) -> [String] {
        client.received().filter { $0.topic.hasPrefix("own/") }.map {
            "\($0.topic)=\($0.payload)\($0.publish?.retain == true ? " R" : "")"
        }
    }

    @Test(arguments: [QoS.atMostOnce, .atLeastOnce, .exactlyOnce])
    func `a message that comes before the look-up does not overtake the retained one`(qos: QoS) {
        // [MQTT-4.6.0-5], [MQTT-4.6.0-6]
        let (broker, publisher) = crowded()
        publisher.publish("own/t", "old", qos, retain: true)
        let subscriber = broker.client("s").subscribed("#", qos)
        publisher.publish("own/t", "new", qos)
        publisher.publish("own/t", "newer", qos)
        broker.sleep(.seconds(1))
        #expect(own(subscriber) == ["own/t=old R", "own/t=new", "own/t=newer"])
        #expect(broker.shard.overtaken.isEmpty)
    }

    @Test func `a retained message that replaces the older one is the last`() {
        let (broker, publisher) = crowded()
        publisher.publish("own/t", "old", retain: true)
        let subscriber = broker.client("s").subscribed("#")
        publisher.publish("own/t", "new", retain: true)
        broker.sleep(.seconds(1))
        #expect(own(subscriber) == ["own/t=new", "own/t=new R"])
    }

    @Test func `one that is forgotten meanwhile does not come back`() {
        let (broker, publisher) = crowded()
        publisher.publish("own/t", "old", retain: true)
        let subscriber = broker.client("s").subscribed("#")
        publisher.publish("own/t", "", retain: true)
        broker.sleep(.seconds(1))
        #expect(own(subscriber) == ["own/t="])
    }

    @Test func `each subscription brings it once, with its own QoS and identifier`() {
        let (broker, publisher) = crowded()
        publisher.publish("own/t", "old", .atLeastOnce, retain: true)
        let subscriber = broker.client("s")
        subscriber.subscribe([
            ("#", SubscriptionOptions(qos: .atMostOnce)),
            ("own/+", SubscriptionOptions(qos: .atLeastOnce)),
            ("many/#", SubscriptionOptions(qos: .atLeastOnce)),
        ])
        publisher.publish("own/t", "new", .atLeastOnce)
        broker.sleep(.seconds(1))
        let got = subscriber.received().filter { $0.topic == "own/t" }.map {
            "\($0.payload) q\($0.publish?.qos.rawValue ?? 9)"
        }
        #expect(got == ["old q0", "old q1", "new q1"])
    }

    @Test func `who may not read the retained message does not get it so`() throws {
        var configuration = BrokerConfiguration()
        configuration.access = AccessPolicy(roles: [
            try AccessPolicyTests.role(
                "all", everybody: true, publish: ["#"], subscribe: ["many/#", "own/open"])
        ])
        let (broker, publisher) = crowded(configuration)
        publisher.publish("own/open", "old", retain: true)
        publisher.publish("own/shut", "old", retain: true)
        let subscriber = broker.client("s").subscribed("#")
        publisher.publish("own/open", "new")
        publisher.publish("own/shut", "new")
        broker.sleep(.seconds(1))
        #expect(own(subscriber) == ["own/open=old R", "own/open=new"])
    }

    @Test func `a session that ends before its look-up leaves nothing`() {
        let (broker, publisher) = crowded()
        publisher.publish("own/t", "old", retain: true)
        let subscriber = broker.client("s").subscribed("#")
        publisher.publish("own/t", "new")
        subscriber.drop()
        #expect(broker.shard.overtaken.isEmpty)
        let other = broker.client("s").subscribed("own/t")
        broker.sleep(.seconds(1))
        #expect(own(other) == ["own/t=old R"])
    }
}
