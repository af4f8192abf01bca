import MQTT
import Testing

@testable import BrokerCore

/// A broker that is started again knows what was committed.
@Suite struct RecoveryTests {
    private func broker(
        _ rules: DurabilityRules = DurabilityRules(.process),
        _ change: (inout BrokerConfiguration) -> Void = { _ in }
    ) -> TestBroker {
        var configuration = BrokerConfiguration()
        configuration.durability = rules
        configuration.journal.flushInterval = .zero
        configuration.journal.idleInterval = .zero
        change(&configuration)
        return TestBroker(configuration)
    }

    @Test func `sessions, subscriptions and waiting messages are there`() {
        let broker = broker()
        broker.client("s", cleanStart: false, expiry: 100).subscribed("t/#", .exactlyOnce).drop()
        let publisher = broker.client("p")
        publisher.publish("t/1", "one", .atLeastOnce)
        publisher.publish("t/2", "two", .exactlyOnce)
        publisher.publish("t/1", "three", .atLeastOnce)
        let later = broker.restarted()
        let client = later.client("s", cleanStart: false, expiry: 100)
        #expect(
            client.conversation() == [
                "publish t/1=one q1 id1", "publish t/2=two q2 id2",
                "publish t/1=three q1 id3",
            ])
        later.client("q").publish("t/3", "four", .atLeastOnce)
        #expect(client.conversation() == ["publish t/3=four q1 id4"])
        later.shard.checkInvariants()
    }

    @Test func `what was in flight is sent again under its identifier, what was released is not`() {
        let broker = broker()
        let client = broker.client("s", cleanStart: false, expiry: 100)
            .subscribed("t", .exactlyOnce)
        let publisher = broker.client("p")
        for text in ["a", "b", "c"] { publisher.publish("t", text, .exactlyOnce) }
        _ = client.received()
        client.pubRec(2)
        client.pubRec(1)
        _ = client.received()
        let again = broker.restarted().client("s", cleanStart: false, expiry: 100)
        // PUBREL in the order of PUBREC [MQTT-4.6.0-4].
        #expect(
            again.conversation() == [
                "pubRel id2", "pubRel id1", "publish t=c q2 dup id3",
            ])
        again.pubComp(2)
        again.pubComp(1)
        again.pubRec(3)
        again.pubComp(3)
        let third = again.broker.restarted().client("s", cleanStart: false, expiry: 100)
        #expect(third.conversation().isEmpty)
    }

    @Test func `a QoS 2 message is not routed twice`() {
        let broker = broker()
        broker.client("s", cleanStart: false, expiry: 100).subscribed("t", .exactlyOnce).drop()
        let publisher = broker.client("p", cleanStart: false, expiry: 100)
        publisher.publish("t", "x", .exactlyOnce, id: 9)
        let later = broker.restarted()
        let same = later.client("p", cleanStart: false, expiry: 100)
        same.publish("t", "x", .exactlyOnce, duplicate: true, id: 9)
        same.pubRel(9)
        #expect(same.conversation() == ["pubRec id9", "pubComp id9"])
        let reader = later.client("s", cleanStart: false, expiry: 100)
        #expect(reader.conversation() == ["publish t=x q2 id1"])
    }

    @Test func `a QoS 2 message that was committed and not routed is routed at the start`() {
        let broker = broker()
        broker.client("s", cleanStart: false, expiry: 100).subscribed("t", .exactlyOnce).drop()
        let publisher = broker.client("p", cleanStart: false, expiry: 100)
        broker.commitsAtOnce = false
        publisher.publish("t", "x", .exactlyOnce, id: 9)
        // Its turn is committed; the process dies before it hears so.
        let later = broker.restarted()
        let reader = later.client("s", cleanStart: false, expiry: 100)
        later.commit()
        #expect(reader.conversation() == ["publish t=x q2 id1"])
        // And not again.
        let third = later.restarted()
        #expect(third.shard.sessionCount == 2)
        let again = third.client("s", cleanStart: false, expiry: 100)
        third.commit()
        #expect(again.conversation() == ["publish t=x q2 dup id1"])
    }

    @Test func `what was not committed is as if it had not been`() {
        let broker = broker()
        broker.client("s", cleanStart: false, expiry: 100).subscribed("t", .atLeastOnce).drop()
        let count = broker.turns.count
        broker.client("p").publish("t", "x", .atLeastOnce, retain: true)
        let later = broker.restarted(upTo: count)
        #expect(
            later.client("s", cleanStart: false, expiry: 100).conversation().isEmpty)
        #expect(later.shard.retainedCount == 0)
    }

    @Test func `retained messages are there, and deleted ones are not`() {
        let broker = broker()
        let publisher = broker.client("p")
        publisher.publish("a", "1", .atMostOnce, retain: true)
        publisher.publish("b", "2", .atLeastOnce, retain: true)
        publisher.publish("a", "", .atMostOnce, retain: true)
        publisher.publish("b", "3", .exactlyOnce, retain: true)
        let later = broker.restarted()
        let reader = later.client("r").subscribed("#", .exactlyOnce)
        #expect(reader.received().filter { $0.publish != nil }.map(\.payload) == ["3"])
    }

    @Test func `expiry goes on while the broker is away`() {
        let broker = broker()
        broker.client("s", cleanStart: false, expiry: 1_000).subscribed("t", .atLeastOnce).drop()
        let publisher = broker.client("p")
        publisher.publish("t", "short", .atLeastOnce) { $0.add(.messageExpiryInterval, uint32: 50) }
        publisher.publish("t", "long", .atLeastOnce) { $0.add(.messageExpiryInterval, uint32: 500) }
        broker.sleep(.seconds(10))
        let later = broker.restarted(after: .seconds(100))
        let client = later.client("s", cleanStart: false, expiry: 1_000)
        let messages = client.received().filter { $0.publish != nil }
        #expect(messages.map(\.payload) == ["long"])
        #expect(messages.first?.uint32(.messageExpiryInterval) == 390)
        client.drop()
        let third = later.restarted(after: .seconds(1_001))
        third.sleep(.seconds(1))
        #expect(third.shard.sessionCount == 0)
    }

    @Test func `a will is published after its delay, also by the next process`() {
        let broker = broker()
        broker.client("s", cleanStart: false, expiry: 1_000).subscribed("w", .atLeastOnce).drop()
        let client = broker.open()
        client?.connect(
            "c", cleanStart: false, will: TestWill(topic: "w", payload: "gone", qos: .atLeastOnce)
        ) { $0.add(.sessionExpiryInterval, uint32: 100) }
        let later = broker.restarted()
        later.sleep(.seconds(1))
        let reader = later.client("s", cleanStart: false, expiry: 1_000)
        #expect(reader.conversation() == ["publish w=gone q1 id1"])
    }

    @Test func `memory rules keep nothing of their topics`() throws {
        let rules = DurabilityRules(
            .process, rules: [.init(try TopicFilter("fast/#"), .memory)])
        let broker = broker(rules)
        broker.client("s", cleanStart: false, expiry: 100).subscribed("#", .atLeastOnce).drop()
        let publisher = broker.client("p")
        let count = broker.turns.count
        publisher.publish("fast/1", "x", .atLeastOnce, retain: true)
        #expect(publisher.conversation().last == "pubAck id1")
        #expect(broker.turns.count == count)
        publisher.publish("slow", "y", .atLeastOnce)
        let later = broker.restarted()
        let client = later.client("s", cleanStart: false, expiry: 100)
        #expect(client.conversation() == ["publish slow=y q1 id1"])
        #expect(later.shard.retainedCount == 0)
    }

    @Test func `a turn is as durable as the most durable of its messages`() throws {
        let rules = DurabilityRules(.process, rules: [.init(try TopicFilter("alarm/#"), .power)])
        let broker = broker(rules)
        broker.client("s", cleanStart: false, expiry: 100).subscribed("#", .atLeastOnce).drop()
        let publisher = broker.client("p")
        publisher.publish("alarm/1", "x", .atLeastOnce)
        #expect(broker.turns.last?.durability == .power)
        publisher.publish("m/1", "x", .atLeastOnce)
        #expect(broker.turns.last?.durability == .process)
    }

    @Test func `writing anew keeps everything and lets old turns go`() {
        let broker = broker { $0.journal.slackBytes = 4_096 }
        broker.client("s", cleanStart: false, expiry: 100).subscribed("t/#", .atLeastOnce).drop()
        let publisher = broker.client("p", cleanStart: false, expiry: 100)
        publisher.publish("t/kept", "kept", .exactlyOnce, id: 77)
        for index in 0..<2_000 {
            publisher.publish("r", "\(index)", .atLeastOnce, retain: true)
            publisher.pubAck(UInt16(index + 1))
        }
        let obsolete = broker.turns.compactMap(\.obsolete).max()
        #expect(obsolete != nil)
        #expect(broker.shard.journalFigures.storedBytes < 32_768)
        // Without the turns that may go.
        let remaining = broker.turns.filter { turn in obsolete.map { $0 < turn.number } ?? true }
        broker.turns = remaining
        let later = broker.restarted()
        let client = later.client("s", cleanStart: false, expiry: 100)
        #expect(client.received().filter { $0.publish != nil }.map(\.payload) == ["kept"])
        #expect(later.client("r").subscribed("r").received().last?.payload == "1999")
        let same = later.client("p", cleanStart: false, expiry: 100)
        same.publish("t/kept", "kept", .exactlyOnce, duplicate: true, id: 77)
        #expect(same.conversation().last == "pubRec id77")
        #expect(client.conversation().isEmpty)
    }

    @Test func `a store that is new gets everything in one turn`() {
        let broker = broker()
        broker.client("s", cleanStart: false, expiry: 100).subscribed("t", .atLeastOnce).drop()
        broker.client("p").publish("t", "x", .atLeastOnce, retain: true)
        broker.turns = []
        broker.shard.rewriteWhole(at: broker.now)
        broker.settle()
        #expect(broker.turns.count == 1)
        let client = broker.restarted().client("s", cleanStart: false, expiry: 100)
        #expect(client.conversation() == ["publish t=x q1 id1"])
    }

    @Test func `damaged bytes are no records, and never a trap`() {
        let broker = broker()
        let client = broker.client("s", cleanStart: false, expiry: 100)
            .subscribed("t/#", .exactlyOnce)
        for index in 0..<20 { broker.client("p").publish("t/\(index)", "x", .exactlyOnce) }
        client.pubRec(1)
        let records = broker.turns.flatMap(\.records)
        var random = SplitMix(state: 11)
        for _ in 0..<3_000 {
            var bytes = records
            for _ in 0...(random.next() % 4) {
                bytes[Int(random.next() % UInt64(bytes.count))] = UInt8(
                    truncatingIfNeeded: random.next())
            }
            if random.next() % 3 == 0 { bytes.removeLast(Int(random.next() % 40)) }
            let anchor = TestBroker.anchor(broker.now)
            var state = RecoveredState(seed: 1, at: anchor)
            state.read(bytes.span, turn: TurnNumber(rawValue: 1), shard: 0, anchor: anchor)
            var shard = BrokerShard(configuration: broker.shard.configuration, seed: 1)
            shard.restore(&state, at: broker.now)
            shard.routeRestored(at: broker.now)
            shard.finishRestoring()
            shard.checkInvariants()
        }
    }
}
