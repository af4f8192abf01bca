import MQTT
import Testing

@testable import IO

@Suite struct HappyEyeballsTests {
    private let six = [1, 2].map {
        SocketAddress.ipv6(IPv6Bytes(high: 1, low: $0), port: 1, scope: 0)
    }
    private let four = [1, 2].map { SocketAddress.ipv4($0, port: 1) }
    private let start = MonotonicTime(nanoseconds: 1_000_000_000)

    private func next(_ machine: inout HappyEyeballs, _ now: MonotonicTime) -> HappyEyeballs.Action
    {
        machine.next(now)
    }

    private func at(_ milliseconds: Int) -> MonotonicTime { start + .milliseconds(milliseconds) }

    // RFC 8305, 4: families are interleaved, IPv6 first; 5: 250 ms between attempts.
    @Test func familiesAreInterleavedWithADelayBetweenAttempts() {
        var machine = HappyEyeballs(lastGood: nil, now: start)
        machine.resolved(.ipv6, six, at(0))
        machine.resolved(.ipv4, four, at(0))
        #expect(next(&machine, at(0)) == .start(six[0]))
        #expect(next(&machine, at(0)) == .wait(until: at(250)))
        #expect(next(&machine, at(249)) == .wait(until: at(250)))
        #expect(next(&machine, at(250)) == .start(four[0]))
        #expect(next(&machine, at(500)) == .start(six[1]))
        #expect(next(&machine, at(750)) == .start(four[1]))
        #expect(next(&machine, at(1_000)) == .wait(until: nil))
    }

    @Test func aFailedAttemptStartsTheNextAtOnce() {
        var machine = HappyEyeballs(lastGood: nil, now: start)
        machine.resolved(.ipv6, [six[0]], at(0))
        machine.resolved(.ipv4, [four[0]], at(0))
        #expect(next(&machine, at(0)) == .start(six[0]))
        machine.attemptFailed(IOError("connect", .networkUnreachable), at(10))
        #expect(next(&machine, at(10)) == .start(four[0]))
        machine.attemptFailed(IOError("connect", .connectionRefused), at(20))
        #expect(next(&machine, at(20)) == .giveUp)
        #expect(machine.attemptErrors.map(\.code) == [.networkUnreachable, .connectionRefused])
    }

    // RFC 8305, 3: an IPv4 answer waits 50 ms for the IPv6 answer.
    @Test func anIPv4AnswerWaitsAMomentForIPv6() {
        var machine = HappyEyeballs(lastGood: nil, now: start)
        #expect(next(&machine, at(0)) == .wait(until: nil))
        machine.resolved(.ipv4, four, at(10))
        #expect(next(&machine, at(10)) == .wait(until: at(60)))
        machine.resolved(.ipv6, six, at(40))
        #expect(next(&machine, at(40)) == .start(six[0]))
    }

    @Test func anIPv4AnswerDoesNotWaitLonger() {
        var machine = HappyEyeballs(lastGood: nil, now: start)
        machine.resolved(.ipv4, four, at(10))
        #expect(next(&machine, at(60)) == .start(four[0]))
        // The late answer joins the race.
        machine.resolved(.ipv6, six, at(70))
        #expect(next(&machine, at(70)) == .wait(until: at(310)))
        #expect(next(&machine, at(310)) == .start(six[0]))
    }

    @Test func anIPv6AnswerWaitsForNobody() {
        var machine = HappyEyeballs(lastGood: nil, now: start)
        machine.resolved(.ipv6, six, at(10))
        #expect(next(&machine, at(10)) == .start(six[0]))
    }

    @Test func theLastGoodAddressIsTriedFirstWhileTheNameHasIt() {
        var machine = HappyEyeballs(lastGood: four[1], now: start)
        machine.resolved(.ipv6, six, at(0))
        machine.resolved(.ipv4, four, at(0))
        #expect(next(&machine, at(0)) == .start(four[1]))
        #expect(next(&machine, at(250)) == .start(six[0]))
        #expect(next(&machine, at(500)) == .start(four[0]))
    }

    @Test func anAddressThatTheNameNoLongerHasIsNotTried() {
        var machine = HappyEyeballs(lastGood: .ipv4(99, port: 1), now: start)
        machine.resolved(.ipv6, [], at(0))
        machine.resolved(.ipv4, [four[0]], at(0))
        #expect(next(&machine, at(0)) == .start(four[0]))
        machine.attemptFailed(IOError("connect", .connectionRefused), at(1))
        #expect(next(&machine, at(1)) == .giveUp)
    }

    @Test func theLastGoodAddressIsTriedWhenTheNameCannotBeResolved() {
        let error = NameError(host: "x", reason: "", isFinal: false)
        var machine = HappyEyeballs(lastGood: four[0], now: start)
        machine.resolutionFailed(.ipv6, error, at(5))
        machine.resolutionFailed(.ipv4, error, at(5))
        #expect(next(&machine, at(5)) == .start(four[0]))
        machine.attemptFailed(IOError("connect", .connectionRefused), at(6))
        #expect(next(&machine, at(6)) == .giveUp)
        #expect(machine.resolutionErrors == [error, error])
    }

    @Test func theLastGoodAddressIsTriedWhenTheResolverStaysSilent() {
        var machine = HappyEyeballs(lastGood: four[0], now: start)
        #expect(next(&machine, at(0)) == .wait(until: at(3_000)))
        #expect(next(&machine, at(3_000)) == .start(four[0]))
        // What the resolver says later still joins, and not the same address twice.
        machine.resolved(.ipv4, four, at(3_100))
        #expect(next(&machine, at(3_250)) == .start(four[1]))
    }

    @Test func aNameWithoutAddressesIsGivenUpOnceBothHaveAnswered() {
        var machine = HappyEyeballs(lastGood: nil, now: start)
        machine.resolved(.ipv6, [], at(0))
        #expect(next(&machine, at(0)) == .wait(until: nil))
        machine.resolved(.ipv4, [], at(1))
        #expect(next(&machine, at(1)) == .giveUp)
    }

    @Test func aNameWithAThousandAddressesIsCut() {
        var machine = HappyEyeballs(lastGood: nil, now: start)
        machine.resolved(.ipv6, [], at(0))
        machine.resolved(.ipv4, (1...1_000).map { .ipv4($0, port: 1) }, at(0))
        var started = 0
        while case .start = machine.next(at(0)) {
            started += 1
            machine.attemptFailed(IOError("connect", .connectionRefused), at(0))
        }
        #expect(started == HappyEyeballs.maximumAddresses)
    }
}
