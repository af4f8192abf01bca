import MQTT
import Testing

@testable import BrokerCore

/// Shared subscriptions (4.8.2).
@Suite struct ShareTests {
    private func broker(
        _ change: (inout BrokerConfiguration) -> Void = { _ in }
    ) -> TestBroker {
        var configuration = BrokerConfiguration()
        change(&configuration)
        return TestBroker(configuration)
    }

    /// A client with a session that is kept, and its share of `filter`.
    private func member(
        _ broker: TestBroker, _ name: String, _ filter: String = "$share/g/t",
        _ qos: QoS = .exactlyOnce, expiry: UInt32 = 100
    ) -> TestClient {
        broker.client(name, cleanStart: false, expiry: expiry).subscribed(filter, qos)
    }

    private func again(_ broker: TestBroker, _ name: String) -> TestClient {
        broker.client(name, cleanStart: false, expiry: 100)
    }

    private func payloads(_ client: TestClient) -> [String] {
        client.received().filter { $0.publish != nil }.map(\.payload)
    }

    private func publish(_ broker: TestBroker, _ payloads: [String], _ qos: QoS = .atLeastOnce) {
        let publisher = broker.client("publisher")
        for payload in payloads { publisher.publish("t", payload, qos) }
    }

    @Test(arguments: [QoS.atMostOnce, .atLeastOnce, .exactlyOnce])
    func `members are given messages in turn`(qos: QoS) {
        let broker = broker()
        let clients = ["a", "b", "c"].map { member(broker, $0) }
        publish(broker, ["1", "2", "3", "4", "5", "6", "7"], qos)
        let found = clients.map { payloads($0) }
        #expect(found.map(\.count).sorted() == [2, 2, 3])
        #expect(found.joined().sorted() == ["1", "2", "3", "4", "5", "6", "7"])
    }

