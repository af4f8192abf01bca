import IO
import MQTT

/// Messages from publishers to subscribers, each counted and its order checked.
struct FlowScenario {
    /// Each publishes to a topic of its own, `load/<number>`.
    var publishers: Int
    var subscribers: Int
    /// Subscriber k reads the topic of publisher k; else every subscriber reads `load/#`.
    var pairs: Bool
    var qos: QoS
    /// Messages in all, a multiple of publishers times batch.
    var messages: Int
    var payloadBytes: Int
    /// Messages a write.
    var batch: Int
    /// QoS 1 and 2 messages of one publisher that may wait for their acknowledgement.
    var inFlight: Int
    /// The subscribers' sessions outlive their connections.
    var persistent: Bool
    /// Microseconds between two turns of publishing; 0 for none.
    var pauseMicroseconds: Int

    init(_ options: inout Options) throws(UsageError) {
        publishers = max(1, try options.number("publishers", 50))
        subscribers = max(1, try options.number("subscribers", 1))
        pairs = try options.flag("pairs")
        let level = try options.number("qos", 0)
        guard let qos = QoS(rawValue: UInt8(clamping: level)) else { throw "--qos is 0, 1 or 2" }
        self.qos = qos
        batch = max(1, try options.number("batch", 32))
        inFlight = max(batch, try options.number("in-flight", batch))
        payloadBytes = max(8, try options.number("payload", 64))
        persistent = try options.flag("persistent")
        pauseMicroseconds = try options.number("pause-us", 0)
        let unit = publishers * batch
        messages = max(unit, try options.number("messages", 200_000) / unit * unit)
        guard inFlight <= 32_000 else { throw "--in-flight is at most 32000" }
    }

    /// How many subscribers get each message.
    var copies: Int { pairs ? 1 : subscribers }
    var deliveries: Int { messages * copies }
    /// Messages under way at most; publishers wait when the broker or a subscriber is behind, so that
    /// nothing is dropped and every message can be counted.
    var outstandingLimit: Int { batch * (copies > 1 ? 16 : 128) }
}

final class Flow {
    let scenario: FlowScenario
    let harness: Harness
    private var publishers: [Publisher] = []
    private var subscribers: [Subscriber] = []
    private var sent = 0
    private(set) var deliveries = 0
    private var next = 0

    init(_ scenario: FlowScenario, _ harness: Harness) {
        self.scenario = scenario
        self.harness = harness
    }

    /// Connects everyone, publishes, and returns the seconds it took when each delivery was counted.
    ///
    /// `isReady` is called between: when all are connected and nothing was published yet.
    func run(isReady: () -> Void) throws -> Double {
        // Not before everyone has subscribed: what is published earlier reaches nobody.
        for number in 0..<scenario.subscribers {
            subscribers.append(try Subscriber(number, self))
        }
        try harness.waitUntilReady(subscribers.count)
        for number in 0..<scenario.publishers {
            publishers.append(try Publisher(number, self))
        }
        try harness.waitUntilReady(subscribers.count + publishers.count)
        isReady()
        let start = SystemClock.monotonic()
        var due = start
        try harness.turn(progress: { deliveries }, until: isDone) {
            if scenario.pauseMicroseconds > 0 {
                guard SystemClock.monotonic() >= due else { return }
                due = due + .microseconds(scenario.pauseMicroseconds)
                harness.loop.schedule(at: due) {}
            }
            publishAll()
        }
        return (SystemClock.monotonic() - start) / .seconds(1)
    }

    private func isDone() -> Bool {
        deliveries >= scenario.deliveries && publishers.allSatisfy { $0.awaited == 0 }
    }

    /// One batch of each publisher that has one and may; who begins goes round.
    private func publishAll() {
        for step in publishers.indices {
            guard sent * scenario.copies - deliveries < scenario.outstandingLimit * scenario.copies
            else { return }
            let index = (next + step) % publishers.count
            if publishers[index].publish() {
                sent += scenario.batch
                next = index + 1
            }
        }
    }

    func delivered(_ count: Int) { deliveries += count }
}

/// Sends batches of numbered messages.
final class Publisher: Peer {
    private let scenario: FlowScenario
    private var batch: [UInt8]
    private let stride: Int
    private let payloadOffset: Int
    private var sequence: UInt32 = 0
    private var batchesLeft: Int
    private var nextID: UInt16 = 1
    private var nextAcknowledged: UInt16 = 1
    /// Messages that are not acknowledged to the end.
    private(set) var awaited = 0

    init(_ number: Int, _ flow: Flow) throws {
        scenario = flow.scenario
        batchesLeft = scenario.messages / scenario.publishers / scenario.batch
        var payload = [UInt8](repeating: 0x78, count: scenario.payloadBytes)
        for index in 0..<4 {
            payload[index] = UInt8(truncatingIfNeeded: number >> (24 - 8 * index))
        }
        let one = PacketBytes.publish(
            "load/\(number)", payload: payload, qos: scenario.qos, flow.harness.target)
        stride = one.count
        payloadOffset = one.count - payload.count
        batch = Array(repeatElement(one, count: scenario.batch).joined())
        try super.init(flow.harness, name: "load-\(number)")
    }

