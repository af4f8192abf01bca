import MQTT
import Testing

@testable import BrokerCore

/// Topic aliases, from clients and to them (3.3.2.3.4).
@Suite struct AliasTests {
    private func broker(aliases: Int = 32, bytes: Int = 16 * 1024) -> TestBroker {
        var configuration = BrokerConfiguration()
        configuration.limits.topicAliases = aliases
        configuration.limits.topicAliasBytes = bytes
        return TestBroker(configuration)
    }

    private func publish(
        _ client: TestClient, _ topic: String, _ payload: String, alias: UInt16,
        _ qos: QoS = .atMostOnce
    ) {
        client.publish(topic, payload, qos) {
            $0.addUserProperty(name: "a", value: "1")
            $0.add(.topicAlias, uint16: alias)
            $0.addUserProperty(name: "b", value: "2")
        }
    }

    /// A client that takes so many aliases.
    private func listener(
        _ broker: TestBroker, _ maximum: UInt16, _ qos: QoS = .atMostOnce, packetSize: UInt32? = nil
    ) -> TestClient {
        let client = broker.client("l") {
            $0.add(.topicAliasMaximum, uint16: maximum)
            if let packetSize { $0.add(.maximumPacketSize, uint32: packetSize) }
        }
        return client.subscribed("#", qos)
    }

    /// What came as "topic:alias".
    private func names(_ client: TestClient) -> [String] {
        client.received().filter { $0.publish != nil }.map { packet in
            packet.topic + ":" + (packet.uint16(.topicAlias).map { "\($0)" } ?? "")
        }
    }

    // MARK: From clients

    @Test(arguments: [QoS.atMostOnce, .atLeastOnce, .exactlyOnce])
    func `an alias stands for its topic, and is not passed on`(qos: QoS) {
        // [MQTT-3.3.2-12], [MQTT-3.3.2-18]
        let broker = broker()
        let new = broker.client("l").subscribed("#", qos)
        let old = broker.client("o", .v3_1_1).subscribed("t/+", qos)
        let client = broker.client("c")
        for alias: UInt16 in [1, 32] { publish(client, "t/\(alias)", "x", alias: alias, qos) }
        for alias: UInt16 in [32, 1] { publish(client, "", "y", alias: alias, qos) }
        publish(client, "t/new", "z", alias: 1, qos)
        publish(client, "", "z", alias: 1, qos)
        let packets = new.received().filter { $0.publish != nil }
        #expect(packets.map(\.topic) == ["t/1", "t/32", "t/32", "t/1", "t/new", "t/new"])
        #expect(packets.map(\.payload) == ["x", "x", "y", "y", "z", "z"])
        #expect(packets.allSatisfy { $0.userProperties == ["a=1", "b=2"] })
        #expect(packets.allSatisfy { $0.uint16(.topicAlias) == nil })
        #expect(old.received().filter { $0.publish != nil }.map(\.topic) == packets.map(\.topic))
    }

    @Test func `an aliased message is retained and keeps its expiry`() throws {
        let broker = broker()
        let client = broker.client("c")
        client.publish("t", "x", retain: true) {
            $0.add(.topicAlias, uint16: 3)
            $0.add(.messageExpiryInterval, uint32: 50)
        }
        client.publish("", "y", retain: true) {
            $0.add(.messageExpiryInterval, uint32: 60)
            $0.add(.topicAlias, uint16: 3)
        }
        broker.sleep(.seconds(10))
        let packet = try #require(broker.client("l").subscribed("t").received().first)
        #expect(packet.payload == "y")
        #expect(packet.uint32(.messageExpiryInterval) == 50)
    }

    @Test func `CONNACK says how many there may be; 0 is not said`() throws {
        for (aliases, announced) in [(32, UInt16?(32)), (65_535, 65_535), (0, nil)] {
            let client = try #require(broker(aliases: aliases).open())
            client.connect("c")
            let answer = try #require(client.received().first)
            #expect(answer.uint16(.topicAliasMaximum) == announced)
        }
    }

    @Test func `an alias above the maximum ends the connection`() {
        // [MQTT-3.3.2-9]
        for (maximum, alias) in [(32, UInt16(33)), (0, 1)] {
            let client = broker(aliases: maximum).client("c")
            publish(client, "t", "x", alias: alias)
            #expect(client.conversation() == ["disconnect 0x94"])
        }
    }

    @Test func `an alias of 0 ends the connection`() {
        // [MQTT-3.3.2-8]
        let client = broker().client("c")
        publish(client, "t", "x", alias: 0)
        #expect(client.conversation() == ["disconnect 0x94"])
    }

