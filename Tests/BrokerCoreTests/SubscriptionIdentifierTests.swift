import MQTT
import Testing

@testable import BrokerCore

@Suite struct SubscriptionIdentifierTests {
    private func subscribe(
        _ client: TestClient, _ filter: String, _ identifier: UInt32?, _ qos: QoS = .exactlyOnce
    ) {
        client.subscribe([(filter, SubscriptionOptions(qos: qos))], identifier: identifier)
        #expect(client.received().first { !$0.codes.isEmpty }?.codes == [qos.rawValue])
    }

    private func identifiers(_ client: TestClient) -> [[UInt32]] {
        client.received().filter { $0.publish != nil }.map(\.subscriptionIdentifiers)
    }

    @Test(arguments: [QoS.atMostOnce, .atLeastOnce, .exactlyOnce])
    func `a message carries the identifier of the subscription that brought it`(qos: QoS) throws {
        // [MQTT-3.3.4-3]; the largest identifier takes four bytes
        let broker = TestBroker()
        let client = broker.client("a")
        subscribe(client, "t", 268_435_455)
        subscribe(client, "u", nil)
        let publisher = broker.client("b")
        publisher.publish("t", "x", qos) {
            $0.addUserProperty(name: "n", value: "v")
            $0.add(.messageExpiryInterval, uint32: 77)
        }
        publisher.publish("u", "y", qos)
        let packets = client.received()
        #expect(packets.map(\.payload) == ["x", "y"])
        #expect(packets.map(\.subscriptionIdentifiers) == [[268_435_455], []])
        let first = try #require(packets.first)
        #expect(first.userProperties == ["n=v"])
        #expect(first.uint32(.messageExpiryInterval) == 77)
    }

    @Test(arguments: [QoS.atMostOnce, .atLeastOnce])
    func `one copy for overlapping filters carries the identifiers of all`(qos: QoS) {
        // [MQTT-3.3.4-4]; the same identifier may be there twice (3.3.4)
        let broker = TestBroker()
        let client = broker.client("a")
        subscribe(client, "t/#", 1)
        subscribe(client, "t/+", nil)
        subscribe(client, "+/x", 300)
        subscribe(client, "t/x", 1)
        broker.client("b").publish("t/x", "x", qos)
        let found = identifiers(client)
        #expect(found.count == 1)
        #expect(found.first?.sorted() == [1, 1, 300])
    }

    @Test func `a subscription that is made again has the later identifier, or none`() {
        // [MQTT-3.8.4-3]
        let broker = TestBroker()
        let client = broker.client("a")
        let publisher = broker.client("b")
        for identifier: UInt32? in [5, 6, nil] {
            client.subscribe(
                [("t", SubscriptionOptions(qos: .atMostOnce))], identifier: identifier)
            publisher.publish("t", "x")
        }
        #expect(broker.shard.subscriptionCount == 1)
        #expect(identifiers(client) == [[5], [6], []])
    }

    @Test func `each filter of a SUBSCRIBE gets its identifier`() {
        let broker = TestBroker()
        let client = broker.client("a")
        client.subscribe(
            [
                ("t", SubscriptionOptions(qos: .atMostOnce)),
                ("u", SubscriptionOptions(qos: .atMostOnce)),
            ], identifier: 9)
        let publisher = broker.client("b")
        publisher.publish("t", "x")
        publisher.publish("u", "x")
        #expect(identifiers(client) == [[9], [9]])
    }

    @Test func `retained messages carry the identifier of the subscription that asks`() {
        // [MQTT-3.3.4-3]
        let broker = TestBroker()
        broker.client("b").publish("t", "x", retain: true)
        let client = broker.client("a")
        client.subscribe([("t", SubscriptionOptions(qos: .atMostOnce))], identifier: 4)
        client.subscribe([("+", SubscriptionOptions(qos: .atMostOnce))], identifier: 5)
        #expect(identifiers(client) == [[4], [5]])
    }

    @Test func `what waits for a client or is sent again keeps its identifiers`() throws {
        let broker = TestBroker()
        let client = broker.client("a", cleanStart: false, expiry: 100)
        subscribe(client, "t/#", 7)
        subscribe(client, "t/+", 8)
        let publisher = broker.client("b")
        publisher.publish("t/x", "sent", .atLeastOnce)
        client.drop()
        publisher.publish("t/x", "queued", .exactlyOnce)
        publisher.publish("t", "one", .atLeastOnce)
        let again = try #require(broker.open())
        again.connect("a", cleanStart: false)
        let packets = again.received().filter { $0.publish != nil }
        #expect(packets.map(\.payload) == ["sent", "queued", "one"])
        #expect(packets.map { $0.subscriptionIdentifiers.sorted() } == [[7, 8], [7, 8], [7]])
    }

