import IO
import MQTT

/// Many connections that say CONNECT, are answered, and then nothing.
final class Crowd {
    private let harness: Harness
    private let size: Int
    private let atOnce: Int
    private var members: [Member] = []

    init(_ options: inout Options, _ harness: Harness) throws(UsageError) {
        self.harness = harness
        size = try options.number("connections", 10_000)
        atOnce = max(1, try options.number("at-once", 128))
    }

    /// Returns the seconds from the first connection to the last CONNACK.
    func gather() throws -> Double {
        members.reserveCapacity(size)
        _ = DescriptorLimit.raise(to: size + 64)
        let start = SystemClock.monotonic()
        try harness.turn(
            progress: { harness.readyCount }, until: { harness.readyCount >= size }
        ) {
            while members.count < size, members.count - harness.readyCount < atOnce {
                members.append(try Member(harness, name: "crowd-\(members.count)"))
            }
        }
        return (SystemClock.monotonic() - start) / .seconds(1)
    }
}

private final class Member: Peer {}

/// Retained messages, each under a topic of its own, acknowledged one and all.
final class RetainedFill {
    private let harness: Harness
    private let count: Int
    private var filler: Filler?

    init(_ options: inout Options, _ harness: Harness) throws(UsageError) {
        self.harness = harness
        count = try options.number("retained", 1_000_000)
    }

    func run() throws {
        let filler = try Filler(harness, name: "filler")
        try harness.waitUntilReady(1)
        var sent = 0
        try harness.turn(progress: { filler.acknowledged }, until: { filler.acknowledged >= count })
        {
            while sent < count, sent - filler.acknowledged < Filler.window {
                filler.publish(sent)
                sent += 1
            }
            filler.flush()
        }
    }
}

private final class Filler: Peer {
    /// As many as the broker lets a client have in flight: a commit acknowledges all of them.
    static let window = 1_000
    private(set) var acknowledged = 0

    func publish(_ number: Int) {
        let topic = "store/site-\(number % 1_000)/node-\(number / 1_000)/status"
        output.append(
            PacketBytes.publish(
                topic, payload: Array(repeating: 0x78, count: 64), qos: .atLeastOnce,
                id: UInt16(number % 65_535 + 1), retain: true, harness.target))
    }

    override func take(_ first: UInt8, _ body: Range<Int>, _ bytes: Span<UInt8>) {
        if first == 0x40 { acknowledged += 1 }
    }
}
