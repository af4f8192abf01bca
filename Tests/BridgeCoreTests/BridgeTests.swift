import FleetModel
import MQTT
import Testing

@testable import BridgeCore

@Suite("Taking messages")
struct BridgeTests {
    private let topic = "fleet/v1/farm/n/m/t"

    @Test("acknowledges after the commit, in the order of arrival")
    func acknowledgesAfterCommit() throws {
        var store = ModelStore()
        let bridge = try TestBridge(over: store)
        bridge.connected(.edge, LinkLimits(), now: .at(0))
        for id in 1...3 {
            bridge.received(
                ArrivingMessage(topic, delivery: UInt64(id)), from: .edge, now: .at(0))
        }
        #expect(bridge.acknowledgements(.edge).isEmpty)
        let transaction = try #require(bridge.takeTransaction(now: .at(0)))
        #expect(bridge.acknowledgements(.edge).isEmpty)
        bridge.committed(store.commit(transaction))
        #expect(bridge.acknowledgements(.edge) == [1, 2, 3])
    }

    @Test("puts all that came during a commit into the next one")
    func groupCommit() throws {
        var store = ModelStore()
        let bridge = try TestBridge(over: store)
        bridge.received(ArrivingMessage(topic, delivery: 1), from: .edge, now: .at(0))
        let first = try #require(bridge.takeTransaction(now: .at(0)))
        for id in 2...40 {
            bridge.received(
                ArrivingMessage(topic, delivery: UInt64(id)), from: .edge, now: .at(0))
            #expect(bridge.takeTransaction(now: .at(0)) == nil)
        }
        bridge.received(ArrivingMessage("c", delivery: 99), from: .upstream, now: .at(0))
        bridge.committed(store.commit(first))
        let second = try #require(bridge.takeTransaction(now: .at(0)))
        #expect(second.batches.up.map(\.count) == [39])
        #expect(second.batches.up.first?.firstSequence == 2)
        #expect(second.batches.down.map(\.count) == [1])
    }

    @Test("a failed commit acknowledges nothing and comes again as it was")
    func failedCommit() throws {
        var store = ModelStore()
        let bridge = try TestBridge(over: store)
        bridge.connected(.edge, LinkLimits(), now: .at(0))
        bridge.received(ArrivingMessage(topic, delivery: 1), from: .edge, now: .at(0))
        let first = try #require(bridge.takeTransaction(now: .at(0)))
        bridge.commitFailed(now: .at(0))
        bridge.received(ArrivingMessage(topic, delivery: 2), from: .edge, now: .at(0))
        #expect(bridge.acknowledgements(.edge).isEmpty)
        #expect(bridge.takeTransaction(now: .at(0.5)) == nil)
        let again = try #require(bridge.takeTransaction(now: .at(1)))
        #expect(again == first)
        bridge.committed(store.commit(again))
        #expect(bridge.acknowledgements(.edge) == [1])
        bridge.settle(&store, now: .at(1))
        #expect(bridge.acknowledgements(.edge) == [2])
        #expect(store.state.nextSequence.up == 3)
    }

    @Test("after a failed commit the answers go first and alone, so that a full disk gets room")
    func answersMakeRoom() throws {
        var store = ModelStore()
        let bridge = try TestBridge(over: store)
        bridge.connected(.edge, LinkLimits(), now: .at(0))
        bridge.connected(.upstream, LinkLimits(), now: .at(0))
        for id in 1...3 {
            bridge.received(
                ArrivingMessage(topic, delivery: UInt64(id)), from: .edge, now: .at(0))
        }
        bridge.settle(&store, now: .at(0))
        let sent = bridge.messages(to: .upstream, now: .at(0))
        bridge.received(ArrivingMessage(topic, delivery: 4), from: .edge, now: .at(0))
        let failed = try #require(bridge.takeTransaction(now: .at(0)))
        bridge.commitFailed(now: .at(0))
        #expect(bridge.acknowledgements(.edge) == [1, 2, 3])
        for message in sent.dropLast() {
            bridge.core.published(.upstream, token: message.token, .taken, now: .at(0))
        }
        bridge.core.published(
            .upstream, token: sent[2].token, .refused(.notSendable), now: .at(0))

        let answers = try #require(bridge.takeTransaction(now: .at(1)))
        #expect(!answers.hasMessages && answers.acknowledgedThrough.up == 3)
        #expect(answers.refused.count == 1)
        bridge.committed(store.commit(answers))
        #expect(store.batches.up.isEmpty && store.refused.count == 1)
        #expect(bridge.acknowledgements(.edge).isEmpty, "the fourth is not stored yet")
        let again = try #require(bridge.takeTransaction(now: .at(1)))
        #expect(again.batches == failed.batches && again.refused.isEmpty)
        bridge.committed(store.commit(again))
        #expect(bridge.acknowledgements(.edge) == [4])
        #expect(store.state.nextSequence.up == 5 && store.state.acknowledgedThrough.up == 3)
        bridge.core.checkInvariants()
    }

