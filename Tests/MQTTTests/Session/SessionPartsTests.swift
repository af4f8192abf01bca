import MQTT
import Testing

@Suite("Parts of a session")
struct SessionPartsTests {
    @Test("A ring queue keeps the order through growth, wrap-around and prepending")
    func ringQueue() {
        var queue = RingQueue<Int>()
        var model: [Int] = []
        var generator = SplitMix(seed: 1)
        for step in 0..<5_000 {
            switch Int.random(in: 0..<5, using: &generator) {
            case 0, 1:
                queue.append(step)
                model.append(step)
            case 2:
                queue.prepend(step)
                model.insert(step, at: 0)
            default:
                #expect(queue.popFirst() == (model.isEmpty ? nil : model.removeFirst()))
            }
            #expect(queue.count == model.count)
            #expect(queue.first == model.first)
            if let offset = model.indices.randomElement(using: &generator) {
                #expect(queue[offset] == model[offset])
            }
        }
    }

    @Test("Packet identifiers go from 65,535 to 1 and are never 0")
    func identifiers() {
        var allocator = PacketIDAllocator(first: 65_534)
        #expect(
            [allocator.allocate(), allocator.allocate(), allocator.allocate()] == [
                65_534, 65_535, 1,
            ])
        #expect(PacketIDAllocator(first: 0).next == 1)
        #expect(PacketIDAllocator.steps(from: 65_535, to: 1) == 1)
        #expect(PacketIDAllocator.steps(from: 5, to: 5) == 0)
        #expect(PacketIDAllocator.steps(from: 2, to: 1) == 65_534)
    }

    @Test("A window refuses more when its span is used up, and frees it from the front")
    func span() {
        var window = InFlightWindow<Int>(firstID: 65_534, maximumSpan: 3)
        let ids = (0..<3).compactMap { window.append($0, stage: .awaitingPubAck) }
        #expect(ids == [65_534, 65_535, 1])
        #expect(window.append(3, stage: .awaitingPubAck) == nil)
        #expect(window.complete(65_535) == 1)
        #expect(window.append(3, stage: .awaitingPubAck) == nil, "the first still holds the span")
        #expect(window.complete(65_535) == nil, "an identifier completes once")
        #expect(window.complete(65_534) == 0)
        #expect(window.append(4, stage: .awaitingPubAck) == 2)
        #expect(window.count == 2)
        window.checkInvariants()
    }

    @Test("A window uses all 65,535 identifiers and no more")
    func fullSpan() {
        var window = InFlightWindow<Void>(firstID: 7)
        for _ in 0..<65_535 { #expect(window.append((), stage: .awaitingPubAck) != nil) }
        #expect(window.append((), stage: .awaitingPubAck) == nil)
        window.checkInvariants()
        #expect(window.complete(7) != nil)
        #expect(window.append((), stage: .awaitingPubAck) == 7)
        window.checkInvariants()
    }

    @Test("Sent again: PUBREL in the order of PUBREC, then PUBLISH in its order, within the quota")
    func resendOrder() {
        var window = InFlightWindow<Int>()
        for number in 1...5 { _ = window.append(number, stage: .awaitingPubRec) }
        window.release(4)
        window.release(2)
        window.beginResend()
        #expect(window.outstanding == 0)
        var order: [InFlightWindow<Int>.Resend] = []
        while let next = window.nextResend(quota: 3) { order.append(next) }
        #expect(order == [.release(4), .release(2), .publish(1)])
        #expect(window.isResending, "two wait for the quota")
        _ = window.complete(4)
        _ = window.complete(2)
        #expect(window.nextResend(quota: 3) == .publish(3))
        #expect(window.nextResend(quota: 3) == .publish(5))
        #expect(window.nextResend(quota: 3) == nil)
        #expect(!window.isResending)
        window.checkInvariants()
    }

    @Test("What is acknowledged before it is sent again is not sent again")
    func overtaken() {
        var window = InFlightWindow<Int>()
        for number in 1...3 { _ = window.append(number, stage: .awaitingPubAck) }
        window.beginResend()
        _ = window.complete(1)
        _ = window.complete(2)
        #expect(window.nextResend(quota: 1) == .publish(3))
        #expect(window.nextResend(quota: 9) == nil)
        window.checkInvariants()
    }

    @Test("A client pings after a silent interval in either direction, and gives up in time")
    func keepAlive() {
        let start = MonotonicTime(nanoseconds: 0)
        var keepAlive = KeepAlive(intervalSeconds: 10, responseTimeout: .seconds(4), now: start)
        #expect(keepAlive.deadline == start + .seconds(10))
        #expect(keepAlive.poll(at: start + .seconds(9)) == .nothing)
        keepAlive.received(at: start + .seconds(6))
        // It sent nothing since 0: the interval counts from there [MQTT-3.1.2-20].
        #expect(keepAlive.poll(at: start + .seconds(10)) == .sendPing)
        keepAlive.received(at: start + .seconds(11))
        // Now it sends all the time and hears nothing: it asks all the same.
        for second in 12...21 { keepAlive.sent(at: start + .seconds(second)) }
        #expect(keepAlive.poll(at: start + .seconds(21)) == .sendPing)
        #expect(keepAlive.poll(at: start + .seconds(24)) == .nothing)
        #expect(keepAlive.poll(at: start + .seconds(25)) == .giveUp)
    }

    @Test("A keep-alive of 0 never pings, and a server waits one and a half times")
    func keepAliveLimits() {
        let start = MonotonicTime(nanoseconds: 5)
        let off = KeepAlive(intervalSeconds: 0, responseTimeout: .seconds(4), now: start)
        #expect(off.deadline == nil)
        #expect(KeepAlive.serverDeadline(keepAliveSeconds: 0, lastReceived: start) == nil)
        #expect(
            KeepAlive.serverDeadline(keepAliveSeconds: 60, lastReceived: start)
                == start + .seconds(90))
    }

    @Test("Pauses grow to the maximum with jitter, and start over after a stable connection")
    func backoff() {
        let limits = Backoff.Limits(minimum: .seconds(1), maximum: .seconds(60))
        var backoff = Backoff(limits)
        var generator = SplitMix(seed: 7)
        var seen: Set<Duration> = []
        for attempt in 0..<200 {
            let pause = backoff.next(using: &generator)
            let ceiling = min(Duration.seconds(60), .seconds(1 << min(attempt, 10)))
            #expect(pause >= .milliseconds(100) && pause <= ceiling)
            seen.insert(pause)
        }
        #expect(seen.count > 190, "jitter spreads them")
        backoff.connectionEnded(after: .seconds(29))
        #expect(backoff.failures == 200, "a connection that breaks soon is no success")
        backoff.connectionEnded(after: .seconds(30))
        #expect(backoff.failures == 0)
    }
}

/// A small generator with a seed, so that a failure can be repeated.
struct SplitMix: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var word = state
        word = (word ^ (word >> 30)) &* 0xBF58_476D_1CE4_E5B9
        word = (word ^ (word >> 27)) &* 0x94D0_49BB_1331_11EB
        return word ^ (word >> 31)
    }
}
