import MQTT
import Testing

@testable import BrokerCore

/// Nothing that a client gets is above its maximum packet size. [MQTT-3.1.2-24]
@Suite struct PacketSizeTests {
    /// Connects with this maximum packet size and what a test adds.
    private func connect(
        _ broker: TestBroker, maximum: UInt32, _ clientID: String = "a",
        _ properties: (inout PropertyWriter) -> Void = { _ in }
    ) throws -> TestClient {
        let client = try #require(broker.open())
        client.connect(clientID) { writer in
            writer.add(.maximumPacketSize, uint32: maximum)
            properties(&writer)
        }
        return client
    }

    /// How large the CONNACK is that this client gets.
    private func size(_ clientID: String) throws -> UInt32 {
        UInt32(try connect(TestBroker(), maximum: 1_000, clientID).inbox.count)
    }

    @Test func `a reason string stays out of a CONNACK that it would make too large`() throws {
        // [MQTT-3.2.2-19]
        for maximum: UInt32 in 5...80 {
            let client = try connect(TestBroker(), maximum: maximum) {
                $0.add(.authenticationMethod, string: "SCRAM-SHA-256")
            }
            #expect(client.inbox.count <= Int(maximum))
            #expect(client.conversation() == ["connack 0x8c"])
            #expect(client.isClosed)
        }
        let roomy = try connect(TestBroker(), maximum: 80) {
            $0.add(.authenticationMethod, string: "SCRAM-SHA-256")
        }
        #expect(roomy.received().first?.string(.reasonString) != nil)
    }

    @Test func `a client that takes no CONNACK is refused, and told where that fits`() throws {
        let broker = TestBroker()
        let before = broker.client("a", expiry: 100)
        let size = try size("a")
        for maximum in 1..<size {
            let client = try connect(broker, maximum: maximum)
            #expect(client.conversation() == (maximum < 5 ? [] : ["connack 0x95"]))
            #expect(client.isClosed)
        }
        // Whoever is refused takes no session over.
        #expect(!before.isClosed)
        let fits = try connect(broker, maximum: size)
        #expect(fits.inbox.count == Int(size))
        #expect(fits.conversation() == ["connack 0x00"])
        #expect(before.isClosed)
    }

    @Test func `an assigned identifier counts too`() throws {
        let broker = TestBroker()
        let size = try size("")
        #expect(try size > self.size("a"))
        let small = try connect(broker, maximum: size - 1, "")
        #expect(small.conversation() == ["connack 0x95"])
        let fits = try connect(broker, maximum: size, "")
        #expect(fits.inbox.count == Int(size))
        #expect(fits.conversation() == ["connack 0x00"])
        #expect(broker.shard.sessionCount == 1)
    }

    @Test func `a reason string stays out of a SUBACK that it would make too large`() throws {
        // [MQTT-3.9.2-1]
        let filters = [("a/#/b", SubscriptionOptions(qos: .atMostOnce))]
        for maximum: UInt32 in 20...80 {
            let client = try connect(TestBroker(), maximum: maximum)
            _ = client.received()
            client.subscribe(filters)
            #expect(client.inbox.count <= Int(maximum))
            #expect(client.conversation() == ["suback id1 [143]"])
        }
        let roomy = try connect(TestBroker(), maximum: 80)
        _ = roomy.received()
        roomy.subscribe(filters)
        #expect(roomy.received().first?.string(.reasonString) != nil)
    }

    @Test func `a request whose answer would be too large is not done, and told so`() throws {
        let broker = TestBroker()
        let client = try connect(broker, maximum: 24)
        _ = client.received()
        let filters = (1...17).map { ("\($0)", SubscriptionOptions(qos: .atMostOnce)) }
        client.subscribe(Array(filters.prefix(16)))
        #expect(client.received().first?.codes.count == 16)
        client.subscribe(filters)
        #expect(client.conversation() == ["disconnect 0x95"])
        #expect(client.isClosed)
        let other = try connect(broker, maximum: 20, "b")
        _ = other.received()
        other.unsubscribe("1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11", "12", "13")
        #expect(other.conversation() == ["disconnect 0x95"])
    }

