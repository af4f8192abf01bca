import MQTT
import Testing

@testable import BrokerCore

/// What one client can make the broker do or hold, at the least expense of its own.
@Suite struct HostileTests {
    private static func configuration(
        _ change: (inout BrokerLimits) -> Void
    ) -> BrokerConfiguration {
        var configuration = BrokerConfiguration()
        change(&configuration.limits)
        return configuration
    }

    @Test func `a client that asks and never reads is not listened to until it does`() {
        let broker = TestBroker(Self.configuration { $0.outputBytes = 1_000 })
        let client = broker.client("a")
        client.reads = false
        var asked = 0
        while !client.isPaused && asked < 10_000 {
            client.send(.pingReq)
            asked += 1
        }
        #expect(asked == 1_000, "twice output_size, at two bytes an answer")
        client.reads = true
        client.room = 999
        broker.flush(client.id)
        broker.settle()
        #expect(client.isPaused)
        broker.flush(client.id)
        broker.settle()
        #expect(!client.isPaused)
        client.room = .max
        client.send(.pingReq)
        #expect(client.received().count == asked + 1)
    }

    @Test func `a client that is not listened to lives as long as it reads`() throws {
        let broker = TestBroker(Self.configuration { $0.outputBytes = 1_000 })
        let client = try #require(broker.open(.v3_1_1))
        client.connect("a", keepAlive: 10)
        client.reads = false
        while !client.isPaused { client.send(.pingReq) }
        client.reads = true
        client.room = 10
        for _ in 1...10 {
            broker.sleep(.seconds(10))
            broker.flush(client.id)
            broker.settle()
        }
        #expect(client.isPaused && !client.isClosed)
        broker.sleep(.seconds(15))
        #expect(client.isClosed)
    }

    @Test(.timeLimit(.minutes(1)))
    func `QoS 2 packet ids never completed cost no time`() {
        let broker = TestBroker()
        broker.checksInvariants = false
        let client = broker.client("a", .v3_1_1)
        let packets = (1...65_535).flatMap { id -> [UInt8] in
            [0x34, 5, 0, 1, 0x74, UInt8(id >> 8), UInt8(id & 0xFF)]
        }
        client.send(bytes: packets)
        client.send(bytes: packets)
        #expect(broker.shard.counters.duplicatesReceived == 65_535)
        #expect(client.received().count == 2 * 65_535)
    }

    @Test func `many look-ups of many retained messages leave time for others`() {
        let broker = TestBroker()
        let publisher = broker.client("p")
        broker.checksInvariants = false
        for number in 1...700 {
            publisher.publish("a\(number)/b\(number)/c\(number)", "x", retain: true)
        }
        broker.checksInvariants = true
        let filters = (1...50).map { ("+/b\($0)/#", SubscriptionOptions(qos: .atMostOnce)) }
        let client = broker.client("c")
        client.subscribe(filters)
        client.send(.pingReq)
        #expect(client.isPaused)
        #expect(client.conversation().count == 1, "SUBACK alone")
        #expect(publisher.isPaused == false)
        broker.sleep(.milliseconds(10))
        let some = client.received()
        #expect(some.count == 10 && some.allSatisfy { $0.publish != nil })
        broker.sleep(.milliseconds(50))
        let rest = client.conversation()
        #expect(rest.count == 41 && rest.last == "pingresp")
        #expect(!client.isPaused)
        #expect(Set((some.map(\.topic))).count == 10)
    }

    @Test func `a client that goes while its retained messages are looked up leaves nothing`() {
        let broker = TestBroker()
        let publisher = broker.client("p")
        broker.checksInvariants = false
        for number in 1...1_500 { publisher.publish("a\(number)/b", "x", retain: true) }
        broker.checksInvariants = true
        let client = broker.client("c", expiry: 100)
        client.subscribe([("#", SubscriptionOptions(qos: .atLeastOnce))])
        client.drop()
        let other = broker.client("d")
        broker.sleep(.seconds(1))
        #expect(other.conversation().isEmpty)
        #expect(broker.client("c", cleanStart: false).conversation().isEmpty)
    }

