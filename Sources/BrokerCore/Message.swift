import MQTT

/// One message, shared by all the sessions that hold it; made only where something must outlive the
/// packet it came in (QoS 1 and 2 in a session, retained, wills).
public final class Message: Sendable {
    /// Length-prefixed topic, length-prefixed 5.0 properties, payload: the body of a 5.0 PUBLISH at QoS 0.
    public let body: [UInt8]
    /// Where the properties' length, and thus the topic's end, stands in `body`.
    let propertiesStart: Int
    /// Where the payload begins in `body`.
    let payloadStart: Int
    /// Where the four bytes of the Message Expiry Interval stand in `body`; 0 when it has none.
    let expiryOffset: Int
    /// Seconds, as the publisher said.
    let expiryInterval: UInt32
    /// When the shard took it; what remains of the expiry interval is reckoned from here.
    let receivedAt: MonotonicTime
    /// The publisher's QoS; a subscriber gets at most this.
    let qos: QoS
    /// Whether it was published as retained.
    let isRetained: Bool
    /// Who published it, where it may be kept: a retained message is given out only as long as its
    /// publisher may publish it. `nil` for the server's own.
    let publisher: Rights?
    /// Counts it for as long as somebody holds it.
    private let meter: MemoryMeter

    init(
        _ view: MessageView, in source: Span<UInt8>, at time: MonotonicTime,
        publisher: Rights? = nil, counting meter: MemoryMeter
    ) {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(view.topic.count + view.properties.count + view.payload.count + 6)
        bytes.append(UInt8(truncatingIfNeeded: view.topic.count >> 8))
        bytes.append(UInt8(truncatingIfNeeded: view.topic.count))
        bytes.append(contentsOf: source.extracting(view.topic.range))
        propertiesStart = bytes.count
        bytes.append(variableByteInteger: view.properties.count)
        let regionStart = bytes.count
        bytes.append(contentsOf: source.extracting(view.properties.range))
        payloadStart = bytes.count
        bytes.append(contentsOf: source.extracting(view.payload.range))
        body = bytes
        expiryOffset =
            view.expiryOffset == 0
            ? 0 : regionStart + view.expiryOffset - view.properties.lowerBound
        expiryInterval = view.expiryInterval
        receivedAt = time
        qos = view.qos
        isRetained = view.isRetained
        self.publisher = publisher
        self.meter = meter
        meter.add(cost)
    }

    deinit { meter.add(-cost) }

    /// One that a store kept; the parts fit into `body`.
    init(
        body: [UInt8], propertiesStart: Int, payloadStart: Int, expiryOffset: Int,
        expiryInterval: UInt32, receivedAt: MonotonicTime, qos: QoS, isRetained: Bool,
        publisher: Rights?, counting meter: MemoryMeter
    ) {
        self.body = body
        self.propertiesStart = propertiesStart
        self.payloadStart = payloadStart
        self.expiryOffset = expiryOffset
        self.expiryInterval = expiryInterval
        self.receivedAt = receivedAt
        self.qos = qos
        self.isRetained = isRetained
        self.publisher = publisher
        self.meter = meter
        meter.add(cost)
    }

    /// A copy of the topic's bytes.
    public var topic: [UInt8] { Array(body[2..<propertiesStart]) }

    /// What the message costs a queue or the retained store, in bytes.
    var cost: Int { body.count + Self.overhead }

    /// The object, its array and a queue's entry, roughly.
    static var overhead: Int { 128 }

    /// Seconds that remain of the expiry interval at `now`; `nil` once it has passed.
    ///
    /// Only for a message that has one. [MQTT-3.3.2-6]
    func remainingExpiry(at now: MonotonicTime) -> UInt32? {
        let waited = (now.nanoseconds &- receivedAt.nanoseconds) / 1_000_000_000
        return waited >= UInt64(expiryInterval) ? nil : expiryInterval - UInt32(waited)
    }

    /// What remains of the expiry interval, 0 where there is none; `nil` once it has passed.
    func remainingSeconds(at now: MonotonicTime) -> UInt32? {
        hasExpiry ? remainingExpiry(at: now) : 0
    }

    var hasExpiry: Bool { expiryOffset != 0 }

    /// When the expiry interval has passed; only for a message that has one.
    var expiresAt: MonotonicTime { receivedAt + .seconds(Int(expiryInterval)) }

    func isExpired(at now: MonotonicTime) -> Bool {
        hasExpiry && remainingExpiry(at: now) == nil
    }

    /// The message as something to route, with ranges into `body`.
    var view: MessageView {
        MessageView(
            topic: ByteRange(2..<propertiesStart),
            properties: ByteRange(regionStart..<payloadStart),
            payload: ByteRange(payloadStart..<body.count),
            expiryOffset: expiryOffset, expiryInterval: expiryInterval,
            qos: qos, isRetained: isRetained)
    }

    /// Where the properties begin, behind their length.
    private var regionStart: Int {
        var index = propertiesStart
        while body[index] & 0x80 != 0 { index += 1 }
        return index + 1
    }
}

/// A message that still lies in the bytes it came in.
struct MessageView {
    var topic: ByteRange
    /// 5.0 properties to forward, without their length.
    var properties: ByteRange
    var payload: ByteRange
    /// Where the value of the Message Expiry Interval stands; 0 for none.
    var expiryOffset = 0
    var expiryInterval: UInt32 = 0
    var qos: QoS
    var isRetained: Bool
}