    @Test func `each group and each ordinary subscription gets its copy`() {
        // [MQTT-3.3.4-5]: each with its own identifier
        let broker = broker()
        let client = broker.client("a")
        for (index, filter) in ["$share/g/t", "$share/h/t", "$share/g/+", "t"].enumerated() {
            client.subscribe(
                [(filter, SubscriptionOptions(qos: .atLeastOnce))],
                identifier: UInt32(index + 1))
        }
        publish(broker, ["x"])
        let packets = client.received().filter { $0.publish != nil }
        #expect(
            packets.map(\.subscriptionIdentifiers).sorted { $0[0] < $1[0] } == [[1], [2], [3], [4]])
        #expect(broker.shard.subscriptionCount == 4)
    }

    @Test func `the QoS is the one that its member was granted`() {
        // [MQTT-4.8.2-3]
        let broker = broker()
        let clients = [QoS.atMostOnce, .atLeastOnce, .exactlyOnce].map {
            member(broker, "c\($0.rawValue)", "$share/g/t", $0)
        }
        publish(broker, ["x", "x", "x"], .exactlyOnce)
        #expect(
            clients.map { $0.received().compactMap(\.publish?.qos.rawValue) } == [[0], [1], [2]])
    }

    @Test func `retained messages are not sent, RETAIN is as asked`() {
        let broker = broker()
        let publisher = broker.client("p")
        publisher.publish("t", "kept", .atLeastOnce, retain: true)
        let client = broker.client("a").subscribed("$share/g/t", .atLeastOnce)
        client.subscribed("$share/h/+", retainAsPublished: true)
        #expect(payloads(client).isEmpty)
        publisher.publish("t", "new", retain: true)
        #expect(
            client.received().compactMap(\.publish?.retain).sorted { !$0 && $1 } == [false, true])
    }

    @Test func `no local on a share is a protocol error`() {
        // [MQTT-3.8.3-4]
        let client = TestBroker().client("a")
        client.subscribe([("$share/g/t", SubscriptionOptions(qos: .atMostOnce, noLocal: true))])
        #expect(client.conversation() == ["disconnect 0x82"])
    }

    @Test func `members that are away are passed over`() {
        let broker = broker()
        let first = member(broker, "a")
        let second = member(broker, "b")
        let third = member(broker, "c")
        second.drop()
        publish(broker, ["1", "2", "3", "4"])
        #expect(payloads(first).count == 2)
        #expect(payloads(third).count == 2)
        #expect(payloads(again(broker, "b")).isEmpty)
    }

    @Test func `while nobody is connected kept sessions collect the messages`() {
        let broker = broker()
        let names = ["a", "b"]
        for name in names { member(broker, name).drop() }
        publish(broker, ["1", "2", "3", "4"])
        #expect(names.flatMap { payloads(again(broker, $0)) }.sorted() == ["1", "2", "3", "4"])
    }

    @Test func `when a session ends, another member gets what was not acknowledged`() {
        let broker = broker()
        let stays = member(broker, "a")
        stays.drop()
        let leaves = broker.client("b").subscribed("$share/g/t", .atLeastOnce)
        publish(broker, ["1", "2", "3"])
        leaves.pubAck(2)
        // Its session ends with its connection, so others of the group do not hear of it before.
        leaves.drop()
        #expect(payloads(again(broker, "a")) == ["1", "3"])
        #expect(broker.shard.counters.droppedSessionEnded == 0)
    }

    @Test func `what waits in the queue of a session that ends goes to others too`() {
        let broker = broker { $0.limits.inFlight = 1 }
        let leaves = member(broker, "b", expiry: 10)
        publish(broker, ["1", "2", "3"], .exactlyOnce)
        let stays = member(broker, "a")
        leaves.drop()
        #expect(payloads(stays).isEmpty)
        broker.sleep(.seconds(11))
        // The first was sent at QoS 2: [MQTT-4.8.2-5].
        #expect(payloads(stays) == ["2"])
        stays.pubRec(1)
        stays.pubComp(1)
        #expect(payloads(stays) == ["3"])
    }

    @Test func `QoS 2 that was sent is finished with its member`() {
        // [MQTT-4.8.2-4]
        let broker = broker { $0.redistributesOnDisconnect = true }
        let first = member(broker, "a")
        publish(broker, ["1", "2"], .exactlyOnce)
        first.pubRec(2)
        let second = member(broker, "b")
        first.drop()
        #expect(payloads(second).isEmpty)
        #expect(again(broker, "a").conversation() == ["pubRel id2", "publish t=1 q2 dup id1"])
    }

    @Test func `QoS 2 that was sent ends with the session of its member`() {
        // [MQTT-4.8.2-5]
        let broker = broker()
        let first = member(broker, "a", expiry: 10)
        publish(broker, ["1", "2"], .exactlyOnce)
        first.pubRec(2)
        let second = member(broker, "b")
        first.drop()
        broker.sleep(.seconds(11))
        #expect(broker.shard.sessionCount == 2)
        #expect(payloads(second).isEmpty)
        #expect(broker.shard.counters.droppedSessionEnded == 2)
    }

    @Test func `what a member refuses goes to nobody else`() {
        // [MQTT-4.8.2-6]
        let broker = broker()
        let first = member(broker, "a", expiry: 10)
        publish(broker, ["1"], .atLeastOnce)
        publish(broker, ["2"], .exactlyOnce)
        let second = member(broker, "b")
        first.send(
            .pubAck(Acknowledgement(kind: .pubAck, packetID: 1, reasonCode: .notAuthorized)))
        first.pubRec(2, .quotaExceeded)
        first.drop()
        broker.sleep(.seconds(11))
        #expect(payloads(second).isEmpty)
    }

    @Test func `by a setting others get it as soon as the connection is lost`() {
        let broker = broker {
            $0.redistributesOnDisconnect = true
            $0.limits.inFlight = 2
        }
        let first = member(broker, "a")
        publish(broker, ["1", "2", "3"])
        let second = member(broker, "b")
        first.drop()
        #expect(payloads(second) == ["1", "2"])
        second.pubAck(1)
        #expect(payloads(second) == ["3"])
        #expect(payloads(again(broker, "a")).isEmpty)
    }

    @Test func `without that setting it waits for the member`() {
        let broker = broker()
        let first = member(broker, "a")
        publish(broker, ["1"])
        let second = member(broker, "b")
        first.drop()
        #expect(payloads(second).isEmpty)
        #expect(again(broker, "a").conversation() == ["publish t=1 q1 dup id1"])
    }

    @Test func `by the setting the first who comes gets what all others left`() {
        let broker = broker { $0.redistributesOnDisconnect = true }
        for name in ["a", "b"] { member(broker, name).drop() }
        publish(broker, ["1", "2"])
        #expect(payloads(again(broker, "a")).sorted() == ["1", "2"])
        #expect(payloads(again(broker, "b")).isEmpty)
    }

    @Test func `by the setting so does the first who subscribes`() {
        let broker = broker { $0.redistributesOnDisconnect = true }
        member(broker, "a").drop()
        publish(broker, ["1"])
        #expect(payloads(broker.client("new").subscribed("$share/g/t", .atLeastOnce)) == ["1"])
    }

    @Test func `a message that goes on has lost of its expiry what it waited`() throws {
        // [MQTT-3.3.2-6]
        let broker = broker()
        let first = member(broker, "a", expiry: 10)
        let publisher = broker.client("p")
        publisher.publish("t", "long", .atLeastOnce) { $0.add(.messageExpiryInterval, uint32: 100) }
        publisher.publish("t", "short", .atLeastOnce) { $0.add(.messageExpiryInterval, uint32: 5) }
        let second = member(broker, "b")
        first.drop()
        broker.sleep(.seconds(11))
        let packets = second.received().filter { $0.publish != nil }
        #expect(packets.map(\.payload) == ["long"])
        #expect(try #require(packets.first).uint32(.messageExpiryInterval) == 90)
        #expect(broker.shard.counters.droppedExpired == 1)
    }

    @Test func `who is behind is passed over while another is ready`() {
        let broker = broker { $0.limits.inFlight = 1 }
        let slow = member(broker, "slow")
        let fast = member(broker, "fast")
        publish(broker, ["1", "2"])
        #expect(payloads(slow).count == 1)
        for id in UInt16(1)...5 {
            #expect(payloads(fast).count == 1)
            fast.pubAck(id)
            publish(broker, ["next"])
        }
        #expect(payloads(slow).isEmpty)
        // With nobody ready they wait in turn.
        publish(broker, ["x", "y"])
        slow.pubAck(1)
        #expect(payloads(slow).count == 1)
    }

    @Test func `UNSUBSCRIBE leaves one group, and the last member ends it`() {
        // [MQTT-3.10.4-1]
        let broker = broker()
        let client = broker.client("a").subscribed("$share/g/t").subscribed("$share/h/t")
        client.unsubscribe("$share/g/t", "$share/g/t", "t", "$share/i/t")
        #expect(client.conversation() == ["unsuback id3 [0, 17, 17, 17]"])
        #expect(broker.shard.sharedSubscriptionCount == 1)
        publish(broker, ["x"])
        #expect(payloads(client) == ["x"])
        client.unsubscribe("$share/h/t")
        publish(broker, ["y"])
        #expect(client.conversation() == ["unsuback id4 [0]"])
    }

    @Test func `messages of a group that has ended end with their session`() {
        let broker = broker()
        let client = member(broker, "a", expiry: 10)
        publish(broker, ["1"])
        client.unsubscribe("$share/g/t")
        // A group of the same name is another group.
        let other = member(broker, "b")
        client.drop()
        broker.sleep(.seconds(11))
        #expect(payloads(other).isEmpty)
        #expect(broker.shard.counters.droppedSessionEnded == 1)
    }

    @Test func `a share that is asked for again is replaced`() {
        // [MQTT-3.8.4-3]
        let broker = broker()
        let client = broker.client("a").subscribed("$share/g/t", .exactlyOnce)
        client.subscribed("$share/g/t", .atLeastOnce)
        #expect(broker.shard.subscriptionCount == 1)
        publish(broker, ["x"], .exactlyOnce)
        #expect(client.conversation() == ["publish t=x q1 id1"])
    }

    @Test func `shares count for the limits of subscriptions`() {
        let broker = broker {
            $0.limits.subscriptions = 3
            $0.limits.topics.maximumWildcardFilters = 1
        }
        let client = broker.client("a")
        let options = SubscriptionOptions(qos: .atMostOnce)
        client.subscribe([("$share/g/+", options), ("$share/h/+", options), ("+", options)])
        client.subscribe([("t", options), ("$share/g/t", options), ("$share/g/u", options)])
        client.unsubscribe("$share/g/+")
        client.subscribe([("+", options), ("u", options)])
        #expect(
            client.conversation() == [
                "suback id1 [0, 151, 151]", "suback id2 [0, 0, 151]", "unsuback id3 [0]",
                "suback id4 [0, 151]",
            ])
    }

    @Test func `before 5 a setting makes shares of them`() {
        let broker = broker { $0.sharedSubscriptionsBefore5 = true }
        let clients = ["a", "b"].map {
            broker.client($0, .v3_1_1).subscribed("$share/g/t", .atLeastOnce)
        }
        publish(broker, ["1", "2"])
        #expect(clients.map { payloads($0).count } == [1, 1])
    }

    @Test func `a member at QoS 0 gets nothing while it is away`() {
        let broker = broker()
        member(broker, "a", "$share/g/t", .atMostOnce).drop()
        publish(broker, ["x"])
        #expect(payloads(again(broker, "a")).isEmpty)
    }

    @Test func `a client that takes over its own session stays a member`() {
        let broker = broker { $0.redistributesOnDisconnect = true }
        let first = member(broker, "a")
        publish(broker, ["1"])
        let second = again(broker, "a")
        #expect(first.isClosed)
        publish(broker, ["2"])
        #expect(second.conversation() == ["publish t=1 q1 dup id1", "publish t=2 q1 id2"])
    }
}