    @Test func `an alias that was given to no topic is a protocol error`() {
        let client = broker().client("c")
        publish(client, "t", "x", alias: 2)
        publish(client, "", "x", alias: 1)
        #expect(client.conversation() == ["disconnect 0x82"])
    }

    @Test func `aliases end with the connection, the session or not`() throws {
        // [MQTT-3.3.2-7]
        let broker = broker()
        let client = broker.client("c", cleanStart: false, expiry: 100)
        publish(client, "t", "x", alias: 1)
        client.drop()
        let again = broker.client("c", cleanStart: false, expiry: 100)
        publish(again, "", "x", alias: 1)
        #expect(again.conversation() == ["disconnect 0x82"])
    }

    @Test func `each connection has aliases of its own`() {
        let broker = broker()
        let listener = broker.client("l").subscribed("#")
        let clients = [broker.client("a"), broker.client("b")]
        for (index, client) in clients.enumerated() {
            publish(client, "t/\(index)", "x", alias: 1)
        }
        for client in clients { publish(client, "", "x", alias: 1) }
        #expect(listener.received().map(\.topic) == ["t/0", "t/1", "t/0", "t/1"])
    }

    @Test func `an alias gives no way to a topic of the server's or one too deep`() {
        let client = broker().client("c")
        publish(client, "$SYS/x", "x", alias: 1, .atLeastOnce)
        publish(client, "", "x", alias: 1, .atLeastOnce)
        #expect(client.conversation() == ["pubAck id1 0x87", "pubAck id2 0x87"])
    }

    @Test func `the topics behind a client's aliases have a limit`() {
        let client = broker(bytes: 1_000).client("c")
        for alias in UInt16(1)...3 {
            publish(client, String(repeating: "x", count: 300), "x", alias: alias)
        }
        // What takes the place of another counts once.
        publish(client, String(repeating: "y", count: 300), "x", alias: 3)
        #expect(!client.isClosed)
        publish(client, String(repeating: "z", count: 300), "x", alias: 4)
        #expect(client.conversation() == ["disconnect 0x97"])
    }

    // MARK: To clients

