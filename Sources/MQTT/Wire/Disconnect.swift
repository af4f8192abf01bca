/// DISCONNECT (3.14): the last packet of a connection; from a server in 5.0 only.
public struct Disconnect: Hashable, Sendable {
    /// `.normalDisconnection` in 3.x.
    public var reasonCode: ReasonCode
    public var properties: Properties

    public init(
        reasonCode: ReasonCode = .normalDisconnection, properties: Properties = .none
    ) {
        self.reasonCode = reasonCode
        self.properties = properties
    }

    static func decode(
        _ bytes: Span<UInt8>, _ reader: inout WireReader
    ) throws(WireError) -> Disconnect {
        var packet = Disconnect()
        if reader.version == .v5_0 && !reader.isAtEnd {
            packet.reasonCode = try reader.reasonCode(
                bytes, in: .disconnect, clause: "MQTT-3.14.2-1")
            if !reader.isAtEnd {
                packet.properties = try Properties.decode(bytes, &reader, in: .disconnect)
            }
        }
        try reader.expectEnd()
        return packet
    }

    /// Appends the packet in its shortest form; its ranges lie in `source`.
    public func encode(
        from source: Span<UInt8>, version: ProtocolVersion, into buffer: inout ByteBuffer
    ) {
        var length = 0
        if version == .v5_0 {
            if !properties.isEmpty {
                length = 1 + properties.encodedSize(version)
            } else if reasonCode != .normalDisconnection {
                length = 1
            }
        }
        buffer.appendHeader(.disconnect, length: length)
        if length > 0 { buffer.append(reasonCode.rawValue) }
        if length > 1 { properties.encode(from: source, version: version, into: &buffer) }
    }
}