@Suite struct ShareGroupTests {
    @Test(arguments: 0..<20)
    func `whatever comes and goes, the groups agree with a plain list`(seed: Int) throws {
        var random = SplitMix(state: UInt64(seed))
        var groups = ShareGroups(seed: 1, limits: TopicLimits())
        let filters = try ["$share/g/a", "$share/h/a", "$share/g/+", "$share/g/b/#"].map {
            try TopicFilter($0)
        }
        var held: Set<[Int]> = []
        var connected: Set<ShareGroups.MemberID> = []
        for _ in 0..<400 {
            let session = Int.random(in: 0..<6, using: &random)
            let id = ShareGroups.MemberID(
                shard: UInt16(session % 2), session: UInt32(session / 2))
            let choice = Int.random(in: 0..<filters.count, using: &random)
            let key = [session, choice]
            switch Int.random(in: 0..<10, using: &random) {
            case 0..<4:
                let member = ShareGroups.Member(
                    id: id, bits: SubscriptionBits(rawValue: 1))
                let isTaken = groups.join(
                    filters[choice], member, isConnected: connected.contains(id))
                #expect(isTaken)
                held.insert(key)
            case 4..<6:
                let wasHeld = groups.leave(filters[choice], member: id)
                #expect(wasHeld == (held.remove(key) != nil))
            case 6:
                groups.leaveAll(id)
                held = held.filter { $0[0] != session }
            default:
                let isConnected = connected.remove(id) == nil
                if isConnected { connected.insert(id) }
                groups.setConnected(id, isConnected)
            }
            groups.checkInvariants { connected.contains($0) }
            #expect(groups.count == held.count)
            let mine = held.filter { $0[0] == session }
            #expect(groups.filterCount(of: id) == mine.count)
            #expect(groups.wildcardFilterCount(of: id) == mine.count { $0[1] >= 2 })
        }
    }
}