    @Test(arguments: [QoS.atMostOnce, .atLeastOnce])
    func `a topic gets an alias at its first use, while there is room`(qos: QoS) {
        // [MQTT-3.3.2-11]
        let broker = broker()
        let client = listener(broker, 2, qos)
        let publisher = broker.client("p")
        for topic in ["topic/a", "topic/b", "topic/c", "topic/a", "topic/b", "topic/c"] {
            publisher.publish(topic, "x", qos)
        }
        #expect(
            names(client) == ["topic/a:1", "topic/b:2", "topic/c:", ":1", ":2", "topic/c:"])
    }

    @Test func `our own maximum counts if it is lower`() {
        let broker = broker(aliases: 1)
        let client = listener(broker, 100)
        let publisher = broker.client("p")
        for topic in ["topic/a", "topic/b"] { publisher.publish(topic, "x") }
        #expect(names(client) == ["topic/a:1", "topic/b:"])
    }

    @Test func `who takes no aliases gets none, nor does a topic that is shorter than one`() {
        let broker = broker()
        let silent = broker.client("s").subscribed("#")
        let client = listener(broker, 10)
        let publisher = broker.client("p")
        for topic in ["topic/a", "abc", "topic/a", "abc"] { publisher.publish(topic, "x") }
        #expect(names(silent) == ["topic/a:", "abc:", "topic/a:", "abc:"])
        #expect(names(client) == ["topic/a:1", "abc:", ":1", "abc:"])
    }

    @Test func `a message that is dropped gives no alias`() {
        // The next one would name a topic that the client never heard.
        let broker = broker()
        let client = listener(broker, 10, packetSize: 60)
        let publisher = broker.client("p")
        publisher.publish("topic/a", String(repeating: "x", count: 60))
        publisher.publish("topic/a", "x")
        publisher.publish("topic/a", "x")
        #expect(names(client) == ["topic/a:1", ":1"])
        #expect(broker.shard.counters.droppedTooLarge == 1)
    }

    @Test func `a message that fits without an alias only goes without`() {
        // [MQTT-3.1.2-24]
        let broker = broker()
        let client = listener(broker, 10, packetSize: 40)
        let publisher = broker.client("p")
        // Header 2, topic 2 + 7, properties' length 1: 28 are left.
        publisher.publish("topic/a", String(repeating: "x", count: 28))
        publisher.publish("topic/a", "x")
        publisher.publish("topic/a", String(repeating: "x", count: 32))
        #expect(names(client) == ["topic/a:", "topic/a:1", ":1"])
    }

    @Test func `what a full output drops gives no alias`() {
        var configuration = BrokerConfiguration()
        configuration.limits.outputBytes = 4_096
        let broker = TestBroker(configuration)
        let client = listener(broker, 10)
        client.reads = false
        let publisher = broker.client("p")
        let large = String(repeating: "x", count: 3_000)
        publisher.publish("topic/a", large)
        publisher.publish("topic/b", large)
        client.reads = true
        broker.flush(client.id)
        publisher.publish("topic/b", "x")
        publisher.publish("topic/a", "x")
        #expect(names(client) == ["topic/a:1", "topic/b:2", ":1"])
    }

    @Test func `what is sent again begins with an empty table`() {
        // [MQTT-3.3.2-7]
        let broker = broker()
        let client = broker.client("l", cleanStart: false, expiry: 100) {
            $0.add(.topicAliasMaximum, uint16: 5)
        }
        client.subscribed("#", .atLeastOnce)
        let publisher = broker.client("p")
        for topic in ["topic/a", "topic/a", "topic/b"] {
            publisher.publish(topic, "x", .atLeastOnce)
        }
        #expect(names(client) == ["topic/a:1", ":1", "topic/b:2"])
        client.pubAck(1)
        client.drop()
        let again = broker.client("l", cleanStart: false, expiry: 100) {
            $0.add(.topicAliasMaximum, uint16: 5)
        }
        #expect(names(again) == ["topic/a:1", "topic/b:2"])
        again.drop()
        // The next connection takes none.
        #expect(names(broker.client("l", cleanStart: false)) == ["topic/a:", "topic/b:"])
    }

    @Test func `retained messages and subscription identifiers go with aliases`() {
        let broker = broker()
        let publisher = broker.client("p")
        publisher.publish("topic/a", "x", retain: true) { $0.add(.contentType, string: "text") }
        let client = broker.client("l") { $0.add(.topicAliasMaximum, uint16: 5) }
        client.subscribe([("topic/+", SubscriptionOptions(qos: .atMostOnce))], identifier: 7)
        publisher.publish("topic/a", "y") { $0.add(.contentType, string: "text") }
        let packets = client.received().filter { $0.publish != nil }
        #expect(packets.map(\.subscriptionIdentifiers) == [[7], [7]])
        #expect(packets.map { $0.uint16(.topicAlias) } == [1, 1])
        #expect(packets.map(\.topic) == ["topic/a", ""])
        #expect(packets.map { $0.string(.contentType) } == ["text", "text"])
    }

    @Test func `a client that knows its aliases understands all, whatever comes`() {
        // Any order of topics, sizes and reads: each alias alone was said with its topic before.
        var random = SplitMix(state: 11)
        var configuration = BrokerConfiguration()
        configuration.limits.outputBytes = 4_096
        configuration.limits.topicAliasBytes = 1_024
        configuration.limits.inFlight = 5
        let broker = TestBroker(configuration)
        broker.checksInvariants = false
        let client = broker.client("l") {
            $0.add(.topicAliasMaximum, uint16: 7)
            $0.add(.maximumPacketSize, uint32: 1_500)
        }
        client.subscribed("#", .atLeastOnce)
        let publisher = broker.client("p")
        var known: [UInt16: String] = [:]
        var understood = 0
        for _ in 0..<3_000 {
            let number =
                Int.random(in: 0..<4, using: &random) * Int.random(in: 0..<9, using: &random)
            let topic = "topic/\(number)" + String(repeating: "x", count: number * 10)
            let size = Int.random(in: 0..<3, using: &random) * 600
            publisher.publish(
                topic, topic + "|" + String(repeating: "p", count: size),
                Bool.random(using: &random) ? .atMostOnce : .atLeastOnce)
            if Int.random(in: 0..<20, using: &random) == 0 { client.reads.toggle() }
            if client.reads { broker.flush(client.id) }
            for packet in client.received() {
                guard let publish = packet.publish else { continue }
                if let packetID = publish.packetID { client.pubAck(packetID) }
                let alias = packet.uint16(.topicAlias)
                if let alias, !packet.topic.isEmpty { known[alias] = packet.topic }
                let meant = packet.topic.isEmpty ? alias.flatMap { known[$0] } : packet.topic
                #expect(meant == packet.payload.split(separator: "|").first.map(String.init))
                #expect((alias ?? 1) <= 7)
                understood += 1
            }
        }
        #expect(understood > 1_000)
        #expect(!client.isClosed)
    }
}