    @Test func `a reason string stays out of a DISCONNECT that it would make too large`() throws {
        // [MQTT-3.14.2-3]
        for maximum: UInt32 in 20...120 {
            let client = try connect(TestBroker(), maximum: maximum)
            _ = client.received()
            client.send(.auth(Auth(reasonCode: .reAuthenticate)))
            #expect(client.inbox.count <= Int(maximum))
            #expect(client.conversation() == ["disconnect 0x82"])
        }
        let roomy = try connect(TestBroker(), maximum: 120)
        _ = roomy.received()
        roomy.send(.auth(Auth(reasonCode: .reAuthenticate)))
        #expect(roomy.received().first?.string(.reasonString) != nil)
    }

    @Test func `what waited and what is sent again is dropped where it became too large`() throws {
        // [MQTT-3.1.2-25]
        let broker = TestBroker()
        let first = broker.client("c", cleanStart: false, expiry: 100)
        first.subscribed("t", .exactlyOnce)
        let publisher = broker.client("p")
        let large = String(repeating: "x", count: 40)
        publisher.publish("t", large, .exactlyOnce)
        publisher.publish("t", "small", .exactlyOnce)
        first.drop()
        publisher.publish("t", large, .atLeastOnce)
        publisher.publish("t", "late", .atLeastOnce)
        func again() -> TestClient {
            broker.client("c", cleanStart: false, expiry: 100) {
                $0.add(.maximumPacketSize, uint32: 40)
            }
        }
        let second = again()
        #expect(
            second.conversation() == ["publish t=small q2 dup id2", "publish t=late q1 id3"])
        #expect(broker.shard.counters.droppedTooLarge == 2)
        second.drop()
        let third = again()
        #expect(
            third.conversation() == ["publish t=small q2 dup id2", "publish t=late q1 dup id3"])
        // As if it had been sent: nothing of it remains for a client that takes more.
        third.drop()
        let roomy = broker.client("c", cleanStart: false, expiry: 100)
        #expect(roomy.received().count == 2)
    }

    @Test func `a listener has a packet size of its own, and says so`() throws {
        // [MQTT-3.2.2-15]
        let broker = TestBroker()
        var rules = TestBroker.open
        rules.packetBytes = 200
        let small = try #require(broker.open(rules: rules))
        small.connect("small")
        #expect(small.received().first?.uint32(.maximumPacketSize) == 200)
        let large = try #require(broker.open())
        large.connect("large")
        #expect(large.received().first?.uint32(.maximumPacketSize) == 1_048_576)
        // 2 bytes of header, 5 of topic and properties: 200 in all is taken, 201 is not.
        small.publish("t", String(repeating: "x", count: 193))
        #expect(!small.isClosed)
        large.publish("t", String(repeating: "x", count: 194))
        #expect(!large.isClosed)
        small.publish("t", String(repeating: "x", count: 194))
        #expect(small.conversation() == ["disconnect 0x95"])
    }

    @Test func `a reload changes what new connections are told, and not what a begun one may`()
        throws
    {
        let broker = TestBroker()
        let begun = try #require(broker.open())
        var configuration = BrokerConfiguration()
        configuration.limits.packetBytes = 300
        broker.shard.reconfigure(configuration, at: broker.now)
        begun.connect("begun")
        #expect(begun.received().first?.uint32(.maximumPacketSize) == 1_048_576)
        let later = try #require(broker.open())
        later.connect("later")
        #expect(later.received().first?.uint32(.maximumPacketSize) == 300)
    }

    @Test func `a connection that moves to another shard keeps its listener's packet size`() throws
    {
        let shards = TestBroker.shards(2)
        var rules = TestBroker.open
        rules.packetBytes = 200
        for name in ["a", "b", "c", "d"] {
            let client = try #require(shards[0].open(rules: rules))
            client.connect(name)
            #expect(client.received().first?.uint32(.maximumPacketSize) == 200)
        }
    }
}