    @Test("near the end answers wait for no company, and it is known when all is stored")
    func finishes() throws {
        var store = ModelStore()
        let bridge = try TestBridge(over: store)
        bridge.connected(.upstream, LinkLimits(), now: .at(0))
        bridge.received(ArrivingMessage(topic, delivery: 1), from: .edge, now: .at(0))
        bridge.settle(&store, now: .at(0))
        let sent = bridge.messages(to: .upstream, now: .at(0))
        bridge.core.published(.upstream, token: sent[0].token, .taken, now: .at(0))
        #expect(bridge.takeTransaction(now: .at(0)) == nil)
        bridge.core.finish()
        #expect(!bridge.core.isSettled)
        bridge.settle(&store, now: .at(0))
        #expect(bridge.core.isSettled && store.state.acknowledgedThrough.up == 1)
    }

    @Test("a delivery of an earlier connection is never acknowledged, and its message not lost")
    func earlierConnection() throws {
        var store = ModelStore()
        let bridge = try TestBridge(over: store)
        bridge.connected(.edge, LinkLimits(), now: .at(0))
        bridge.received(ArrivingMessage(topic, delivery: 1), from: .edge, now: .at(0))
        _ = bridge.disconnected(.edge, .other, now: .at(0))
        bridge.connected(.edge, LinkLimits(), now: .at(0))
        bridge.received(ArrivingMessage(topic, delivery: 2), from: .edge, now: .at(0))
        bridge.settle(&store, now: .at(0))
        #expect(bridge.acknowledgements(.edge) == [2])
        #expect(store.state.nextSequence.up == 3)
    }

    @Test("a full store takes nothing more and acknowledges nothing, until there is room")
    func full() throws {
        var limits = BridgeLimits()
        limits.intake.up.maximumStoredBytes = 2_000
        limits.intake.up.maximumBatchBytes = 500
        var store = ModelStore()
        let bridge = try TestBridge(over: store, limits: limits)
        bridge.connected(.edge, LinkLimits(), now: .at(0))
        for id in 1...100 {
            bridge.received(
                ArrivingMessage(topic, String(repeating: "y", count: 60), delivery: UInt64(id)),
                from: .edge, now: .at(0))
            bridge.settle(&store, now: .at(0))
        }
        let taken = bridge.acknowledgements(.edge)
        #expect(taken.count < 100 && !taken.isEmpty)
        #expect(store.state.bytes.up <= 2_500, "the limit and one batch")
        #expect(store.state.nextSequence.up == UInt64(taken.count) + 1)
        bridge.received(ArrivingMessage(topic, qos: .atMostOnce), from: .edge, now: .at(0))
        bridge.connected(.upstream, LinkLimits(), now: .at(1))
        var seconds = 1.0
        while bridge.figures(.up).forwarder.forwarded < 100, seconds < 200 {
            seconds += 2
            for message in bridge.messages(to: .upstream, now: .at(seconds)) {
                bridge.core.published(.upstream, token: message.token, .taken, now: .at(seconds))
            }
            bridge.settle(&store, now: .at(seconds))
        }
        #expect(taken + bridge.acknowledgements(.edge) == Array(1...100))
        #expect(bridge.figures(.up).forwarder.forwarded == 100)
    }

    @Test("QoS 0 at a full store is dropped and counted")
    func fullQoSZero() throws {
        var limits = BridgeLimits()
        limits.intake.up.maximumStoredMessages = 1
        var store = ModelStore()
        let bridge = try TestBridge(over: store, limits: limits)
        for _ in 0..<3 {
            bridge.received(ArrivingMessage(topic, qos: .atMostOnce), from: .edge, now: .at(0))
            bridge.settle(&store, now: .at(0))
        }
        #expect(bridge.figures(.up).intake.droppedFull == 2)
        #expect(store.state.nextSequence.up == 2)
    }

    @Test("a message larger than the whole store still goes through an empty one")
    func larger() throws {
        var limits = BridgeLimits()
        limits.intake.up.maximumStoredBytes = 100
        var store = ModelStore()
        let bridge = try TestBridge(over: store, limits: limits)
        bridge.connected(.edge, LinkLimits(), now: .at(0))
        bridge.received(
            ArrivingMessage(topic, String(repeating: "z", count: 5_000), delivery: 1),
            from: .edge, now: .at(0))
        bridge.settle(&store, now: .at(0))
        #expect(bridge.acknowledgements(.edge) == [1])
    }

    @Test("what waits for its commit pauses the reading at its limit")
    func paused() throws {
        var limits = BridgeLimits()
        limits.intake.up.maximumPendingBytes = 300
        var store = ModelStore()
        let bridge = try TestBridge(over: store, limits: limits)
        bridge.received(
            ArrivingMessage(topic, String(repeating: "z", count: 300), delivery: 1),
            from: .edge, now: .at(0))
        #expect(bridge.core.isPaused(.edge) && !bridge.core.isPaused(.upstream))
        bridge.settle(&store, now: .at(0))
        #expect(!bridge.core.isPaused(.edge))
    }