    @Test func `a session that is kept gets its retained messages though its connection ends`() {
        // [MQTT-3.3.1-9], [MQTT-4.1.0-1]
        let broker = TestBroker()
        broker.checksInvariants = false
        let publisher = broker.client("p")
        for number in 1...700 {
            publisher.publish("a\(number)/b/c", "x", .atLeastOnce, retain: true)
            publisher.inbox.removeAll()
        }
        broker.checksInvariants = true
        let filters = (1...20).map { ("a\($0)/#", SubscriptionOptions(qos: .atLeastOnce)) }
        func connect() -> TestClient { broker.client("c", cleanStart: false, expiry: 100) }
        let first = connect()
        first.subscribe(filters)
        broker.sleep(.milliseconds(5))
        first.drop()
        broker.sleep(.milliseconds(5))
        // Back before the last look-up: it is not listened to until then, and gets them all.
        let second = connect()
        second.send(.pingReq)
        #expect(second.isPaused)
        #expect(second.conversation().count == 10)
        broker.sleep(.milliseconds(20))
        #expect(!second.isPaused)
        let rest = second.conversation()
        #expect(rest.count == 11 && rest.last == "pingresp")
        second.drop()
        // Away until after the last.
        let third = broker.client("d", cleanStart: false, expiry: 100)
        third.subscribe(filters)
        third.drop()
        broker.sleep(.seconds(1))
        let back = broker.client("d", cleanStart: false, expiry: 100)
        #expect(!back.isPaused)
        #expect(back.received().map(\.topic) == (1...20).map { "a\($0)/b/c" })
    }

    @Test func `a packet that repeats one filter asks for no more than others may`() {
        let broker = TestBroker(Self.configuration { $0.subscriptions = 2 })
        broker.client("p").publish("a", "x", retain: true)
        let client = broker.client("c")
        let filter = ("#", SubscriptionOptions(qos: .atMostOnce))
        client.subscribe(Array(repeating: filter, count: 4))
        #expect(client.conversation().first == "suback id1 [0, 0, 151, 151]")
    }

    @Test func `retained messages stop where the queue is full, and the rest is counted`() {
        let broker = TestBroker(Self.configuration { $0.queueMessages = 3 })
        let publisher = broker.client("p")
        for number in 1...10 {
            publisher.publish("a\(number)", "x", .atLeastOnce, retain: true)
        }
        broker.client("c") { $0.add(.receiveMaximum, uint16: 1) }.subscribed("#", .atLeastOnce)
        #expect(broker.shard.counters.droppedQueueFull == 7)
    }

    @Test func `expired messages in a full queue make room`() {
        let broker = TestBroker(Self.configuration { $0.queueMessages = 2 })
        broker.client("c", expiry: 100).subscribed("t", .atLeastOnce).drop()
        let publisher = broker.client("p")
        for _ in 1...2 {
            publisher.publish("t", "old", .atLeastOnce) {
                $0.add(.messageExpiryInterval, uint32: 5)
            }
        }
        broker.sleep(.seconds(6))
        publisher.publish("t", "new", .atLeastOnce)
        #expect(broker.shard.counters.droppedQueueFull == 0)
        #expect(broker.shard.counters.droppedExpired == 2)
        let again = broker.client("c", cleanStart: false, expiry: 100)
        #expect(again.received().map(\.payload) == ["new"])
    }

    @Test func `expired retained messages go although nobody asks`() {
        let broker = TestBroker()
        let publisher = broker.client("p")
        for (topic, seconds) in [("a", UInt32(5)), ("b", 60), ("$c", 61)] {
            publisher.publish(topic, "x", retain: true) {
                $0.add(.messageExpiryInterval, uint32: seconds)
            }
        }
        publisher.publish("d", "x", retain: true)
        broker.sleep(.seconds(20))
        #expect(broker.shard.retainedCount == 3)
        broker.sleep(.seconds(60))
        #expect(broker.shard.retainedCount == 1)
        #expect(broker.shard.nextDeadline == nil)
        #expect(broker.shard.counters.droppedExpired == 3)
    }

