/// SUBACK (3.9): the server's answer to SUBSCRIBE, one code for each filter in its order.
public struct SubAck: Hashable, Sendable {
    public var packetID: UInt16
    public var properties: Properties
    /// One byte each: the granted QoS, or why not (0x80 in 3.x).
    public var reasonCodes: ByteRange

    public init(packetID: UInt16, properties: Properties = .none, reasonCodes: ByteRange) {
        self.packetID = packetID
        self.properties = properties
        self.reasonCodes = reasonCodes
    }

    static func decode(
        _ bytes: Span<UInt8>, _ reader: inout WireReader
    ) throws(WireError) -> SubAck {
        let packetID = try reader.packetID(bytes, v5: "MQTT-2.2.1-6")
        let properties = try Properties.decode(bytes, &reader, in: .subAck)
        let start = reader.position
        if reader.isAtEnd {
            throw reader.fault(
                .protocolError, v3: "MQTT-3.8.4-5", v5: "MQTT-3.8.4-6",
                "SUBACK without a reason code")
        }
        while !reader.isAtEnd {
            guard reader.version == .v5_0 else {
                // [MQTT-3.9.3-2]
                let code = try reader.uint8(bytes)
                if code > 2 && code != 0x80 { throw .undefinedReturnCode }
                continue
            }
            _ = try reader.reasonCode(bytes, in: .subAck, clause: "MQTT-3.9.3-2")
        }
        return SubAck(
            packetID: packetID, properties: properties,
            reasonCodes: ByteRange(lowerBound: start, upperBound: reader.position))
    }

    /// Appends the packet; its ranges lie in `source`.
    public func encode(
        from source: Span<UInt8>, version: ProtocolVersion, into buffer: inout ByteBuffer
    ) {
        let length = 2 + properties.encodedSize(version) + reasonCodes.count
        buffer.appendHeader(.subAck, length: length)
        buffer.append(bigEndian: packetID)
        properties.encode(from: source, version: version, into: &buffer)
        buffer.append(source.extracting(reasonCodes.range))
    }
}

extension WireError {
    fileprivate static let undefinedReturnCode = WireError(
        reasonCode: .protocolError, clause: "MQTT-3.9.3-2",
        detail: "a SUBACK return code that is not defined")
}
