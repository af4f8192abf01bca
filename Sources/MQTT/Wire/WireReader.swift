/// A cursor over the body of one packet.
///
/// It knows where the packet ends and how much of it has arrived: a read past the end is a malformed
/// packet, a read past what has arrived is `WireError.incomplete`. Every check depends only on bytes
/// before the cursor, so a packet in pieces ends in the same packet or the same error as a whole one.
struct WireReader {
    /// The offset of the next byte.
    var position: Int
    /// Where the packet, or the part of it being read, ends.
    private(set) var end: Int
    /// The smaller of `end` and what has arrived.
    private(set) var limit: Int
    /// What has arrived.
    private let available: Int
    /// The version that the packet is of.
    var version: ProtocolVersion
    /// What strings and properties may be.
    let limits: WireLimits
    /// Who reads: a few things only one side may send.
    let receiver: PacketDecoder.Receiver

    @inline(__always)
    init(
        position: Int, end: Int, available: Int, version: ProtocolVersion, limits: WireLimits,
        receiver: PacketDecoder.Receiver
    ) {
        self.position = position
        self.end = end
        self.available = available
        self.limit = min(end, available)
        self.version = version
        self.limits = limits
        self.receiver = receiver
    }

    /// Bytes up to the end, arrived or not.
    @inline(__always)
    var remaining: Int { end &- position }

    /// Whether the cursor stands at the end.
    @inline(__always)
    var isAtEnd: Bool { position == end }

    // MARK: Values

    /// The next `count` bytes must have arrived.
    ///
    /// It changes nothing; `mutating` spares the hot way a copy of the reader for the cold one.
    @inline(__always)
    mutating func need(_ count: Int) throws(WireError) {
        if limit &- position < count { throw shortage(count) }
    }

    @inline(__always)
    mutating func uint8(_ bytes: Span<UInt8>) throws(WireError) -> UInt8 {
        try need(1)
        position &+= 1
        return bytes[position &- 1]
    }

    @inline(__always)
    mutating func uint16(_ bytes: Span<UInt8>) throws(WireError) -> UInt16 {
        try need(2)
        position &+= 2
        return UInt16(bytes[position &- 2]) << 8 | UInt16(bytes[position &- 1])
    }

    mutating func uint32(_ bytes: Span<UInt8>) throws(WireError) -> UInt32 {
        let high = try uint16(bytes)
        let low = try uint16(bytes)
        return UInt32(high) << 16 | UInt32(low)
    }

    /// A variable byte integer; 5.0 wants it in as few bytes as it takes.
    mutating func variableByteInteger(_ bytes: Span<UInt8>) throws(WireError) -> Int {
        var value = 0
        var shift = 0
        while true {
            let byte = try uint8(bytes)
            value |= Int(byte & 0x7F) << shift
            guard byte & 0x80 != 0 else {
                // [MQTT-1.5.5-1]
                if byte == 0 && shift > 0 { throw .overlongInteger }
                return value
            }
            shift += 7
            if shift == 28 { throw .integerTooLong }
        }
    }

    /// Two length bytes, and that many of any value.
    @inline(__always)
    mutating func binary(_ bytes: Span<UInt8>) throws(WireError) -> ByteRange {
        let length = Int(try uint16(bytes))
        try need(length)
        position &+= length
        return ByteRange(position &- length..<position)
    }

    /// Two length bytes, and that many of well-formed UTF-8 without U+0000.
    mutating func string(_ bytes: Span<UInt8>) throws(WireError) -> ByteRange {
        let range = try text(bytes)
        if !TextScan.isPlain(bytes.extracting(range.range)) { _ = try checkText(bytes, range) }
        return range
    }

