import MQTT
import Testing

@testable import BrokerCore

/// Several shards that make one broker: what crosses between them, and what stays.
@Suite struct ShardTests {
    @Test func `a client identifier names its shard, and assigned ones their own`() throws {
        let name = Array("some-client".utf8)
        let index = ShardPosition.shard(ofClientID: name.span, count: 3)
        #expect((0..<3).contains(index))
        #expect(ShardPosition.shard(ofClientID: name.span, count: 3) == index)
        for broker in TestBroker.shards(3) {
            let client = try #require(broker.open())
            let packet = try #require(client.connect("").received().first)
            let text = try #require(packet.string(.assignedClientIdentifier))
            let assigned = Array(text.utf8)
            let shard = ShardPosition.shard(ofClientID: assigned.span, count: 3)
            #expect(shard == broker.shard.position.index)
            #expect(client.broker === broker)
        }
    }

    // MARK: Connections that move

    @Test func `a connection moves to the shard of its client identifier`() throws {
        let shards = TestBroker.shards(3)
        for number in 0..<12 {
            let name = "c\(number)"
            let client = shards[number % 3].client(name)
            #expect(client.broker === shards.home(of: name))
        }
        #expect(shards.reduce(0) { $0 + $1.shard.connectionCount } == 12)
        #expect(shards.reduce(0) { $0 + $1.shard.counters.connectionsOpened } == 12)
        #expect(shards.allSatisfy { $0.shard.counters.connectionsClosed == 0 })
    }

    @Test func `what came behind CONNECT is taken where the connection goes, in order`() throws {
        let shards = TestBroker.shards(2)
        let home = shards.home(of: "c")
        let other = try #require(shards.first { $0 !== home })
        let client = try #require(other.open())
        let recorder = try #require(TestBroker().open())
        // The packets of another client, in one write.
        recorder.connect("c")
        recorder.subscribe([("t", SubscriptionOptions(qos: .atLeastOnce))])
        recorder.publish("t", "1")
        recorder.publish("t", "2")
        client.send(bytes: recorder.sent)
        #expect(client.broker === home)
        let got = client.conversation()
        #expect(got == ["connack 0x00", "suback id1 [1]", "publish t=1 q0", "publish t=2 q0"])
    }

    @Test func `the password is asked for by the shard that serves the client`() throws {
        let shards = TestBroker.shards(2)
        let home = shards.home(of: "c")
        let other = try #require(shards.first { $0 !== home })
        let rules = AccessRules(allowsAnonymous: false, checksPasswords: true)
        let client = try #require(other.open(rules: rules))
        client.connect("c", user: "u", password: "p")
        #expect(other.passwordChecks.isEmpty)
        let check = try #require(home.passwordChecks.first)
        home.shard.authenticated(check.connection, result: .accepted, at: home.now)
        home.settle()
        #expect(client.conversation() == ["connack 0x00"])
    }

    @Test func `the time to CONNECT goes on when a connection moves`() throws {
        let shards = TestBroker.shards(2)
        let home = shards.home(of: "c")
        let other = try #require(shards.first { $0 !== home })
        let rules = AccessRules(allowsAnonymous: false, checksPasswords: true)
        let client = try #require(other.open(rules: rules))
        for shard in shards { shard.sleep(.seconds(6)) }
        client.connect("c", user: "u", password: "p")
        #expect(client.broker === home)
        home.sleep(.seconds(5))
        #expect(client.isClosed)
        #expect(home.refusals == [.noConnectInTime])
    }

    @Test func `a session is taken over wherever the second connection arrives`() throws {
        let shards = TestBroker.shards(3)
        let first = shards[0].client("c", cleanStart: false, expiry: 100).subscribed("t")
        for (index, broker) in shards.enumerated() {
            let next = try #require(broker.open())
            next.connect("c", cleanStart: false) { $0.add(.sessionExpiryInterval, uint32: 100) }
            #expect(next.conversation() == ["connack 0x00 present"], "arrival at \(index)")
        }
        #expect(first.conversation() == ["disconnect 0x8e"])
        #expect(shards.reduce(0) { $0 + $1.shard.sessionCount } == 1)
    }

