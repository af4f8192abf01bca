import MQTT
import Testing

@testable import IO

@Suite struct AddressGateTests {
    private var now = MonotonicTime(nanoseconds: 1_000_000_000_000)

    private func address(_ text: String) throws -> SocketAddress {
        try #require(SocketAddress(text))
    }

    @Test func `a network has so many connections, and a place is free when one ends`() throws {
        var gate = AddressGate(.init(connections: 2), loopback: .init())
        let host = try address("192.0.2.1:5")
        #expect(gate.admit(host, at: now) == .admitted)
        #expect(gate.admit(try address("192.0.2.1:6"), at: now) == .admitted)
        #expect(gate.admit(try address("192.0.2.1:7"), at: now) == .tooMany)
        #expect(gate.admit(try address("192.0.2.2:5"), at: now) == .admitted)
        gate.leave(host, at: now)
        #expect(gate.admit(try address("192.0.2.1:8"), at: now) == .admitted)
        // An IPv6 host has its /64 to itself.
        #expect(gate.admit(try address("[2001:db8::1]:5"), at: now) == .admitted)
        #expect(gate.admit(try address("[2001:db8::2]:5"), at: now) == .admitted)
        #expect(gate.admit(try address("[2001:db8::3]:5"), at: now) == .tooMany)
        #expect(gate.admit(try address("[2001:db8:0:1::3]:5"), at: now) == .admitted)
    }

    @Test func `what comes faster than the rate is refused once the burst is used up`() throws {
        var limits = AddressGate.Limits(rate: 10)
        limits.burstSeconds = 3
        var gate = AddressGate(limits, loopback: .init())
        let host = try address("192.0.2.1:5")
        var admitted = 0
        for _ in 0..<100 where gate.admit(host, at: now) == .admitted { admitted += 1 }
        #expect(admitted == 30)
        let later = now + .milliseconds(100)
        #expect(gate.admit(host, at: later) == .admitted)
        #expect(gate.admit(host, at: later) == .tooFast)
        // In the long run ten a second, whatever is tried in between.
        admitted = 0
        for tenth in 0..<1_000 {
            let time = later + .milliseconds(10 * tenth + 10)
            if gate.admit(host, at: time) == .admitted { admitted += 1 }
        }
        #expect(admitted == 100)
        // After a rest as much at once as at first, and no more.
        let rested = later + .seconds(1_000)
        admitted = 0
        for _ in 0..<100 where gate.admit(host, at: rested) == .admitted { admitted += 1 }
        #expect(admitted == 30)
    }

    @Test func `this machine's own connections have limits of their own`() throws {
        var gate = AddressGate(.init(connections: 1, rate: 1), loopback: .init())
        for host in ["127.0.0.1:5", "[::1]:5", "/run/x"] {
            for _ in 0..<1_000 { #expect(gate.admit(try address(host), at: now) == .admitted) }
        }
    }

    @Test func `the table is as large as what is there`() throws {
        var gate = AddressGate(.init(connections: 5, rate: 1_000), loopback: .init())
        for number in 0..<50_000 {
            let host = SocketAddress.ipv4(UInt32(number) << 4 | 0x0A00_0000, port: 1)
            let time = now + .milliseconds(number)
            #expect(gate.admit(host, at: time) == .admitted)
            gate.leave(host, at: time)
        }
        // Each is remembered for the millisecond that its connection is worth, and swept sooner or later.
        #expect(gate.count <= 1_024)
        // A flood from everywhere at one time is forgiven rather than remembered without end.
        for number in 0..<100_000 {
            let host = SocketAddress.ipv6(
                IPv6Bytes(high: UInt64(number) | 1 << 60, low: 1), port: 1, scope: 0)
            _ = gate.admit(host, at: now + .seconds(100))
            gate.leave(host, at: now + .seconds(100))
        }
        #expect(gate.count <= AddressGate.maximumIdle)
    }
}