    @Test func `a session that goes on before 5 gets no identifiers`() throws {
        let broker = TestBroker()
        let client = broker.client("a", cleanStart: false, expiry: 100)
        subscribe(client, "t", 7)
        client.drop()
        broker.client("b").publish("t", "x", .atLeastOnce)
        let again = try #require(broker.open(.v3_1_1))
        again.connect("a", cleanStart: false)
        #expect(again.conversation() == ["connack 0x00 present", "publish t=x q1 id1"])
    }

    @Test func `no local leaves out its own identifier`() {
        // [MQTT-3.8.3-3]
        let broker = TestBroker()
        let client = broker.client("a")
        client.subscribe(
            [("t", SubscriptionOptions(qos: .atMostOnce, noLocal: true))], identifier: 1)
        client.subscribe([("+", SubscriptionOptions(qos: .atMostOnce))], identifier: 2)
        client.publish("t", "x")
        #expect(identifiers(client) == [[2]])
    }

    @Test(arguments: [QoS.atMostOnce, .atLeastOnce])
    func `the maximum packet size counts the identifiers`(qos: QoS) {
        // [MQTT-3.1.2-24], [MQTT-3.1.2-25]
        let broker = TestBroker()
        let small = broker.client("a") { $0.add(.maximumPacketSize, uint32: 40) }
        subscribe(small, "t", 268_435_455)
        let publisher = broker.client("b")
        // Header 2, topic 3, packet identifier 2, properties' length 1, identifier 5.
        let overhead = qos == .atMostOnce ? 11 : 13
        publisher.publish("t", String(repeating: "x", count: 40 - overhead), qos)
        publisher.publish("t", String(repeating: "x", count: 41 - overhead), qos)
        #expect(small.received().map { $0.payload.count } == [40 - overhead])
        #expect(broker.shard.counters.droppedTooLarge == 1)
    }

    @Test func `a queue counts what many identifiers take`() {
        var configuration = BrokerConfiguration()
        configuration.limits.queueBytes = 1_024
        let broker = TestBroker(configuration)
        let client = broker.client("a", cleanStart: false, expiry: 100)
        subscribe(client, "t/#", 1)
        for identifier in UInt32(2)...100 {
            let filter = String(repeating: "+/", count: Int(identifier) % 8) + "#"
            subscribe(client, filter, identifier)
        }
        client.drop()
        let publisher = broker.client("b")
        for _ in 0..<20 { publisher.publish("t/1/2/3/4/5/6/7/8", "x", .atLeastOnce) }
        #expect(broker.shard.counters.droppedQueueFull > 0)
    }

    @Test func `a store is told the identifiers`() throws {
        var configuration = BrokerConfiguration()
        configuration.durability = DurabilityRules(.process)
        configuration.journal.flushInterval = .zero
        let broker = TestBroker(configuration)
        let client = broker.client("a", cleanStart: false, expiry: 100)
        subscribe(client, "t/#", 7)
        subscribe(client, "t/+", 8)
        broker.client("b").publish("t/x", "x", .atLeastOnce)
        let later = broker.restarted()
        later.client("b").publish("t/y", "y", .atLeastOnce)
        let again = later.client("a", cleanStart: false, expiry: 100)
        let messages = again.received().filter { $0.publish != nil }
        #expect(messages.map(\.payload) == ["x", "y"])
        #expect(messages.map { $0.subscriptionIdentifiers.sorted() } == [[7, 8], [7, 8]])
    }

    @Test func `CONNACK does not say that identifiers are unavailable`() throws {
        // 3.2.2.3.12: absent means available
        let client = try #require(TestBroker().open())
        client.connect("a")
        let answer = try #require(client.received().first)
        #expect(answer.uint8(.subscriptionIdentifierAvailable) ?? 1 == 1)
    }
}

@Suite struct DeliveryOptionsTests {
    @Test func `a queued message is small`() {
        #expect(MemoryLayout<QueuedMessage>.stride <= 32)
        #expect(MemoryLayout<Optional<QueuedMessage>>.stride <= 32)
    }

    @Test func `all that was put in comes out`() {
        for identifiers: [UInt32] in [[], [1], [268_435_455], [1, 2], [3, 2, 1, 3]] {
            for retain in [false, true] {
                var options = DeliveryOptions(qos: .atMostOnce, retain: false)
                for identifier in identifiers { options.add(identifier: identifier) }
                options.qos = .exactlyOnce
                options.retain = retain
                #expect(options.qos == .exactlyOnce && options.retain == retain)
                #expect(options.identifiers == identifiers)
                #expect(
                    options
                        == DeliveryOptions(
                            qos: .exactlyOnce, retain: retain, identifiers: identifiers))
            }
        }
    }
}