    @Test func `retained topics of many levels count for what their levels cost`() {
        let broker = TestBroker(Self.configuration { $0.retainedBytes = 20_000 })
        let publisher = broker.client("p", .v3_1_1)
        for number in 1...100 {
            let levels = (1...16).map { "\(number)-\($0)" }
            publisher.publish(levels.joined(separator: "/"), "x", retain: true)
        }
        #expect((5...15).contains(broker.shard.retainedCount))
        // One that is there may be replaced all the same.
        publisher.publish((1...16).map { "1-\($0)" }.joined(separator: "/"), "y", retain: true)
        let refused = UInt64(100 - broker.shard.retainedCount)
        #expect(broker.shard.counters.droppedRetainedFull == refused)
    }

    @Test func `a client whose look-ups take longer than its keep-alive stays`() throws {
        let broker = TestBroker()
        let publisher = broker.client("p")
        broker.checksInvariants = false
        for number in 1...600 { publisher.publish("a\(number)/b", "x", retain: true) }
        let client = try #require(broker.open(.v3_1_1))
        client.connect("c", keepAlive: 1)
        let filter = ("+/c", SubscriptionOptions(qos: .atMostOnce))
        client.subscribe(Array(repeating: filter, count: 1_000))
        client.send(.pingReq)
        broker.sleep(.milliseconds(900))
        #expect(client.isPaused)
        broker.sleep(.milliseconds(1_400))
        #expect(!client.isPaused && !client.isClosed)
        #expect(client.conversation().last == "pingresp")
    }

    @Test func `one byte a second after CONNECT is silence, however much came before`() throws {
        let broker = TestBroker()
        let client = try #require(broker.open(.v3_1_1))
        client.connect("a", keepAlive: 2)
        client.send(bytes: [0x30, 0xFF, 0x7F, 0, 1, 0x74] + Array(repeating: 0x78, count: 2_000))
        for _ in 1...4 {
            broker.sleep(.seconds(1))
            client.send(bytes: [0x78])
        }
        #expect(client.isClosed)
    }

    @Test func `QoS 2 that an earlier connection left open does not keep the client out`() {
        // 3.1.2.11.3: Receive Maximum applies to the current connection only.
        let broker = TestBroker(Self.configuration { $0.receiveMaximum = 2 })
        let first = broker.client("c", expiry: 100)
        for _ in 1...2 { first.publish("t", "x", .exactlyOnce) }
        first.drop()
        let second = broker.client("c", cleanStart: false, expiry: 100)
        second.publish("t", "x", .exactlyOnce, id: 10)
        second.publish("t", "x", .atLeastOnce, id: 11)
        #expect(second.conversation() == ["pubRec id10 0x10", "pubAck id11 0x10"])
        second.publish("t", "x", .exactlyOnce, id: 12)
        second.publish("t", "x", .exactlyOnce, id: 13)
        #expect(second.conversation() == ["pubRec id12 0x10", "disconnect 0x93"])
    }

    @Test func `a message too large for the next connection is no longer in flight`() {
        var configuration = BrokerConfiguration()
        configuration.durability = DurabilityRules(.process)
        configuration.journal.flushInterval = .zero
        let broker = TestBroker(configuration)
        broker.client("c", expiry: 100).subscribed("t", .atLeastOnce)
        let text = String(repeating: "x", count: 100)
        broker.client("p").publish("t", text, .atLeastOnce)
        let again = broker.client("c", cleanStart: false, expiry: 100) {
            $0.add(.maximumPacketSize, uint32: 60)
        }
        #expect(again.conversation().isEmpty)
        broker.sleep(broker.shard.configuration.journal.idleInterval)
        let later = broker.restarted().client("c", cleanStart: false, expiry: 100)
        #expect(later.conversation().isEmpty)
    }

