import MQTT

/// Where one message lies in the body of its batch.
public struct MessageRecord: Sendable, Equatable {
    public var sequence: UInt64
    public var qos: QoS
    public var retain: Bool
    public var taken: Taken
    public var topic: Range<Int>
    /// The property list of an MQTT 5 PUBLISH, without its length.
    public var properties: Range<Int>
    public var payload: Range<Int>
    /// Where the next record begins.
    public var end: Int
}

/// A batch that does not hold what it says: the store lies.
public enum BatchError: Error, Equatable, Sendable {
    case unknownFormat(UInt8)
    case truncated(sequence: UInt64)
    case invalidQoS(sequence: UInt64)
    case countMismatch(expected: Int, found: Int)
}

/// Messages of one route as they lie in the store: numbered without gaps, encoded once.
///
/// One row for a batch costs the store a fraction of one row for each message. The body is a format
/// byte (1), the boot id (8 bytes), then for each message: flags (bits 0-1 QoS, bit 2 retain),
/// wall-clock and uptime milliseconds (8 each), lengths of topic (2), properties (4) and payload
/// (4), and the three. Numbers are big-endian.
public struct MessageBatch: Sendable, Equatable {
    static let format: UInt8 = 1
    static let headerLength = 9
    static let recordHeadLength = 1 + 8 + 8 + 2 + 4 + 4
    static let retainFlag: UInt8 = 0b100

    public let firstSequence: UInt64
    public let count: Int
    public let body: [UInt8]

    /// The number of the last message.
    public var lastSequence: UInt64 { firstSequence + UInt64(count) - 1 }

    /// A batch from the store; every record is checked once, here.
    public init(firstSequence: UInt64, count: Int, body: [UInt8]) throws(BatchError) {
        self.init(unchecked: firstSequence, count: count, body: body)
        guard let format = body.first, format == MessageBatch.format else {
            throw .unknownFormat(body.first ?? 0)
        }
        var offset = MessageBatch.headerLength
        var sequence = firstSequence
        while offset < body.count {
            guard body.count - offset >= MessageBatch.recordHeadLength else {
                throw .truncated(sequence: sequence)
            }
            guard body[offset] & 0b11 < 3 else { throw .invalidQoS(sequence: sequence) }
            let record = self.record(at: offset, sequence: sequence)
            guard record.end <= body.count else { throw .truncated(sequence: sequence) }
            offset = record.end
            sequence += 1
        }
        let found = Int(sequence - firstSequence)
        guard found == count, count > 0 else {
            throw .countMismatch(expected: count, found: found)
        }
    }

    init(unchecked firstSequence: UInt64, count: Int, body: [UInt8]) {
        self.firstSequence = firstSequence
        self.count = count
        self.body = body
    }

    /// The record whose bytes begin at `offset`.
    func record(at offset: Int, sequence: UInt64) -> MessageRecord {
        let flags = body[offset]
        let topicLength = Int(body.bigEndian16(at: offset + 17))
        let propertiesLength = Int(body.bigEndian32(at: offset + 19))
        let payloadLength = Int(body.bigEndian32(at: offset + 23))
        let topicStart = offset + MessageBatch.recordHeadLength
        let propertiesStart = topicStart + topicLength
        let payloadStart = propertiesStart + propertiesLength
        let end = payloadStart + payloadLength
        return MessageRecord(
            sequence: sequence,
            qos: QoS(rawValue: flags & 0b11) ?? .atLeastOnce,
            retain: flags & MessageBatch.retainFlag != 0,
            taken: Taken(
                unixMilliseconds: body.bigEndian64(at: offset + 1),
                uptimeMilliseconds: body.bigEndian64(at: offset + 9),
                boot: body.bigEndian64(at: 1)),
            topic: topicStart..<propertiesStart, properties: propertiesStart..<payloadStart,
            payload: payloadStart..<end, end: end)
    }

    /// The record with that number, by walking there; `nil` where the batch does not hold it.
    func record(sequence: UInt64) -> MessageRecord? {
        guard sequence >= firstSequence, sequence <= lastSequence else { return nil }
        var record = record(at: MessageBatch.headerLength, sequence: firstSequence)
        while record.sequence < sequence {
            record = self.record(at: record.end, sequence: record.sequence + 1)
        }
        return record
    }

    /// One record as a batch of its own, as the table of refused messages keeps it.
    func alone(_ record: MessageRecord) -> MessageBatch {
        let start = record.topic.lowerBound - MessageBatch.recordHeadLength
        return MessageBatch(
            unchecked: record.sequence, count: 1,
            body: Array(body[..<MessageBatch.headerLength]) + Array(body[start..<record.end]))
    }
}

/// Messages that wait for their commit; they get their numbers when the transaction is made.
struct BatchDraft {
    private(set) var count = 0
    private(set) var body: [UInt8] = []

    init(boot: UInt64) {
        body.append(MessageBatch.format)
        body.append(bigEndian: boot)
    }

    mutating func append(_ message: ArrivingMessage, properties: [UInt8], now: Moment) {
        body.append(message.qos.rawValue | (message.retain ? MessageBatch.retainFlag : 0))
        body.append(bigEndian: now.unixMilliseconds)
        body.append(bigEndian: now.uptimeMilliseconds)
        body.append(bigEndian: UInt16(clamping: message.topic.count))
        body.append(bigEndian: UInt32(clamping: properties.count))
        body.append(bigEndian: UInt32(clamping: message.payload.count))
        body.append(contentsOf: message.topic)
        body.append(contentsOf: properties)
        body.append(contentsOf: message.payload)
        count += 1
    }

    func numbered(from firstSequence: UInt64) -> MessageBatch {
        MessageBatch(unchecked: firstSequence, count: count, body: body)
    }
}

extension [UInt8] {
    func bigEndian16(at offset: Int) -> UInt16 {
        UInt16(self[offset]) << 8 | UInt16(self[offset + 1])
    }

    func bigEndian32(at offset: Int) -> UInt32 {
        UInt32(bigEndian16(at: offset)) << 16 | UInt32(bigEndian16(at: offset + 2))
    }

    func bigEndian64(at offset: Int) -> UInt64 {
        UInt64(bigEndian32(at: offset)) << 32 | UInt64(bigEndian32(at: offset + 4))
    }

    mutating func append<Number: FixedWidthInteger>(bigEndian value: Number) {
        var shift = Number.bitWidth - 8
        while shift >= 0 {
            append(UInt8(truncatingIfNeeded: value >> Number(shift)))
            shift -= 8
        }
    }
}