    @Test func `a connection that ends while it moves leaves nothing`() throws {
        let shards = TestBroker.shards(2)
        let home = shards.home(of: "c")
        let other = try #require(shards.first { $0 !== home })
        let client = try #require(other.open())
        other.movesAtOnce = false
        client.connect("c")
        client.drop()
        other.moveWaiting()
        #expect(shards.allSatisfy { $0.shard.connectionCount == 0 && $0.shard.sessionCount == 0 })
    }

    @Test func `connections and sessions count for the whole broker`() throws {
        var configuration = BrokerConfiguration()
        configuration.limits.connections = 4
        configuration.limits.sessions = 3
        let shards = TestBroker.shards(3, configuration)
        for number in 0..<3 { _ = shards[0].client("c\(number)") }
        let client = try #require(shards[1].open())
        client.connect("c3")
        #expect(client.conversation() == ["connack 0x97"])
        for shard in shards { shard.settle() }
        _ = shards[0].open()
        shards[0].settle()
        #expect(shards[2].open() == nil)
    }

    // MARK: Messages

    @Test func `three shards share messages and retained messages as values`() throws {
        let shards = TestBroker.shards(3)
        let clients = (0..<9).map { shards[$0 % 3].client("c\($0)").subscribed("t", .atLeastOnce) }
        clients[0].publish("t", "x", .atLeastOnce, retain: true)
        for client in clients {
            #expect(client.received().filter { $0.publish != nil }.map(\.payload) == ["x"])
        }
        for (index, shard) in shards.enumerated() {
            let late = shard.client("late\(index)").subscribed("t")
            #expect(late.received().map(\.payload) == ["x"])
        }
    }

    @Test(arguments: [QoS.atMostOnce, .atLeastOnce, .exactlyOnce])
    func `a message crosses as it came`(qos: QoS) throws {
        let shards = TestBroker.shards(2)
        let publisher = shards.client(at: 0)
        let same = shards.client(at: 0, besides: 1).subscribed("a/+", qos)
        let other = shards.client(at: 1).subscribed("a/+", qos)
        let old = shards.client(at: 1, besides: 1, .v3_1_1).subscribed("a/+", qos)
        for payload in ["", "x", String(repeating: "y", count: 5_000)] {
            publisher.publish("a/b", payload, qos) {
                $0.add(.messageExpiryInterval, uint32: 50)
                $0.add(.contentType, string: "text")
                $0.addUserProperty(name: "k", value: "v")
            }
        }
        let here = same.received()
        let there = other.received()
        #expect(here.count == 3)
        #expect(there.map(\.description) == here.map(\.description))
        for packet in there {
            #expect(packet.uint32(.messageExpiryInterval) == 50)
            #expect(packet.string(.contentType) == "text")
            #expect(packet.userProperties == ["k=v"])
        }
        #expect(old.received().map(\.payload) == here.map(\.payload))
    }

    @Test(arguments: [ProtocolVersion.v3_1_1, .v5_0])
    func `messages of every form cross in one mail, each with what is its own`(
        version: ProtocolVersion
    ) throws {
        let shards = TestBroker.shards(2)
        let same = shards.client(at: 0, besides: 1).subscribed("#", .exactlyOnce)
        let other = shards.client(at: 1).subscribed("#", .exactlyOnce)
        // The packets of another client, in one write.
        let recorder = TestBroker().client("recorder", version)
        let connected = recorder.sent.count
        for number in 0..<60 {
            let payload = ["", "x", "\(number)", String(repeating: "y", count: 5_000)][number % 4]
            recorder.publish(
                "level/\(number % 7)", payload, QoS.allCases[number % 3], retain: number % 5 == 0
            ) {
                guard version == .v5_0 else { return }
                if number % 2 == 0 { $0.addUserProperty(name: "n", value: "\(number)") }
                if number % 3 != 1 { $0.add(.messageExpiryInterval, uint32: UInt32(number + 1)) }
                if number % 4 == 3 { $0.add(.topicAlias, uint16: UInt16(number % 7 + 1)) }
            }
        }
        shards.client(at: 0, version).send(bytes: Array(recorder.sent[connected...]))
        let (here, there) = (same.received(), other.received())
        try #require(here.count == 60 && there.count == 60)
        for (here, there) in zip(here, there) {
            #expect(there.description == here.description)
            #expect(there.userProperties == here.userProperties)
            #expect(there.uint32(.messageExpiryInterval) == here.uint32(.messageExpiryInterval))
        }
        #expect(version == .v3_1_1 || there[2].uint32(.messageExpiryInterval) == 3)
    }

