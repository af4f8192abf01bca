import MQTT
import Testing

@testable import BrokerCore

/// `limits.memory`: what all clients together make the broker hold.
@Suite struct MemoryTests {
    private static let kilobyte = String(repeating: "k", count: 1_000)

    private static func configuration(
        _ memory: Int = 1 << 20, _ policy: QueuePolicy = .newest
    ) -> BrokerConfiguration {
        var configuration = BrokerConfiguration()
        configuration.limits.memoryBytes = memory
        configuration.limits.queuePolicy = policy
        configuration.reserved = [ReservedSession(clientID: Array("bridge".utf8))]
        return configuration
    }

    private func used(_ broker: TestBroker) -> Int {
        broker.shard.weighMemory()
        return broker.shard.memory.used
    }

    private func isTold(_ broker: TestBroker) -> Int {
        broker.events.count { if case .memoryReached = $0 { true } else { false } }
    }

    /// A session whose client is away.
    @discardableResult
    private func away(_ broker: TestBroker, _ name: String, _ filter: String) -> TestClient {
        let client = broker.client(name, cleanStart: false, expiry: 1_000)
        client.subscribed(filter, .atLeastOnce).drop()
        return client
    }

    /// Acknowledges all that comes; returns its payloads.
    @discardableResult
    private func drain(_ client: TestClient) -> [String] {
        var payloads: [String] = []
        while true {
            let messages = client.received().filter { $0.publish != nil }
            if messages.isEmpty { return payloads }
            payloads += messages.map(\.payload)
            for message in messages { client.pubAck(message.publish?.packetID ?? 0) }
        }
    }

    @Test func `a message that waits in a hundred queues counts once, and goes with the last`() {
        let broker = TestBroker(Self.configuration())
        for number in 0..<100 { away(broker, "c\(number)", "t") }
        let publisher = broker.client("p")
        let before = used(broker)
        publisher.publish("t", String(repeating: "x", count: 100_000), .atLeastOnce)
        let held = used(broker) - before
        #expect(held > 100_000 && held < 120_000)
        for number in 0..<100 { broker.client("c\(number)", expiry: 0).drop() }
        #expect(used(broker) <= before)
    }

    @Test func `all that was held is given back`() {
        let broker = TestBroker(Self.configuration(16 << 20))
        let listener = broker.client("l", cleanStart: false, expiry: 1_000)
        listener.subscribed("#", .exactlyOnce)
        let publisher = broker.client("p")
        for number in 0..<50 {
            publisher.publish("t\(number)", Self.kilobyte, .exactlyOnce, retain: number % 2 == 0)
        }
        listener.send(bytes: [0x30, 0xFF, 0xFF, 0x03, 0, 1])
        let most = used(broker)
        #expect(most > 50_000)
        for number in 0..<50 where number % 2 == 0 {
            publisher.publish("t\(number)", "", retain: true)
        }
        listener.drop()
        broker.client("l").drop()
        publisher.drop()
        #expect(used(broker) == 0)
    }

    @Test func `QoS 0 to a slow reader goes first, at a 32nd of what is free`() {
        let broker = TestBroker(Self.configuration())
        broker.checksInvariants = false
        let slow = broker.client("slow").subscribed("t")
        let quick = broker.client("quick").subscribed("t")
        slow.reads = false
        let publisher = broker.client("p")
        for _ in 0..<100 { publisher.publish("t", Self.kilobyte) }
        #expect(quick.received().count == 100, "who reads gets all")
        #expect(broker.shard.counters.droppedMemory > 60)
        #expect(broker.shard.counters.droppedSlowReader == 0)
        #expect(isTold(broker) == 1)
        #expect(used(broker) < 1 << 20)
        slow.reads = true
        slow.send(bytes: [0xC0, 0])
        publisher.publish("t", "after")
        #expect(slow.received().last?.payload == "after")
        broker.shard.checkInvariants()
    }

