import IO
import MQTT

/// All peers of one run on one loop, and what they have sent and received together.
final class Load {
    let scenario: Scenario
    let loop: EventLoop
    private var publishers: [Peer] = []
    private var subscribers: [Peer] = []
    private var readyCount = 0
    private var sent = 0
    private(set) var deliveries = 0
    private(set) var failure: String?
    private var startedAt: MonotonicTime?
    private(set) var elapsed = Duration.zero
    /// A broker that delivers nothing for so long has lost what is missing.
    private static let patience = Duration.seconds(5)

    init(_ scenario: Scenario) throws {
        self.scenario = scenario
        loop = try EventLoop()
    }

    /// Deliveries that are still to come of what was sent.
    private var outstanding: Int { sent * scenario.copies - deliveries }

    /// Not before everyone has subscribed: what is published earlier reaches nobody.
    var mayPublish: Bool { startedAt != nil && outstanding < scenario.outstandingLimit }

    /// Connects everyone, publishes, and returns when each delivery was counted.
    ///
    /// `isReady` is called between: when all are connected and nothing was published yet.
    func run(isReady: () -> Void) throws {
        for number in 0..<scenario.subscribers {
            let filter = scenario.pairs ? "load/\(number)" : "load/#"
            subscribers.append(
                try Peer(.subscriber(filter: filter), number: number, batches: 0, load: self))
        }
        let batches = scenario.messages / scenario.publishers / scenario.batch
        for number in 0..<scenario.publishers {
            let acknowledgements = scenario.qos == .atMostOnce ? 0 : scenario.batch
            publishers.append(
                try Peer(
                    .publisher(batch: batch(of: number), acknowledgements: acknowledgements),
                    number: number, batches: batches, load: self))
        }
        while failure == nil && readyCount < publishers.count + subscribers.count {
            loop.turn(waitingAtMost: .seconds(10))
        }
        guard failure == nil else { return }
        isReady()
        startedAt = SystemClock.monotonic()
        var progress = (deliveries: 0, time: SystemClock.monotonic())
        while failure == nil && deliveries < scenario.deliveries {
            for peer in publishers { try peer.publishNext() }
            loop.turn(waitingAtMost: .seconds(1))
            if deliveries > progress.deliveries {
                progress = (deliveries, loop.now)
            } else if loop.now > progress.time + Self.patience {
                let unanswered = publishers.reduce(0) { $0 + $1.awaited }
                fail(
                    "\(outstanding) deliveries of \(sent * scenario.copies) never came; "
                        + "\(unanswered) messages were not acknowledged")
            }
        }
        elapsed = SystemClock.monotonic() - (startedAt ?? .zero)
    }

    /// One write of publisher `number`: `scenario.batch` messages with packet ids from 1.
    private func batch(of number: Int) -> [UInt8] {
        let topic = Array("load/\(number)".utf8)
        let payload = [UInt8](repeating: 0x78, count: scenario.payloadBytes)
        let source = topic + payload
        var buffer = ByteBuffer()
        for index in 1...scenario.batch {
            let packet = Publish(
                qos: scenario.qos, topic: ByteRange(lowerBound: 0, upperBound: topic.count),
                packetID: scenario.qos == .atMostOnce ? nil : UInt16(index),
                payload: ByteRange(lowerBound: topic.count, upperBound: source.count))
            packet.encode(from: source.span, version: scenario.version, into: &buffer)
        }
        return buffer.withSpan { bytes in bytes.indices.map { bytes[$0] } }
    }

    func peerIsReady() { readyCount += 1 }

    func published(_ count: Int) { sent += count }

    func delivered(_ count: Int) { deliveries += count }

    func fail(_ message: String) { failure = failure ?? message }
}
