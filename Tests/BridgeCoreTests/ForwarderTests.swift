import MQTT
import Testing

@testable import BridgeCore

/// A bridge over a store in memory, with `count` messages in it, numbered from 1.
final class Loaded {
    var store = ModelStore()
    var bridge: TestBridge

    init(_ count: Int, size: Int = 10, limits: BridgeLimits = BridgeLimits()) throws {
        bridge = try TestBridge(over: store, limits: limits)
        for number in 1...count {
            let text = String(repeating: "x", count: size - "\(number)".count) + "\(number)"
            bridge.received(
                ArrivingMessage("fleet/v1/farm/n/m/t", text, delivery: UInt64(number)),
                from: .edge, now: .at(0))
            if number % 50 == 0 { settle(at: 0) }
        }
        settle(at: 0)
    }

    func settle(at seconds: Double) { bridge.settle(&store, now: .at(seconds)) }

    /// Lets answers be written that wait for company.
    func settleAnswers() {
        settle(at: 10_000)
        settle(at: 10_001)
    }

    func connect(_ limits: LinkLimits = LinkLimits(), at seconds: Double = 0) {
        bridge.connected(.upstream, limits, now: .at(seconds))
    }

    func send(at seconds: Double = 0) -> [ForwardedMessage] {
        bridge.messages(to: .upstream, now: .at(seconds))
    }

    func answer(_ message: ForwardedMessage, _ answer: Answer = .taken) {
        bridge.core.published(.upstream, token: message.token, answer, now: .at(1))
        bridge.core.checkInvariants()
    }

    var depth: UInt64 { bridge.figures(.up).queueDepth }
}

@Suite("Forwarding")
struct ForwarderTests {
    @Test("sends in the order of the numbers, as many as the peer's receive maximum")
    func window() throws {
        let run = try Loaded(5)
        #expect(run.send().isEmpty, "nothing leaves without a connection")
        run.connect(LinkLimits(receiveMaximum: 2))
        let first = run.send()
        #expect(first.map(\.record.sequence) == [1, 2])
        run.answer(first[0])
        #expect(run.send().map(\.record.sequence) == [3])
    }

    @Test("with a receive maximum of 1 sends one at a time")
    func receiveMaximumOne() throws {
        let run = try Loaded(20)
        run.connect(LinkLimits(receiveMaximum: 1))
        for number in 1...20 {
            let sent = run.send()
            #expect(sent.map(\.record.sequence) == [UInt64(number)])
            run.answer(sent[0])
        }
        #expect(run.depth == 0)
    }

    @Test("keeps within the bytes in flight, but always sends one")
    func bytesInFlight() throws {
        var limits = BridgeLimits()
        limits.forwarder.maximumInFlightBytes = 250
        let run = try Loaded(10, size: 100, limits: limits)
        run.connect()
        #expect(run.send().count == 3)
        limits.forwarder.maximumInFlightBytes = 1
        let narrow = try Loaded(10, size: 100, limits: limits)
        narrow.connect()
        #expect(narrow.send().count == 1)
    }

    @Test("a row goes on a good answer only, whatever the order of the answers")
    func answers() throws {
        let run = try Loaded(3)
        run.connect()
        let sent = run.send()
        run.answer(sent[2])
        #expect(run.depth == 3)
        run.answer(sent[0])
        #expect(run.depth == 2)
        run.answer(sent[1])
        #expect(run.depth == 0)
        run.settleAnswers()
        #expect(run.store.batches.up.isEmpty)
        #expect(run.bridge.figures(.up).forwarder.forwarded == 3)
    }