    @Test func `the largest queue is full first, and a small one loses nothing`() {
        let broker = TestBroker(Self.configuration())
        broker.checksInvariants = false
        away(broker, "large", "large")
        away(broker, "small", "small")
        let publisher = broker.client("p")
        for number in 0..<2_000 {
            publisher.publish("large", Self.kilobyte, .atLeastOnce)
            if number % 20 == 0 { publisher.publish("small", "\(number)", .atLeastOnce) }
            #expect(publisher.received().allSatisfy { $0.acknowledgement?.reasonCode == .success })
        }
        #expect(broker.shard.counters.droppedMemory > 1_000)
        #expect(broker.shard.session(clientID: Array("small".utf8))?.droppedMessages == 0)
        #expect(used(broker) < 1 << 20)
        let again = broker.client("small", cleanStart: false, expiry: 1_000)
        #expect(again.received().count == 100)
        #expect(
            broker.events.contains {
                if case .queueFull(Array("large".utf8), isByMemory: true) = $0 {
                    true
                } else {
                    false
                }
            })
        broker.shard.checkInvariants()
    }

    @Test func `however many queues are full, no publisher is refused for them`() {
        let broker = TestBroker(Self.configuration())
        broker.checksInvariants = false
        for number in 0..<60 { away(broker, "c\(number)", "t\(number)") }
        let old = broker.client("old", .v3_1_1)
        for _ in 0..<40 {
            for number in 0..<60 { old.publish("t\(number)", Self.kilobyte, .atLeastOnce) }
            #expect(old.received().count == 60)
        }
        #expect(!old.isPaused)
        #expect(broker.shard.counters.droppedMemory > 1_000)
        #expect(used(broker) < 1 << 20)
        broker.shard.checkInvariants()
    }

    @Test func `with the policy oldest a queue that shrinks keeps the newest`() {
        let broker = TestBroker(Self.configuration(1 << 20, .oldest))
        broker.checksInvariants = false
        away(broker, "c", "t")
        let publisher = broker.client("p")
        for number in 0..<2_000 {
            publisher.publish("t", "\(number) " + Self.kilobyte, .atLeastOnce)
        }
        let again = broker.client("c", cleanStart: false, expiry: 1_000)
        let payloads = drain(again)
        #expect(payloads.count > 200)
        #expect(payloads.last?.hasPrefix("1999 ") == true)
        let first = Int(payloads[0].prefix { $0 != " " }) ?? 0
        #expect(payloads.count == 2_000 - first, "none is missing behind the first")
        broker.shard.checkInvariants()
    }

    /// A reserved session, which has no cap of its own, has taken nearly everything.
    private func exhausted() -> (broker: TestBroker, publisher: TestClient) {
        let broker = TestBroker(Self.configuration())
        broker.checksInvariants = false
        away(broker, "bridge", "t")
        let publisher = broker.client("p")
        for _ in 0..<1_000 { publisher.publish("t", Self.kilobyte, .atLeastOnce) }
        _ = publisher.received()
        broker.checksInvariants = true
        return (broker, publisher)
    }

    @Test func `near the end 5.0 publishers get 0x97 for what somebody would have to hold`() {
        let (broker, publisher) = exhausted()
        let quick = broker.client("quick").subscribed("live", .atLeastOnce)
        #expect(used(broker) < 1 << 20)
        publisher.publish("t", "more", .atLeastOnce)
        publisher.publish("t", "more", .exactlyOnce)
        publisher.publish("live", "passes", .atLeastOnce)
        let answers = publisher.received().compactMap(\.acknowledgement?.reasonCode)
        #expect(answers == [.quotaExceeded, .quotaExceeded, .success])
        #expect(quick.received().map(\.payload) == ["passes"])
        #expect(broker.shard.counters.publishesRefusedByMemory > 2)
        #expect(isTold(broker) == 1)
    }

    @Test func `near the end a 3.1.1 publisher is not read, and goes on when there is room`() {
        let (broker, _) = exhausted()
        let old = broker.client("old", .v3_1_1)
        old.publish("t", "waits", .atLeastOnce)
        #expect(old.isPaused)
        broker.sleep(.seconds(5))
        #expect(old.isPaused && old.conversation() == [])
        let bridge = broker.client("bridge", cleanStart: false, expiry: 1_000)
        drain(bridge)
        broker.sleep(.seconds(1))
        #expect(!old.isPaused)
        #expect(old.conversation() == ["pubAck id1"])
        #expect(bridge.received().map(\.payload) == ["waits"])
    }

    @Test func `near the end a 3.1.1 publisher that waits too long is closed`() {
        let (broker, _) = exhausted()
        let old = broker.client("old", .v3_1_1)
        old.publish("t", "waits", .atLeastOnce)
        broker.sleep(.seconds(21))
        #expect(old.isClosed)
        #expect(
            broker.causes("old") == [
                .fault(
                    .quotaExceeded, clause: "limits.memory",
                    detail: "there has been no memory for its messages for too long")
            ])
    }

    @Test func `with nothing free a client that sends a large packet in part is closed`() {
        var configuration = Self.configuration(4 << 20)
        configuration.limits.packetBytes = 16 << 20
        let broker = TestBroker(configuration)
        let hoarders = (0..<8).map { broker.client("h\($0)") }
        let part = [UInt8](repeating: 0x61, count: 60_000)
        // PUBLISH of 16,000,000 bytes.
        for hoarder in hoarders {
            hoarder.send(bytes: [0x30, 0x80, 0xC8, 0xD0, 0x07, 0, 1, 0x74, 0])
        }
        for _ in 0..<20 {
            for hoarder in hoarders where !hoarder.isClosed { hoarder.send(bytes: part) }
        }
        #expect(hoarders.contains { $0.isClosed })
        #expect(used(broker) < 5 << 20)
        let closed = hoarders.first { $0.isClosed }
        #expect(closed?.conversation() == ["disconnect 0x97"])
    }

    @Test func `messages in flight to one client count, and are bounded like its queue`() {
        var configuration = Self.configuration()
        configuration.limits.queueMessages = 1
        let broker = TestBroker(configuration)
        broker.checksInvariants = false
        let lazy = broker.client("lazy", cleanStart: false, expiry: 1_000)
        lazy.subscribed("t", .atLeastOnce)
        let publisher = broker.client("p")
        for _ in 0..<3_000 { publisher.publish("t", Self.kilobyte, .atLeastOnce) }
        #expect(used(broker) < 1 << 20)
        // Once it acknowledges, it gets more.
        let identifiers = lazy.received().compactMap { $0.publish?.packetID }
        #expect(identifiers.count < 900)
        for id in identifiers { lazy.pubAck(id) }
        #expect(lazy.received().count == 1, "the one that waited")
        publisher.publish("t", "next", .atLeastOnce)
        #expect(lazy.received().map(\.payload) == ["next"])
        broker.shard.checkInvariants()
    }

    @Test func `what a store gives back counts`() {
        var configuration = Self.configuration(16 << 20)
        configuration.durability = DurabilityRules(.process)
        let broker = TestBroker(configuration)
        away(broker, "c", "t")
        let publisher = broker.client("p")
        for _ in 0..<100 { publisher.publish("t", Self.kilobyte, .atLeastOnce) }
        publisher.drop()
        broker.sleep(.seconds(2))
        let before = used(broker)
        let later = broker.restarted()
        #expect(before > 100_000)
        #expect(used(later) == before)
    }

    @Test func `shards share one budget`() {
        let shards = TestBroker.shards(2, Self.configuration())
        let hoarder = shards.client(at: 0)
        hoarder.reads = false
        hoarder.subscribe([("t", SubscriptionOptions(qos: .atMostOnce))])
        away(shards[0], "away", "t")
        let other = shards.client(at: 1)
        for _ in 0..<3_000 { other.publish("t", Self.kilobyte, .atLeastOnce) }
        for shard in shards { #expect(used(shard) > 200_000) }
        #expect(used(shards[0]) == used(shards[1]))
        #expect(used(shards[1]) < 1 << 20)
    }
}