    @Test func `order per publisher and topic is kept, whatever the quality`() throws {
        let shards = TestBroker.shards(3)
        let publisher = shards[0].client("publisher")
        let listeners = (0..<6).map {
            shards[$0 % 3].client("l\($0)").subscribed("#", .exactlyOnce)
        }
        for number in 0..<60 {
            publisher.publish(
                "t", "\(number)", QoS.allCases[number % 3], retain: number % 7 == 0)
        }
        for listener in listeners {
            let got = listener.received().filter { $0.publish != nil }.map(\.payload)
            #expect(got == (0..<60).map { "\($0)" })
        }
    }

    @Test func `what nobody there wants does not cross`() throws {
        let shards = TestBroker.shards(2)
        let publisher = shards.client(at: 0)
        let there = shards.client(at: 1).subscribed("wanted/#")
        for shard in shards { shard.deliversAtOnce = false }
        publisher.publish("unwanted", "x", .atLeastOnce)
        #expect(publisher.conversation() == ["pubAck id1 0x10"])
        #expect(!publisher.broker.deliverMail())
        publisher.publish("wanted/a", "x", .atLeastOnce)
        // Somebody there may want it: whether anybody does is not known here.
        #expect(publisher.conversation() == ["pubAck id2"])
        #expect(publisher.broker.deliverMail())
        #expect(there.received().map(\.payload) == ["x"])
        there.unsubscribe("wanted/#")
        publisher.publish("wanted/a", "x", .atLeastOnce)
        #expect(publisher.conversation() == ["pubAck id3 0x10"])
    }

    @Test func `a session that ends takes its interest along`() throws {
        let shards = TestBroker.shards(2)
        let publisher = shards.client(at: 0)
        let there = shards.client(at: 1).subscribed("a/+/c").subscribed("b").subscribed("#")
        publisher.publish("b", "x", .atLeastOnce)
        there.disconnect()
        publisher.publish("b", "x", .atLeastOnce)
        #expect(publisher.conversation() == ["pubAck id1", "pubAck id2 0x10"])
    }

