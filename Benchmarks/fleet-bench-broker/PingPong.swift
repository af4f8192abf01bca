import IO
import MQTT

/// One message under way at a time, from one connection to another: how long each takes.
final class PingPong {
    private let harness: Harness
    private let qos: QoS
    private let rounds: Int
    fileprivate private(set) var times: [UInt64] = []
    private var sentAt = MonotonicTime.zero
    private var pinger: Pinger?

    init(_ options: inout Options, _ harness: Harness) throws(UsageError) {
        self.harness = harness
        rounds = max(100, try options.number("rounds", 20_000))
        qos = QoS(rawValue: UInt8(clamping: try options.number("qos", 0))) ?? .atMostOnce
    }

    /// Returns microseconds, shortest first.
    func run(isReady: () -> Void) throws -> [Double] {
        let ponger = try Ponger(self, harness, qos)
        try harness.waitUntilReady(1)
        let pinger = try Pinger(harness, qos)
        self.pinger = pinger
        try harness.waitUntilReady(2)
        isReady()
        send()
        try harness.turn(progress: { times.count }, until: { times.count >= rounds })
        withExtendedLifetime(ponger) {}
        return times.sorted().map { Double($0) / 1_000 }
    }

    private func send() {
        sentAt = SystemClock.monotonic()
        pinger?.ping()
    }

    fileprivate func arrived() {
        times.append(SystemClock.monotonic().nanoseconds - sentAt.nanoseconds)
        if times.count < rounds { send() }
    }
}

private final class Pinger: Peer {
    private let packet: [UInt8]

    init(_ harness: Harness, _ qos: QoS) throws {
        packet = PacketBytes.publish(
            "ping/pong", payload: Array(repeating: 0x78, count: 64), qos: qos, id: 1,
            harness.target)
        try super.init(harness, name: "pinger")
    }

    func ping() {
        output.append(packet)
        flush()
    }
}

private final class Ponger: Peer {
    private unowned let game: PingPong
    private let qos: QoS

    init(_ game: PingPong, _ harness: Harness, _ qos: QoS) throws {
        self.game = game
        self.qos = qos
        try super.init(harness, name: "ponger")
    }

    override func opened() {
        output.append(PacketBytes.subscribe(["ping/pong"], qos: qos, harness.target))
        flushLater()
    }

    override func take(_ first: UInt8, _ body: Range<Int>, _ bytes: Span<UInt8>) {
        guard first & 0xF0 == 0x30 else { return harness.peerIsReady() }
        let publish = ReceivedPublish(first, body, bytes, harness.target.version)
        if publish.qos == 1 { acknowledge(0x40, publish.packetID) }
        game.arrived()
    }
}