    @Test("its own topics and retained commands are acknowledged in their turn and not carried")
    func policy() throws {
        var store = ModelStore()
        let bridge = try TestBridge(over: store)
        bridge.connected(.edge, LinkLimits(), now: .at(0))
        bridge.connected(.upstream, LinkLimits(), now: .at(0))
        bridge.received(ArrivingMessage(topic, delivery: 1), from: .edge, now: .at(0))
        for (index, own) in ["service/bridge", "link/cloud"].enumerated() {
            bridge.received(
                ArrivingMessage("fleet/v1/farm/gate/\(own)", delivery: UInt64(index) + 2),
                from: .edge, now: .at(0))
        }
        #expect(bridge.acknowledgements(.edge).isEmpty, "in order, so not before the first")
        let command = "fleet/v1/farm/n/cmd/ping/1"
        bridge.received(
            ArrivingMessage(command, retain: true, delivery: 7), from: .upstream, now: .at(0))
        bridge.received(ArrivingMessage(command, delivery: 8), from: .upstream, now: .at(0))
        bridge.received(
            ArrivingMessage("config/x", retain: true, delivery: 9), from: .upstream, now: .at(0))
        bridge.settle(&store, now: .at(0))
        #expect(bridge.acknowledgements(.edge) == [1, 2, 3])
        #expect(bridge.acknowledgements(.upstream) == [7, 8, 9])
        #expect(bridge.messages(to: .upstream, now: .at(0)).map(\.topicText) == [topic])
        let down = bridge.messages(to: .edge, now: .at(0))
        #expect(down.map(\.topicText) == [command, "config/x"])
        #expect(down.map(\.record.retain) == [false, true])
        #expect(bridge.figures(.up).intake.skipped == 2)
    }

    @Test("answers wait for company before they cost a commit, but not for ever")
    func lazyAnswers() throws {
        let run = try Loaded(1)
        run.connect()
        run.answer(run.send()[0])
        #expect(run.bridge.takeTransaction(now: .at(1)) == nil)
        #expect(run.bridge.core.nextDeadline(now: Moment.at(1).monotonic) == Moment.at(2).monotonic)
        let transaction = try #require(run.bridge.takeTransaction(now: .at(2)))
        #expect(transaction.acknowledgedThrough.up == 1)
        #expect(transaction.batches.up.isEmpty)
    }

    @Test("keeps QoS, RETAIN, topic and payload as they came")
    func unchanged() throws {
        var store = ModelStore()
        let bridge = try TestBridge(over: store)
        bridge.connected(.upstream, LinkLimits(), now: .at(0))
        for (index, qos) in QoS.allCases.enumerated() {
            bridge.received(
                ArrivingMessage("t\(index)", "p\(index)", qos: qos, retain: index == 1),
                from: .edge, now: .at(0))
        }
        bridge.settle(&store, now: .at(0))
        let sent = bridge.messages(to: .upstream, now: .at(0))
        #expect(sent.map(\.topicText) == ["t0", "t1", "t2"])
        #expect(sent.map(\.payloadText) == ["p0", "p1", "p2"])
        #expect(sent.map(\.record.qos) == QoS.allCases)
        #expect(sent.map(\.record.retain) == [false, true, false])
    }

    @Test("the age of the oldest message is known, also when it waits in the store")
    func oldestAge() throws {
        let run = try Loaded(3)
        #expect(run.bridge.core.figures(.up, now: .at(90)).oldestAgeMilliseconds == 90_000)
        run.bridge = try TestBridge(over: run.store)
        run.settle(at: 100)
        #expect(run.bridge.core.figures(.up, now: .at(100)).oldestAgeMilliseconds == 100_000)
    }
}

@Suite("Filters of both routes")
struct RouteFiltersTests {
    private func filters(_ texts: [String]) throws -> [TopicFilter] {
        try texts.map { try TopicFilter($0) }
    }

    @Test("the standard ones do not meet, and carry every channel of the protocol but link")
    func standard() throws {
        let identity = try BridgeIdentity.barn()
        let routes = try RouteFilters(
            up: filters(identity.standardUpFilters), down: filters(identity.standardDownFilters))
        #expect(routes.overlapsWithinRoutes.isEmpty)
        for family in FleetTopic.Family.allCases where family != .links && family != .commands {
            let channel = try TopicFilter(FleetTopic.filter(family, site: identity.site))
            #expect(routes.up.contains { $0.intersects(channel) }, "\(family)")
        }
        let commands = try TopicFilter(FleetTopic.filter(.commands, site: identity.site))
        #expect(routes.down.contains { $0.intersects(commands) })
    }

    @Test("that meet are an error that names the pair")
    func overlap() throws {
        let up = try filters(["a/b", "fleet/v1/farm/#"])
        let down = try filters(["c/d", "fleet/v1/farm/+/cmd/#"])
        #expect(throws: RouteFilters.Overlap(first: up[1], second: down[1], route: nil)) {
            try RouteFilters(up: up, down: down)
        }
    }

    @Test("of one route that meet are found")
    func within() throws {
        let routes = try RouteFilters(up: filters(["a/#", "a/b", "c"]), down: [])
        #expect(routes.overlapsWithinRoutes.map { "\($0.first) \($0.second)" } == ["a/# a/b"])
    }
}
