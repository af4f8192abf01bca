/// UNSUBACK (3.11): the server's answer to UNSUBSCRIBE, in 5.0 with one code for each filter.
public struct UnsubAck: Hashable, Sendable {
    public var packetID: UInt16
    public var properties: Properties
    /// One byte each; none in 3.x.
    public var reasonCodes: ByteRange

    public init(
        packetID: UInt16, properties: Properties = .none, reasonCodes: ByteRange = .empty
    ) {
        self.packetID = packetID
        self.properties = properties
        self.reasonCodes = reasonCodes
    }

    static func decode(
        _ bytes: Span<UInt8>, _ reader: inout WireReader
    ) throws(WireError) -> UnsubAck {
        let packetID = try reader.packetID(bytes, v5: "MQTT-2.2.1-6")
        guard reader.version == .v5_0 else {
            try reader.expectEnd()
            return UnsubAck(packetID: packetID)
        }
        let properties = try Properties.decode(bytes, &reader, in: .unsubAck)
        let start = reader.position
        if reader.isAtEnd {
            throw WireError(
                reasonCode: .protocolError, clause: "MQTT-3.11.3-1",
                detail: "UNSUBACK without a reason code")
        }
        while !reader.isAtEnd {
            _ = try reader.reasonCode(bytes, in: .unsubAck, clause: "MQTT-3.11.3-2")
        }
        return UnsubAck(
            packetID: packetID, properties: properties,
            reasonCodes: ByteRange(lowerBound: start, upperBound: reader.position))
    }

    /// Appends the packet; its ranges lie in `source`.
    public func encode(
        from source: Span<UInt8>, version: ProtocolVersion, into buffer: inout ByteBuffer
    ) {
        let codes = version == .v5_0 ? reasonCodes : .empty
        let length = 2 + properties.encodedSize(version) + codes.count
        buffer.appendHeader(.unsubAck, length: length)
        buffer.append(bigEndian: packetID)
        properties.encode(from: source, version: version, into: &buffer)
        buffer.append(source.extracting(codes.range))
    }
}