    /// Writes the next batch if there is one and it may leave; whether it did.
    func publish() -> Bool {
        guard batchesLeft > 0, output.isEmpty,
            scenario.qos == .atMostOnce || awaited + scenario.batch <= scenario.inFlight
        else { return false }
        batchesLeft -= 1
        stamp()
        if scenario.qos != .atMostOnce { awaited += scenario.batch }
        output.append(batch)
        flush()
        return true
    }

    /// Numbers the messages, and gives them packet identifiers.
    private func stamp() {
        let idOffset = payloadOffset - (harness.target.version == .v5_0 ? 3 : 2)
        var start = 0
        while start < batch.count {
            let place = start &+ payloadOffset &+ 4
            batch[place] = UInt8(truncatingIfNeeded: sequence >> 24)
            batch[place &+ 1] = UInt8(truncatingIfNeeded: sequence >> 16)
            batch[place &+ 2] = UInt8(truncatingIfNeeded: sequence >> 8)
            batch[place &+ 3] = UInt8(truncatingIfNeeded: sequence)
            sequence &+= 1
            if scenario.qos != .atMostOnce {
                batch[start &+ idOffset] = UInt8(nextID >> 8)
                batch[start &+ idOffset &+ 1] = UInt8(nextID & 255)
                nextID = nextID == .max ? 1 : nextID + 1
            }
            start &+= stride
        }
    }

    override func take(_ first: UInt8, _ body: Range<Int>, _ bytes: Span<UInt8>) {
        let id = UInt16(bytes[body.lowerBound]) << 8 | UInt16(bytes[body.lowerBound &+ 1])
        switch first {
        // PUBACK, PUBREC: in the order of the messages [MQTT-4.6.0-2] [MQTT-4.6.0-3].
        case 0x40, 0x50:
            guard id == nextAcknowledged else {
                return harness.fail("\(name): \(id) was acknowledged before \(nextAcknowledged)")
            }
            nextAcknowledged = nextAcknowledged == .max ? 1 : nextAcknowledged + 1
            if first == 0x40 { awaited -= 1 } else { acknowledge(0x62, id) }
        case 0x70: awaited -= 1
        default: harness.fail("\(name): a packet \(first) came")
        }
    }
}

/// Counts messages and checks that each publisher's come in order and none twice.
final class Subscriber: Peer {
    private unowned let flow: Flow
    private let qos: QoS
    /// The number that each publisher's next message must have.
    private var expected: [UInt32]
    private let filter: String

    init(_ number: Int, _ flow: Flow) throws {
        self.flow = flow
        qos = flow.scenario.qos
        filter = flow.scenario.pairs ? "load/\(number)" : "load/#"
        expected = Array(repeating: 0, count: flow.scenario.publishers)
        try super.init(
            flow.harness, name: "load-s\(number)", isPersistent: flow.scenario.persistent)
    }

    override func opened() {
        output.append(PacketBytes.subscribe([filter], qos: qos, harness.target))
        flushLater()
    }

    override func take(_ first: UInt8, _ body: Range<Int>, _ bytes: Span<UInt8>) {
        switch first & 0xF0 {
        case 0x30:
            let publish = ReceivedPublish(first, body, bytes, harness.target.version)
            check(publish.payloadStart, bytes)
            switch publish.qos {
            case 0: flow.delivered(1)
            case 1:
                flow.delivered(1)
                acknowledge(0x40, publish.packetID)
            default: acknowledge(0x50, publish.packetID)
            }
        case 0x60:
            let id = UInt16(bytes[body.lowerBound]) << 8 | UInt16(bytes[body.lowerBound &+ 1])
            flow.delivered(1)
            acknowledge(0x70, id)
        case 0x90: harness.peerIsReady()
        default: harness.fail("\(name): a packet \(first) came")
        }
    }

    @inline(__always)
    private func check(_ payload: Int, _ bytes: Span<UInt8>) {
        let publisher = Int(word(payload, bytes))
        let sequence = word(payload &+ 4, bytes)
        guard publisher < expected.count, expected[publisher] == sequence else {
            return harness.fail(
                "\(name): message \(sequence) of publisher \(publisher) is lost, twice or late")
        }
        expected[publisher] = sequence &+ 1
    }

    @inline(__always)
    private func word(_ offset: Int, _ bytes: Span<UInt8>) -> UInt32 {
        UInt32(bytes[offset]) << 24 | UInt32(bytes[offset &+ 1]) << 16
            | UInt32(bytes[offset &+ 2]) << 8 | UInt32(bytes[offset &+ 3])
    }
}