    @Test func `a will reaches the subscribers of every shard`() throws {
        let shards = TestBroker.shards(3)
        let listeners = (0..<3).map { shards.client(at: $0).subscribed("will") }
        shards[1].client("dying", will: TestWill(topic: "will", payload: "gone", retain: true))
            .drop()
        for listener in listeners { #expect(listener.received().map(\.payload) == ["gone"]) }
    }

    @Test func `no local holds on the publisher's own shard, and no bridge hears itself`() throws {
        let shards = TestBroker.shards(2)
        let client = shards.client(at: 0).subscribed("t", noLocal: true)
        let other = shards.client(at: 1).subscribed("t", noLocal: true)
        client.publish("t", "x")
        #expect(client.received().isEmpty)
        #expect(other.received().map(\.payload) == ["x"])
    }

    // MARK: Shared subscriptions

    private func members(
        _ shards: [TestBroker], expiry: UInt32 = 0
    ) -> [TestClient] {
        shards.indices.map { index in
            let names = (0...).lazy.map { "member-\($0)" }.filter {
                shards.home(of: $0) === shards[index]
            }
            return shards[index].client(
                names.first { _ in true } ?? "", cleanStart: expiry == 0, expiry: expiry
            ).subscribed("$share/g/t", .exactlyOnce)
        }
    }

    private func payloads(_ client: TestClient) -> [String] {
        client.received().filter { $0.publish != nil }.map(\.payload)
    }

    @Test(arguments: [QoS.atMostOnce, .atLeastOnce, .exactlyOnce])
    func `a message goes to one member of a group, in whatever shard, in turn`(qos: QoS) {
        let shards = TestBroker.shards(3)
        let clients = members(shards)
        #expect(shards.allSatisfy { $0.shard.sharedSubscriptionCount == 1 })
        for number in 0..<9 {
            shards.client(at: number % 3).publish("t", "\(number)", qos)
        }
        let got = clients.map { payloads($0) }
        #expect(got.map(\.count) == [3, 3, 3])
        #expect(got.joined().sorted() == (0..<9).map { "\($0)" })
    }

    @Test func `what a member had not acknowledged goes to another shard when its session ends`() {
        let shards = TestBroker.shards(2)
        let clients = members(shards)
        let publisher = shards.client(at: 0)
        for number in 0..<4 { publisher.publish("t", "\(number)", .atLeastOnce) }
        let before = payloads(clients[0])
        #expect(before.count == 2)
        #expect(payloads(clients[1]).count == 2)
        clients[0].disconnect()
        #expect(payloads(clients[1]) == before)
    }

    @Test func `by a setting it goes when the connection is lost, and comes from all shards`() {
        var configuration = BrokerConfiguration()
        configuration.redistributesOnDisconnect = true
        let shards = TestBroker.shards(2, configuration)
        let clients = members(shards, expiry: 100)
        let publisher = shards.client(at: 0)
        for number in 0..<4 { publisher.publish("t", "\(number)", .atLeastOnce) }
        let first = payloads(clients[0])
        let second = payloads(clients[1])
        clients[0].drop()
        #expect(payloads(clients[1]) == first)
        clients[1].drop()
        // The first whose client comes gets what the others left.
        let again = members(shards, expiry: 100)[0]
        #expect(payloads(again).sorted() == (first + second).sorted())
    }

    @Test func `a member that leaves while a message is under way has it given to another`() {
        let shards = TestBroker.shards(2)
        let clients = members(shards)
        let publisher = shards.client(at: 0)
        for shard in shards { shard.deliversAtOnce = false }
        publisher.publish("t", "0", .atLeastOnce)
        publisher.publish("t", "1", .atLeastOnce)
        #expect(payloads(clients[0]).count == 1)
        clients[1].unsubscribe("$share/g/t")
        for _ in 0..<4 { for shard in shards { shard.deliverAllMail() } }
        #expect(payloads(clients[0]).count == 1)
    }

    @Test func `what the server says of itself goes to a group once`() {
        let shards = TestBroker.shards(3)
        let clients = (0..<3).map { shards.client(at: $0).subscribed("$share/g/$SYS/#") }
        for shard in shards {
            shard.shard.publishAsServer(
                topic: Array("$SYS/broker/uptime".utf8), payload: [49], retain: true, at: shard.now)
            shard.settle()
        }
        #expect(clients.map { payloads($0).count }.reduce(0, +) == 1)
    }

    // MARK: A shard that is behind

    @Test func `who publishes for a shard that is behind waits until it has caught up`() throws {
        let shards = TestBroker.shards(2)
        let publisher = shards.client(at: 0)
        let idle = shards.client(at: 0, besides: 1).subscribed("#")
        let there = shards.client(at: 1).subscribed("there")
        let broker = publisher.broker
        broker.shard.setCrowded(0b10, at: broker.now)
        publisher.publish("here", "x")
        #expect(!publisher.isPaused)
        publisher.publish("there", "x")
        #expect(publisher.isPaused && !idle.isPaused)
        #expect(there.received().map(\.payload) == ["x"])
        broker.shard.setCrowded(0, at: broker.now)
        broker.settle()
        #expect(!publisher.isPaused)
    }
}