    /// A string that names a topic: not empty unless said so, and without wildcards.
    @inline(__always)
    mutating func topicName(
        _ bytes: Span<UInt8>, mayBeEmpty: Bool
    ) throws(WireError) -> ByteRange {
        let range = try text(bytes)
        if !TextScan.isPlain(bytes.extracting(range.range)) { try checkTopicName(bytes, range) }
        if range.isEmpty && !mayBeEmpty { throw .emptyTopic }
        return range
    }

    /// The two length bytes and the bytes of a string, which are not looked at.
    @inline(__always)
    private mutating func text(_ bytes: Span<UInt8>) throws(WireError) -> ByteRange {
        let length = Int(try uint16(bytes))
        if length > limits.maximumStringLength { throw .stringTooLong }
        try need(length)
        position &+= length
        return ByteRange(position &- length..<position)
    }

    @inline(never)
    private mutating func checkText(
        _ bytes: Span<UInt8>, _ range: ByteRange
    ) throws(WireError) -> TextScan {
        let text = bytes.extracting(range.range)
        let scan = TextScan(text)
        if scan.contains(.beyondASCII) && !TextScan.isWellFormed(text) {
            throw fault(
                .malformedPacket, v3: "MQTT-1.5.3-1", v5: "MQTT-1.5.4-1", "ill-formed UTF-8")
        }
        if scan.contains(.null) {
            throw fault(
                .malformedPacket, v3: "MQTT-1.5.3-2", v5: "MQTT-1.5.4-2", "U+0000 in a string")
        }
        return scan
    }

    @inline(never)
    private mutating func checkTopicName(
        _ bytes: Span<UInt8>, _ range: ByteRange
    ) throws(WireError) {
        if try checkText(bytes, range).contains(.wildcard) {
            throw WireError(
                reasonCode: .malformedPacket, clause: "MQTT-3.3.2-2",
                detail: "a wildcard in a topic name")
        }
    }

    // MARK: Parts

    /// Narrows the reader to its next `count` bytes; returns the end to go back to.
    mutating func enter(_ count: Int) throws(WireError) -> Int {
        guard count <= remaining else { throw shortage(count) }
        let outer = end
        end = position + count
        limit = min(end, available)
        return outer
    }

    /// Widens the reader to `outer`, which `enter` gave.
    mutating func leave(_ outer: Int) {
        end = outer
        limit = min(end, available)
    }

    /// Nothing may follow.
    @inline(__always)
    mutating func expectEnd() throws(WireError) {
        if position != end { throw trailing() }
    }

    // MARK: Errors

    @inline(never)
    private mutating func shortage(_ count: Int) -> WireError {
        guard count > remaining else { return .incomplete }
        return fault(
            .malformedPacket, v3: "MQTT-4.8.0-1", v5: "MQTT-4.13.1-1", WireError.pastEndDetail)
    }

    @inline(never)
    private mutating func trailing() -> WireError {
        fault(
            .malformedPacket, v3: "MQTT-4.8.0-1", v5: "MQTT-4.13.1-1",
            "bytes follow the last field of a packet")
    }

    /// An error that cites the text of the version in use; 3.1 is held to the clauses of 3.1.1.
    @inline(never)
    func fault(
        _ reasonCode: ReasonCode, v3: StaticString, v5: StaticString, _ detail: StaticString
    ) -> WireError {
        WireError(
            reasonCode: reasonCode, clause: version == .v5_0 ? v5 : v3, detail: detail)
    }
}

extension WireError {
    static let overlongInteger = WireError(
        reasonCode: .malformedPacket, clause: "MQTT-1.5.5-1",
        detail: "a variable byte integer in more bytes than it takes")
    static let integerTooLong = WireError(
        reasonCode: .malformedPacket, clause: "1.5.5",
        detail: "a variable byte integer of more than four bytes")
    static let emptyTopic = WireError(
        reasonCode: .protocolError, clause: "MQTT-4.7.3-1", detail: "an empty topic")
    static let stringTooLong = WireError(
        reasonCode: .quotaExceeded, clause: "4.13",
        detail: "a string longer than this implementation takes")
}
