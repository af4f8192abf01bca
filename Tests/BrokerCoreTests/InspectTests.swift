import MQTT
import Testing

@testable import BrokerCore

@Suite struct InspectTests {
    private func text(_ bytes: [UInt8]) -> String { String(decoding: bytes, as: UTF8.self) }

    @Test func `sessions are shown page by page, each once`() {
        let broker = TestBroker()
        broker.checksInvariants = false
        for index in 0..<25 { _ = broker.client("c\(index)", cleanStart: false, expiry: 100) }
        // Holes in the table are not shown, and do not end a page.
        for index in stride(from: 0, to: 25, by: 3) {
            _ = broker.client("c\(index)", cleanStart: true, expiry: 0)
            broker.kick("c\(index)")
        }
        var seen: [String] = []
        var next: UInt32? = 0
        var pages = 0
        while let start = next {
            next = broker.shard.sessions(from: start, limit: 4) { seen.append(text($0.clientID)) }
            pages += 1
        }
        let expected = (0..<25).filter { $0 % 3 != 0 }.map { "c\($0)" }
        #expect(seen.sorted() == expected.sorted())
        #expect(pages == 7)
        for (start, limit) in [(UInt32(1_000), UInt32(4)), (.max, .max)] {
            next = broker.shard.sessions(from: start, limit: limit) { _ in Issue.record("none") }
            #expect(next == nil)
        }
    }

    @Test func `a session says what it holds, connected and away`() throws {
        let broker = TestBroker()
        let client = try #require(broker.open())
        client.connect("c", cleanStart: false, keepAlive: 30) {
            $0.add(.sessionExpiryInterval, uint32: 100)
        }
        client.subscribed("a/#", .atLeastOnce)
        client.subscribed("b", .exactlyOnce)
        let publisher = broker.client("p")
        publisher.publish("a/1", "x", .atLeastOnce)
        publisher.publish("b", "y", .exactlyOnce)
        var info = try #require(broker.session("c"))
        #expect(info.inFlight == 2)
        #expect(info.queuedMessages == 0)
        #expect(info.subscriptions == 2)
        #expect(info.connection?.version == .v5_0)
        #expect(info.connection?.keepAliveSeconds == 30)
        #expect(info.connection?.connectedAt == broker.now)
        client.drop()
        broker.sleep(.seconds(3))
        publisher.publish("a/2", "zz", .atLeastOnce)
        broker.sleep(.seconds(4))
        info = try #require(broker.session("c"))
        #expect(info.connection == nil)
        #expect(info.queuedMessages == 1)
        #expect(info.queuedBytes > 128)
        #expect(info.expirySeconds == 100)
        #expect(info.expiresAt == broker.now + .seconds(93))
        #expect(
            info.oldestQueued == MonotonicTime(nanoseconds: broker.now.nanoseconds - 4_000_000_000))
        var filters: [String] = []
        broker.shard.forEachSubscription(clientID: Array("c".utf8)) { filter, qos in
            filters.append("\(text(filter)) \(qos.rawValue)")
        }
        #expect(filters.sorted() == ["a/# 1", "b 2"])
    }

    @Test func `a queue is shown oldest first, page by page`() {
        let broker = TestBroker()
        broker.client("c", cleanStart: false, expiry: 100).subscribed("#", .exactlyOnce).drop()
        let publisher = broker.client("p")
        for index in 0..<10 { publisher.publish("t/\(index)", "p\(index)", .atLeastOnce) }
        var seen: [String] = []
        var next: Int? = 0
        while let start = next {
            next = broker.shard.queue(
                clientID: Array("c".utf8), from: start, limit: 3, at: broker.now
            ) { seen.append("\(text($0.topic))=\(text($0.payload)) \($0.qos.rawValue)") }
        }
        #expect(seen == (0..<10).map { "t/\($0)=p\($0) 1" })
        next = broker.shard.queue(
            clientID: Array("x".utf8), from: 0, limit: 3, at: broker.now
        ) { _ in Issue.record("none") }
        #expect(next == nil)
    }

    @Test func `retained messages are shown by filter, without those whose time is over`() throws {
        let broker = TestBroker()
        let publisher = broker.client("p")
        for index in 0..<10 { publisher.publish("a/\(index)", "x", retain: true) }
        publisher.publish("b", "y", .exactlyOnce, retain: true)
        publisher.publish("a/old", "z", retain: true) {
            $0.add(.messageExpiryInterval, uint32: 1)
        }
        broker.now = broker.now + .seconds(2)
        var seen: [String] = []
        var next: Int? = 0
        let filter = try TopicFilter("a/+")
        while let start = next {
            next = broker.shard.retained(
                matching: filter, from: start, limit: 4, at: broker.now
            ) { seen.append(text($0.topic)) }
        }
        #expect(seen.sorted() == (0..<10).map { "a/\($0)" })
    }

    @Test func `a survey adds up what sessions hold`() {
        let broker = TestBroker()
        for name in ["c", "d", "e"] {
            let client = broker.client(name, cleanStart: false, expiry: 100)
            client.subscribed("t/\(name)", .atLeastOnce)
            if name != "e" { client.drop() }
        }
        let publisher = broker.client("p")
        let first = broker.now
        for topic in ["t/c", "t/c", "t/d", "t/e"] {
            publisher.publish(topic, "x", .atLeastOnce)
            broker.sleep(.seconds(1))
        }
        var survey = SessionSurvey()
        var next: UInt32? = 0
        while let start = next { next = broker.shard.survey(from: start, limit: 2, into: &survey) }
        #expect(survey.queuedMessages == 3)
        #expect(survey.inFlight == 1)
        #expect(survey.waitingSessions == 2)
        #expect(survey.oldestQueued == first)
        var sum = survey
        sum += survey
        #expect(sum.queuedMessages == 6)
        #expect(sum.oldestQueued == first)
    }

    @Test func `clients are counted by version, and packets and payloads both ways`() {
        let broker = TestBroker()
        let old = broker.client("a", .v3_1)
        _ = broker.client("b", .v3_1_1)
        let new = broker.client("c", .v5_0).subscribed("t", .atLeastOnce)
        _ = broker.open()
        #expect(broker.shard.figures.connections == 4)
        #expect(broker.shard.figures.connected.v3_1 == 1)
        #expect(broker.shard.figures.connected.v3_1_1 == 1)
        #expect(broker.shard.figures.connected.v5_0 == 1)
        let before = broker.shard.counters
        old.publish("t", "12345", .atLeastOnce)
        #expect(broker.shard.counters.publishBytesReceived - before.publishBytesReceived == 5)
        #expect(broker.shard.counters.publishBytesSent - before.publishBytesSent == 5)
        #expect(broker.shard.counters.publishesSent - before.publishesSent == 1)
        // PUBACK to the publisher.
        #expect(broker.shard.counters.controlPacketsSent - before.controlPacketsSent == 1)
        old.disconnect()
        new.drop()
        #expect(broker.shard.figures.connected.total == 1)
        #expect(broker.shard.figures.sessions == 1)
    }
}