    @Test("a refused message goes to the refused ones, and the next goes on")
    func refused() throws {
        let run = try Loaded(3)
        run.connect(LinkLimits(receiveMaximum: 1))
        run.answer(run.send()[0], .refused(.acknowledgedWith(.quotaExceeded)))
        let next = run.send()
        #expect(next.map(\.record.sequence) == [2])
        run.answer(next[0], .refused(.packetTooLarge))
        run.answer(run.send()[0])
        run.settleAnswers()
        #expect(run.store.refused.map(\.message.firstSequence) == [1, 2])
        #expect(
            run.store.refused.map(\.reason) == [.acknowledgedWith(.quotaExceeded), .packetTooLarge])
        #expect(run.bridge.figures(.up).forwarder.refused == 2)
        #expect(run.bridge.core.refused.kept == 2)
        #expect(run.depth == 0)
    }

    @Test("an answer of an earlier session deletes nothing")
    func earlierSession() throws {
        let run = try Loaded(3)
        run.connect()
        let old = run.send()
        #expect(run.bridge.disconnected(.upstream, .other, now: .at(1)) == false)
        run.bridge.core.sessionReplaced(.upstream)
        for message in old { run.answer(message) }
        #expect(run.depth == 3)
        run.connect(at: 2)
        let again = run.send(at: 2)
        #expect(again.map(\.record.sequence) == [1, 2, 3])
        #expect(Set(again.map(\.token)).isDisjoint(with: old.map(\.token)))
        for message in old { run.answer(message) }
        #expect(run.depth == 3)
        for message in again { run.answer(message) }
        #expect(run.depth == 0)
    }

    @Test("a lost connection keeps what is in flight with the session, and its answers count")
    func sameSession() throws {
        let run = try Loaded(3)
        run.connect()
        let sent = run.send()
        run.answer(sent[0])
        _ = run.bridge.disconnected(.upstream, .other, now: .at(1))
        run.connect(at: 2)
        #expect(run.send(at: 2).isEmpty, "the session sends them again, not the forwarder")
        run.answer(sent[1])
        run.answer(sent[2])
        #expect(run.depth == 0)
    }

    @Test("answered out of order before a new session: not sent twice")
    func doneAhead() throws {
        let run = try Loaded(4)
        run.connect()
        let sent = run.send()
        run.answer(sent[1])
        run.answer(sent[2], .refused(.acknowledgedWith(.notAuthorized)))
        _ = run.bridge.disconnected(.upstream, .other, now: .at(1))
        run.bridge.core.sessionReplaced(.upstream)
        run.connect(at: 2)
        let again = run.send(at: 2)
        #expect(again.map(\.record.sequence) == [1, 4])
        for message in again { run.answer(message) }
        #expect(run.depth == 0)
        #expect(run.bridge.figures(.up).forwarder.refused == 1)
    }

    @Test("an answer that does not come ends the connection, slow ones do not")
    func stall() throws {
        let run = try Loaded(3)
        run.connect()
        let sent = run.send()
        run.bridge.core.published(.upstream, token: sent[0].token, .taken, now: .at(59))
        #expect(!run.bridge.core.isStalled(.upstream, now: Moment.at(118).monotonic))
        #expect(run.bridge.core.isStalled(.upstream, now: Moment.at(119).monotonic))
        #expect(run.bridge.core.nextDeadline(now: Moment.at(60).monotonic) != nil)
        _ = run.bridge.disconnected(.upstream, .other, now: .at(119))
        #expect(!run.bridge.core.isStalled(.upstream, now: Moment.at(500).monotonic))
    }

    @Test("an upstream that takes QoS 0 only gets nothing: it answers for nothing")
    func qosZeroUpstream() throws {
        let run = try Loaded(1)
        run.connect(LinkLimits(maximumQoS: .atMostOnce))
        #expect(run.send().isEmpty)
        #expect(run.depth == 1)
    }

    @Test("a backlog of any length keeps a bounded part of it in memory")
    func boundedMemory() throws {
        var limits = BridgeLimits()
        limits.forwarder.readAheadBytes = 16 * 1024
        limits.forwarder.maximumInFlightBytes = 8 * 1024
        limits.intake.up.maximumBatchBytes = 4 * 1024
        let run = try Loaded(5_000, size: 200, limits: limits)
        #expect(run.store.batches.up.reduce(0) { $0 + $1.body.count } > 1_000_000)
        // Read ahead, in flight, and the batches that both begin in.
        let bound = 16 * 1024 + 8 * 1024 + 3 * 4 * 1024
        #expect(run.bridge.core.bufferedBytes <= bound)
        run.connect()
        var expected: UInt64 = 1
        while run.depth > 0 {
            run.settle(at: 0)
            let sent = run.send()
            guard !sent.isEmpty else { break }
            for message in sent {
                #expect(message.record.sequence == expected)
                expected += 1
                run.answer(message)
            }
            #expect(run.bridge.core.bufferedBytes <= bound)
        }
        #expect(expected == 5_001)
    }

    @Test("numbers that the store has lost are counted and passed over")
    func hole() throws {
        var limits = BridgeLimits()
        limits.intake.up.maximumBatchBytes = 1
        limits.forwarder.readAheadBytes = 1
        for lost in [0, 1, 2] {
            let run = try Loaded(3, limits: limits)
            run.store.lose(.up, at: lost)
            run.bridge = try TestBridge(over: run.store, limits: limits)
            run.connect()
            var seen: [UInt64] = []
            for _ in 0..<6 {
                run.settle(at: 0)
                for message in run.send() {
                    seen.append(message.record.sequence)
                    run.answer(message)
                }
            }
            #expect(seen == [1, 2, 3].filter { $0 != UInt64(lost) + 1 })
            #expect(run.depth == 0)
            #expect(run.bridge.figures(.up).forwarder.unreadable == 1)
        }
    }
}

