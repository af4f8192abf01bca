/// UNSUBSCRIBE (3.10): a client no longer wants what its filters match.
public struct Unsubscribe: Hashable, Sendable {
    public var packetID: UInt16
    public var properties: Properties
    /// The payload: each filter with its length before it.
    public var filters: ByteRange
    /// How many filters; at least one.
    public var filterCount: Int

    public init(
        packetID: UInt16, properties: Properties = .none, filters: ByteRange, filterCount: Int
    ) {
        self.packetID = packetID
        self.properties = properties
        self.filters = filters
        self.filterCount = filterCount
    }

    static func decode(
        _ bytes: Span<UInt8>, _ reader: inout WireReader
    ) throws(WireError) -> Unsubscribe {
        let packetID = try reader.packetID(bytes, v5: "MQTT-2.2.1-3")
        let properties = try Properties.decode(bytes, &reader, in: .unsubscribe)
        let start = reader.position
        if reader.isAtEnd {
            throw WireError(
                reasonCode: .protocolError, clause: "MQTT-3.10.3-2",
                detail: "UNSUBSCRIBE without a filter")
        }
        var count = 0
        while !reader.isAtEnd {
            if try reader.string(bytes).isEmpty { throw .emptyTopic }
            count += 1
        }
        return Unsubscribe(
            packetID: packetID, properties: properties,
            filters: ByteRange(lowerBound: start, upperBound: reader.position),
            filterCount: count)
    }

    /// Walks the filters in their order; `next(in:)` wants the bytes they were decoded from.
    public func makeIterator() -> FilterIterator {
        FilterIterator(filters: filters)
    }

    /// Appends the packet; its ranges lie in `source`.
    public func encode(
        from source: Span<UInt8>, version: ProtocolVersion, into buffer: inout ByteBuffer
    ) {
        let length = 2 + properties.encodedSize(version) + filters.count
        buffer.reserve(5 + length)
        buffer.appendHeader(.unsubscribe, length: length)
        buffer.append(bigEndian: packetID)
        properties.encode(from: source, version: version, into: &buffer)
        buffer.append(source.extracting(filters.range))
    }

    /// Appends one filter to a payload under construction.
    public static func append(filter: Span<UInt8>, to payload: inout [UInt8]) {
        payload.appendField(filter)
    }
}

/// Walks filters that were validated before.
public struct FilterIterator: Sendable {
    private var position: Int
    private let end: Int

    init(filters: ByteRange) {
        position = filters.lowerBound
        end = filters.upperBound
    }

    /// The next filter; `source` is what the packet was decoded from.
    public mutating func next(in source: Span<UInt8>) -> ByteRange? {
        guard position < end else { return nil }
        let length = Int(source[position]) << 8 | Int(source[position + 1])
        position += 2 + length
        return ByteRange(lowerBound: position - length, upperBound: position)
    }

    mutating func skip(_ count: Int) { position += count }
}
