import MQTT
import Testing

@testable import BrokerCore

@Suite struct SessionTests {
    @Test func `a second connection takes the session over`() {
        // [MQTT-3.1.4-3]
        let broker = TestBroker()
        let first = broker.client("c")
        let second = broker.client("c")
        #expect(first.conversation() == ["disconnect 0x8e"])
        #expect(first.isClosed)
        #expect(!second.isClosed)
        #expect(broker.causes("c") == [.takenOver])
        #expect(broker.shard.sessionCount == 1)
    }

    @Test func `a session is taken over ten thousand times`() {
        let broker = TestBroker()
        broker.checksInvariants = false
        var last = broker.client("c", cleanStart: false, expiry: 100)
        last.subscribed("t", .atLeastOnce)
        for _ in 1...10_000 { last = broker.client("c", cleanStart: false, expiry: 100) }
        broker.client("p").publish("t", "x", .atLeastOnce)
        #expect(last.conversation() == ["publish t=x q1 id1"])
        #expect(broker.shard.connectionCount == 2)
        #expect(broker.shard.deadlines.count < 200)
        broker.shard.checkInvariants()
    }

    @Test(arguments: [ProtocolVersion.v3_1, .v3_1_1, .v5_0])
    func `a kept session says so and has its subscriptions and messages`(
        version: ProtocolVersion
    ) throws {
        // [MQTT-3.1.2-5], [MQTT-3.2.2-2], [MQTT-4.5.0-1]
        let broker = TestBroker()
        let first = broker.client(
            "c", version, cleanStart: false, expiry: version == .v5_0 ? 100 : nil)
        first.subscribed("t", .atLeastOnce)
        first.disconnect()
        let publisher = broker.client("p")
        publisher.publish("t", "1", .atLeastOnce)
        publisher.publish("t", "2", .exactlyOnce)
        publisher.publish("t", "0")
        let second = try #require(broker.open(version))
        second.connect("c", cleanStart: false)
        #expect(
            second.conversation() == [
                version == .v3_1 ? "connack 0x00" : "connack 0x00 present",
                "publish t=1 q1 id1", "publish t=2 q1 id2",
            ])
    }

    @Test func `a clean start forgets the session`() throws {
        // [MQTT-3.1.2-4], [MQTT-3.2.2-3]
        let broker = TestBroker()
        broker.client("c", expiry: 100).subscribed("t", .atLeastOnce).disconnect()
        broker.client("p").publish("t", "x", .atLeastOnce)
        let again = try #require(broker.open())
        again.connect("c", cleanStart: true)
        broker.client("q").publish("t", "y", .atLeastOnce)
        #expect(again.conversation() == ["connack 0x00"])
        #expect(broker.shard.counters.droppedSessionEnded == 1)
    }

    @Test(arguments: [ProtocolVersion.v3_1_1, .v5_0])
    func `a clean start is never told of a session`(version: ProtocolVersion) throws {
        // [MQTT-3.2.2-2]; [MQTT-3.2.2-1], [MQTT-3.2.2-3] of 3.1.1
        let broker = TestBroker()
        func connect(cleanStart: Bool) throws -> [String] {
            let client = try #require(broker.open(version))
            client.connect("c", cleanStart: cleanStart) { writer in
                if version == .v5_0 && !cleanStart {
                    writer.add(.sessionExpiryInterval, uint32: 100)
                }
            }
            defer { client.drop() }
            return client.conversation()
        }
        #expect(try connect(cleanStart: false) == ["connack 0x00"])
        #expect(try connect(cleanStart: false) == ["connack 0x00 present"])
        #expect(try connect(cleanStart: true) == ["connack 0x00"])
        #expect(try connect(cleanStart: false) == ["connack 0x00"])
    }

    @Test(arguments: [UInt32(0), 10])
    func `a session's state is kept while its connection is open`(expiry: UInt32) {
        // [MQTT-4.1.0-1]; [MQTT-4.1.0-1], [MQTT-4.1.0-2] of 3.1.1
        let broker = TestBroker()
        if expiry > 0 { broker.client("c", expiry: expiry).drop() }
        broker.sleep(.seconds(5))
        // It comes back in time: the end that was near is not that of this connection.
        let client = broker.client("c", cleanStart: false, expiry: expiry)
        client.subscribed("t", .exactlyOnce)
        let publisher = broker.client("p")
        publisher.publish("t", "x", .exactlyOnce)
        client.publish("t", "own", .exactlyOnce, id: 9)
        client.pubRec(1)
        _ = client.received()
        broker.sleep(.seconds(1_000_000))
        #expect(!client.isClosed)
        client.publish("t", "own", .exactlyOnce, duplicate: true, id: 9)
        client.pubRec(1)
        client.pubComp(1)
        publisher.publish("t", "y", .atLeastOnce)
        #expect(
            client.conversation() == ["pubRec id9", "pubRel id1", "publish t=y q1 id3"])
        #expect(broker.shard.sessionCount == 2)
        #expect(broker.shard.subscriptionCount == 1)
    }

    @Test func `a session expires`() throws {
        let broker = TestBroker()
        broker.client("c", expiry: 100).subscribed("t").disconnect()
        broker.sleep(.seconds(99))
        #expect(broker.shard.sessionCount == 1)
        broker.sleep(.seconds(1))
        #expect(broker.shard.sessionCount == 0)
        #expect(broker.shard.subscriptionCount == 0)
        let again = try #require(broker.open())
        again.connect("c", cleanStart: false)
        #expect(again.conversation() == ["connack 0x00"])
    }

    @Test func `without a session expiry the session ends with its connection`() {
        let broker = TestBroker()
        broker.client("c").subscribed("t").drop()
        #expect(broker.shard.sessionCount == 0)
        broker.client("d", .v3_1_1, cleanStart: true).subscribed("t").disconnect()
        #expect(broker.shard.sessionCount == 0)
    }

    @Test func `DISCONNECT may change the session expiry, but not from zero`() {
        // 3.14.2.2.2
        let broker = TestBroker()
        broker.client("c", expiry: 100).disconnect(sessionExpiry: 10)
        broker.sleep(.seconds(10))
        #expect(broker.shard.sessionCount == 0)
        broker.client("d", expiry: 100).disconnect(sessionExpiry: 0)
        #expect(broker.shard.sessionCount == 0)
        let zero = broker.client("e")
        zero.disconnect(sessionExpiry: 10)
        #expect(zero.conversation() == ["disconnect 0x82"])
    }

    @Test func `the session expiry has limits where configured`() throws {
        var configuration = BrokerConfiguration()
        configuration.maximumSessionExpirySeconds = 50
        configuration.sessionExpirySecondsBefore5 = 20
        let broker = TestBroker(configuration)
        let client = try #require(broker.open())
        let answer = client.connect("a") { $0.add(.sessionExpiryInterval, uint32: 100) }
        #expect(answer.received().first?.uint32(.sessionExpiryInterval) == 50)
        client.drop()
        broker.client("b", .v3_1_1, cleanStart: false).drop()
        broker.sleep(.seconds(20))
        #expect(broker.shard.sessionCount == 1)
        broker.sleep(.seconds(30))
        #expect(broker.shard.sessionCount == 0)
    }

    @Test func `a session that never expires does not`() {
        let broker = TestBroker()
        broker.client("c", expiry: .max).drop()
        broker.client("d", .v3_1_1, cleanStart: false).drop()
        broker.sleep(.seconds(1_000_000_000))
        #expect(broker.shard.sessionCount == 2)
    }

    @Test func `what was in flight comes again in its order with DUP`() {
        // [MQTT-4.4.0-1], [MQTT-4.6.0-1], [MQTT-3.3.1-1]
        let broker = TestBroker()
        let first = broker.client("c", cleanStart: false, expiry: 100)
        first.subscribed("t", .exactlyOnce)
        let publisher = broker.client("p")
        publisher.publish("t", "a", .atLeastOnce)
        publisher.publish("t", "b", .exactlyOnce)
        publisher.publish("t", "c", .exactlyOnce)
        publisher.publish("t", "d", .atLeastOnce)
        first.pubRec(2)
        first.pubAck(4)
        first.drop()
        publisher.publish("t", "e", .atLeastOnce)
        let second = broker.client("c", cleanStart: false, expiry: 100)
        #expect(
            second.conversation() == [
                "pubRel id2", "publish t=a q1 dup id1", "publish t=c q2 dup id3",
                "publish t=e q1 id5",
            ])
        second.pubComp(2)
        second.pubAck(1)
        second.pubRec(3)
        second.pubComp(3)
        second.pubAck(5)
        #expect(second.conversation() == ["pubRel id3"])
        second.drop()
        let third = broker.client("c", cleanStart: false, expiry: 100)
        #expect(third.conversation().isEmpty)
    }

    @Test func `a resend keeps to the new connection's receive maximum`() {
        let broker = TestBroker()
        let first = broker.client("c", cleanStart: false, expiry: 100)
        first.subscribed("t", .atLeastOnce)
        let publisher = broker.client("p")
        for number in 1...4 { publisher.publish("t", "\(number)", .atLeastOnce) }
        first.drop()
        let second = broker.client("c", cleanStart: false, expiry: 100) {
            $0.add(.receiveMaximum, uint16: 1)
        }
        #expect(second.conversation() == ["publish t=1 q1 dup id1"])
        second.pubAck(1)
        #expect(second.conversation() == ["publish t=2 q1 dup id2"])
        publisher.publish("t", "5", .atLeastOnce)
        for id: UInt16 in 2...4 { second.pubAck(id) }
        #expect(
            second.received().map(\.payload) == ["3", "4", "5"])
    }

    @Test func `a queue has a limit by count, and what it drops is counted`() {
        var configuration = BrokerConfiguration()
        configuration.limits.queueMessages = 3
        let broker = TestBroker(configuration)
        broker.client("c", cleanStart: false, expiry: 100).subscribed("t", .atLeastOnce).drop()
        let publisher = broker.client("p")
        for number in 1...5 { publisher.publish("t", "\(number)", .atLeastOnce) }
        #expect(broker.shard.counters.droppedQueueFull == 2)
        #expect(broker.events.count { if case .queueFull = $0 { true } else { false } } == 1)
        let again = broker.client("c", cleanStart: false, expiry: 100)
        #expect(again.received().map(\.payload) == ["1", "2", "3"])
        again.drop()
        let dropped = broker.events.compactMap { event in
            if case .disconnected(_, Array("c".utf8), _, _, let count) = event {
                count
            } else {
                nil
            }
        }
        #expect(dropped == [0, 2], "the line that ends the next connection says how many")
    }

    @Test func `a queue has a limit by bytes`() {
        var configuration = BrokerConfiguration()
        configuration.limits.queueBytes = 5_000
        let broker = TestBroker(configuration)
        broker.client("c", cleanStart: false, expiry: 100).subscribed("t", .atLeastOnce).drop()
        let publisher = broker.client("p")
        let text = String(repeating: "x", count: 1_000)
        for _ in 1...9 { publisher.publish("t", text, .atLeastOnce) }
        #expect(broker.shard.counters.droppedQueueFull == 5)
    }

    @Test func `a message that is never acknowledged stops its own session only`() {
        let broker = TestBroker()
        broker.checksInvariants = false
        let stuck = broker.client("s").subscribed("t", .atLeastOnce)
        let publisher = broker.client("p")
        var last: UInt16 = 0
        for number in 1...9_000 {
            publisher.publish("t", "\(number)", .atLeastOnce)
            for packet in stuck.received() {
                guard let id = packet.publish?.packetID else { continue }
                last = id
                if id != 1 { stuck.pubAck(id) }
            }
            _ = publisher.received()
        }
        #expect(last == 8_192)
        stuck.pubAck(1)
        #expect(stuck.received().first?.publish?.packetID == 8_193)
    }

    @Test func `nobody takes over the session of another user`() throws {
        let broker = TestBroker()
        let rules = AccessRules(allowsAnonymous: true, checksPasswords: true)
        func logIn(_ user: String?) throws -> TestClient {
            let client = try #require(broker.open(.v5_0, rules: rules))
            client.connect("c", user: user, password: "p")
            if user != nil {
                let check = try #require(broker.passwordChecks.last)
                broker.shard.authenticated(check.connection, result: .accepted, at: broker.now)
                broker.settle()
            }
            return client
        }
        let alice = try logIn("alice")
        // [MQTT-3.1.3-8]
        let bob = try logIn("bob")
        #expect(bob.isClosed && bob.conversation() == ["connack 0x87"])
        #expect(try logIn(nil).conversation() == ["connack 0x87"])
        #expect(!alice.isClosed)
        #expect(try logIn("alice").conversation() == ["connack 0x00"])
        #expect(alice.isClosed)
    }
}
