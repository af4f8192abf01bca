import MQTT
import Testing

@testable import BrokerCore

/// Retained messages, of which every shard has its own copy.
@Suite struct RetainedShardTests {
    private func retained(_ broker: TestBroker) -> [String] {
        guard let all = try? TopicFilter("#") else { return [] }
        var found: [String] = []
        broker.shard.retained.forEach(matching: all) { topic, message in
            let payload = message.body.suffix(message.body.count - message.payloadStart)
            found.append(
                String(decoding: Array(copying: topic), as: UTF8.self) + "="
                    + String(decoding: payload, as: UTF8.self))
            return true
        }
        return found
    }

    @Test(arguments: 1...20)
    func `publishers that race end up with the same on every shard`(seed: UInt64) throws {
        var random = SplitMix(state: seed)
        let shards = TestBroker.shards(3)
        let publishers = (0..<3).map { shards.client(at: $0) }
        for shard in shards { shard.deliversAtOnce = false }
        var last: [String: String] = [:]
        for step in 0..<400 {
            let publisher = publishers[Int(random.next() % 3)]
            if random.next() % 2 == 0 {
                publisher.broker.deliverMail()
                continue
            }
            let topic = "t\(random.next() % 4)"
            let payload = random.next() % 3 == 0 ? "" : "\(step)"
            publisher.publish(topic, payload, retain: true)
            last[topic] = payload.isEmpty ? nil : payload
        }
        for shard in shards { while shard.deliverMail() {} }
        // All were published one after the other: the last one wins, wherever it was published.
        let expected = last.map { "\($0.key)=\($0.value)" }.sorted()
        for shard in shards { #expect(retained(shard) == expected, "seed \(seed)") }
    }

    @Test func `what was removed does not come back by mail that was under way`() throws {
        let shards = TestBroker.shards(2)
        let first = shards.client(at: 0)
        let second = shards.client(at: 1)
        for shard in shards { shard.deliversAtOnce = false }
        first.publish("t", "old", retain: true)
        second.publish("t", "", retain: true)
        shards[0].deliverMail()
        #expect(retained(shards[1]).isEmpty)
        shards[1].deliverMail()
        #expect(retained(shards[0]).isEmpty)
        // Later mail is kept again, and removals are forgotten after a while.
        second.publish("t", "new", retain: true)
        shards[1].deliverMail()
        #expect(retained(shards[0]) == ["t=new"])
    }

    @Test func `at the limit all shards keep what one of them kept`() throws {
        var configuration = BrokerConfiguration()
        configuration.limits.retainedMessages = 2
        let shards = TestBroker.shards(2, configuration)
        let first = shards.client(at: 0, .v3_1_1)
        let second = shards.client(at: 1, .v3_1_1)
        for shard in shards { shard.deliversAtOnce = false }
        first.publish("a", "1", retain: true)
        second.publish("b", "1", retain: true)
        first.publish("c", "1", retain: true)
        first.publish("d", "1", retain: true)
        for shard in shards { while shard.deliverMail() {} }
        #expect(retained(shards[0]) == ["a=1", "b=1", "c=1"])
        #expect(retained(shards[1]) == retained(shards[0]))
        #expect(shards[0].shard.counters.droppedRetainedFull == 1)
        #expect(shards[1].shard.counters.droppedRetainedFull == 0)
    }
}
