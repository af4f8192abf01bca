/// SUBSCRIBE (3.8): a client asks for the messages that match its filters.
public struct Subscribe: Hashable, Sendable {
    public var packetID: UInt16
    public var properties: Properties
    /// The payload: each filter with its length before and its options behind it.
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
    ) throws(WireError) -> Subscribe {
        let packetID = try reader.packetID(bytes, v5: "MQTT-2.2.1-3")
        let properties = try Properties.decode(bytes, &reader, in: .subscribe)
        let start = reader.position
        if reader.isAtEnd {
            throw reader.fault(
                .protocolError, v3: "MQTT-3.8.3-3", v5: "MQTT-3.8.3-2",
                "SUBSCRIBE without a filter")
        }
        var count = 0
        while !reader.isAtEnd {
            let filter = try reader.string(bytes)
            if filter.isEmpty { throw .emptyTopic }
            try checkOptions(try reader.uint8(bytes), bytes.extracting(filter.range), reader)
            count += 1
        }
        return Subscribe(
            packetID: packetID, properties: properties,
            filters: ByteRange(lowerBound: start, upperBound: reader.position),
            filterCount: count)
    }

    private static func checkOptions(
        _ options: UInt8, _ filter: Span<UInt8>, _ reader: WireReader
    ) throws(WireError) {
        guard reader.version == .v5_0 else {
            if options > 2 {
                throw WireError(
                    reasonCode: .malformedPacket, clause: "MQTT-3-8.3-4",
                    detail: "reserved bits or a QoS of 3 behind a filter")
            }
            return
        }
        if options & 0xC0 != 0 {
            throw WireError(
                reasonCode: .malformedPacket, clause: "MQTT-3.8.3-5",
                detail: "reserved bits in subscription options")
        }
        guard let options = SubscriptionOptions(rawValue: options) else {
            throw WireError(
                reasonCode: .protocolError, clause: "3.8.3.1",
                detail: "a QoS or retain handling of 3 in subscription options")
        }
        if options.noLocal && filter.startsWithShare {
            throw WireError(
                reasonCode: .protocolError, clause: "MQTT-3.8.3-4",
                detail: "no local on a shared subscription")
        }
    }

    /// Walks the filters in their order; `next(in:)` wants the bytes they were decoded from.
    public func makeIterator() -> SubscriptionIterator {
        SubscriptionIterator(filters: filters)
    }

    /// Appends the packet; its ranges lie in `source`.
    public func encode(
        from source: Span<UInt8>, version: ProtocolVersion, into buffer: inout ByteBuffer
    ) {
        let length = 2 + properties.encodedSize(version) + filters.count
        buffer.reserve(5 + length)
        buffer.appendHeader(.subscribe, length: length)
        buffer.append(bigEndian: packetID)
        properties.encode(from: source, version: version, into: &buffer)
        buffer.append(source.extracting(filters.range))
    }

    /// Appends one filter with its options to a payload under construction.
    public static func append(
        filter: Span<UInt8>, options: SubscriptionOptions, to payload: inout [UInt8]
    ) {
        payload.appendField(filter)
        payload.append(options.rawValue)
    }
}

/// Walks the filters of a SUBSCRIBE that was validated before.
public struct SubscriptionIterator: Sendable {
    private var filters: FilterIterator

    init(filters: ByteRange) {
        self.filters = FilterIterator(filters: filters)
    }

    /// The next filter and its options; `source` is what the packet was decoded from.
    public mutating func next(in source: Span<UInt8>) -> SubscriptionRequest? {
        guard let filter = filters.next(in: source) else { return nil }
        let options = SubscriptionOptions(rawValue: source[filter.upperBound])
        filters.skip(1)
        return SubscriptionRequest(
            filter: filter, options: options ?? SubscriptionOptions(qos: .atMostOnce))
    }
}

extension Span where Element == UInt8 {
    /// Whether a filter is one of a shared subscription (4.8.2).
    fileprivate var startsWithShare: Bool {
        let prefix: [7 of UInt8] = [0x24, 0x73, 0x68, 0x61, 0x72, 0x65, 0x2F]
        guard count >= prefix.count else { return false }
        for index in prefix.indices where self[index] != prefix[index] { return false }
        return true
    }
}

extension [UInt8] {
    /// Appends a field with its two length bytes.
    mutating func appendField(_ bytes: Span<UInt8>) {
        precondition(bytes.count <= WireLimits.longestString, "too long for two length bytes")
        append(UInt8(truncatingIfNeeded: bytes.count >> 8))
        append(UInt8(truncatingIfNeeded: bytes.count))
        append(contentsOf: bytes)
    }
}