    @Test func `a reason string that is too large for the client is left out`() throws {
        // [MQTT-3.2.2-19]
        let broker = TestBroker(Self.configuration { $0.sessions = 1 })
        _ = broker.client("a")
        for (size, expected) in [(UInt32(20), nil), (200, "there are too many sessions")] {
            let client = try #require(broker.open())
            client.connect("b") { $0.add(.maximumPacketSize, uint32: size) }
            let answer = try #require(client.received().first)
            #expect(answer.connAck?.reasonCode == .quotaExceeded)
            #expect(answer.string(.reasonString) == expected)
        }
    }

    @Test func `a consumer that is thousands of messages behind loses nothing by default`() {
        let broker = TestBroker()
        broker.checksInvariants = false
        let consumer = broker.client("c", expiry: 100).subscribed("t", .atLeastOnce)
        let publisher = broker.client("p", .v3_1_1)
        let inFlight = broker.shard.configuration.limits.inFlight
        for number in 0...inFlight { publisher.publish("t", "\(number)", .atLeastOnce) }
        #expect(consumer.received().count == inFlight)
        consumer.drop()
        let text = String(repeating: "x", count: 400)
        for _ in 1...50_000 { publisher.publish("t", text, .atLeastOnce, id: 1) }
        #expect(broker.shard.counters.droppedQueueFull == 0)
    }
}

/// What strangers can make the broker hold before they have said who they are.
@Suite struct StrangersTests {
    /// A CONNECT with a client identifier of `size` bytes, of which only `count` bytes are sent.
    private func connect(_ size: Int, sending count: Int) -> [UInt8] {
        let body = 12 + size
        let packet: [UInt8] =
            [0x10, UInt8(body & 0x7F | 0x80), UInt8(body >> 7 & 0x7F | 0x80), UInt8(body >> 14)]
            + [0, 4, 0x4D, 0x51, 0x54, 0x54, 4, 2, 0, 0, UInt8(size >> 8), UInt8(size & 0xFF)]
            + Array(repeating: 0x61, count: size)
        return Array(packet.prefix(count))
    }

    private func broker() -> TestBroker {
        var configuration = BrokerConfiguration()
        configuration.limits.connectingBytes = 20_000
        return TestBroker(configuration)
    }

    @Test func `large halves of CONNECTs have a limit together`() throws {
        let broker = broker()
        let large = try (1...3).map { _ in try #require(broker.open()) }
        for client in large { client.send(bytes: connect(60_000, sending: 8_000)) }
        #expect(large.map(\.isClosed) == [false, false, true])
        // Small ones are never asked to go.
        let small = try #require(broker.open(.v3_1_1))
        small.send(bytes: connect(60_000, sending: 4_000))
        #expect(!small.isClosed)
        _ = broker.client("ordinary")
        for client in large.prefix(2) { client.drop() }
        let next = try #require(broker.open())
        next.send(bytes: connect(60_000, sending: 8_000))
        #expect(!next.isClosed)
    }

    @Test func `CONNECTs that wait for their password checks count`() throws {
        let broker = broker()
        let rules = AccessRules(allowsAnonymous: false, checksPasswords: true)
        let password = String(repeating: "x", count: 8_000)
        let clients = try (1...3).map { number in
            try #require(broker.open(.v5_0, rules: rules))
                .connect("c\(number)", user: "u", password: password)
        }
        #expect(clients.map(\.isClosed) == [false, false, true])
        for check in broker.passwordChecks.prefix(2) {
            broker.shard.authenticated(check.connection, result: .accepted, at: broker.now)
            broker.settle()
        }
        #expect(clients[0].conversation() == ["connack 0x00"])
        let next = try #require(broker.open(.v5_0, rules: rules))
        next.connect("n", user: "u", password: password)
        #expect(!next.isClosed)
    }
}