@Suite("A message that kills the connection")
struct SuspectTests {
    /// Runs connections until nothing is left; the peer closes when it reads `poison`.
    private func run(poison: Set<UInt64>, count: Int) throws -> (taken: [UInt64], refused: [UInt64])
    {
        let run = try Loaded(count)
        var taken: [UInt64] = []
        var clock = 0.0
        var outstanding: [ForwardedMessage] = []
        for _ in 0..<200 where run.depth > 0 {
            clock += 10
            run.connect(at: clock)
            var wire = outstanding + run.send(at: clock)
            clock += 5
            wire += run.send(at: clock)
            outstanding = wire
            var isClosed = false
            while !wire.isEmpty {
                let message = wire.removeFirst()
                if poison.contains(message.record.sequence) {
                    isClosed = true
                    break
                }
                taken.append(message.record.sequence)
                outstanding.removeFirst()
                run.answer(message)
                let more = run.send(at: clock)
                wire += more
                outstanding += more
            }
            guard isClosed else { continue }
            if run.bridge.disconnected(.upstream, .closedByPeer, now: .at(clock)) {
                run.bridge.core.sessionReplaced(.upstream)
                outstanding = []
            }
        }
        #expect(run.depth == 0)
        run.settleAnswers()
        return (taken, run.store.refused.map(\.message.firstSequence))
    }

    @Test("is found, refused, and the rest goes on", arguments: [1, 2, 7, 20])
    func found(poison: UInt64) throws {
        let (taken, refused) = try run(poison: [poison], count: 20)
        #expect(refused == [poison])
        var firsts: [UInt64] = []
        for sequence in taken where !firsts.contains(sequence) { firsts.append(sequence) }
        #expect(firsts == (1...20).filter { $0 != poison })
    }

    @Test("several of them are found one after the other")
    func several() throws {
        let (taken, refused) = try run(poison: [3, 4, 11], count: 12)
        #expect(refused == [3, 4, 11])
        #expect(Set(taken) == Set((1...12)).subtracting([3, 4, 11]))
    }

    @Test("silence is not its fault: a dead link refuses nothing")
    func silence() throws {
        let run = try Loaded(3)
        for attempt in 1...50 {
            run.connect(at: Double(attempt) * 100)
            _ = run.send(at: Double(attempt) * 100 + 50)
            _ = run.bridge.disconnected(.upstream, .other, now: .at(Double(attempt) * 100 + 60))
        }
        #expect(run.depth == 3)
    }

    @Test("what waits for the store has no deadline in the past, which would be a busy loop")
    func noBusyLoop() throws {
        var limits = BridgeLimits()
        limits.intake.up.maximumBatchBytes = 1
        limits.forwarder.readAheadBytes = 1
        let run = try Loaded(3, limits: limits)
        for attempt in 1...4 {
            run.connect(at: Double(attempt) * 100)
            _ = run.send(at: Double(attempt) * 100 + 10)
            let end = Moment.at(Double(attempt) * 100 + 20)
            if run.bridge.disconnected(.upstream, .closedByPeer, now: end) {
                run.bridge.core.sessionReplaced(.upstream)
            }
        }
        run.connect(at: 500)
        run.answer(run.send(at: 510)[0])
        let now = Moment.at(600).monotonic
        if let deadline = run.bridge.core.nextDeadline(now: now) { #expect(deadline > now) }
    }

    @Test("a peer that closes at once refuses nothing, however often")
    func closesAtOnce() throws {
        let run = try Loaded(3)
        for attempt in 1...50 {
            run.connect(at: Double(attempt) * 100)
            _ = run.send(at: Double(attempt) * 100)
            let end = Moment.at(Double(attempt) * 100 + 1)
            if run.bridge.disconnected(.upstream, .closedByPeer, now: end) {
                run.bridge.core.sessionReplaced(.upstream)
            }
        }
        #expect(run.depth == 3)
        #expect(run.bridge.figures(.up).forwarder.refused == 0)
    }
}
