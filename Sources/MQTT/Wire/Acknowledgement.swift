/// PUBACK, PUBREC, PUBREL or PUBCOMP (3.4 to 3.7): one step of a delivery at QoS 1 or 2.
public struct Acknowledgement: Hashable, Sendable {
    /// One of `.pubAck`, `.pubRec`, `.pubRel`, `.pubComp`.
    public var kind: PacketType
    public var packetID: UInt16
    /// `.success` in 3.x.
    public var reasonCode: ReasonCode
    public var properties: Properties

    public init(
        kind: PacketType, packetID: UInt16, reasonCode: ReasonCode = .success,
        properties: Properties = .none
    ) {
        self.kind = kind
        self.packetID = packetID
        self.reasonCode = reasonCode
        self.properties = properties
    }

    /// A whole acknowledgement of four bytes, as all are that say nothing but "yes".
    ///
    /// `nil` for any other bytes: like `Publish.decodePlain` it only saves time.
    @inline(__always)
    static func decodePlain(_ bytes: Span<UInt8>, from offset: Int) -> DecodedPacket? {
        guard bytes.count &- offset >= 4, bytes[offset &+ 1] == 2 else { return nil }
        let id = UInt16(bytes[offset &+ 2]) << 8 | UInt16(bytes[offset &+ 3])
        guard id != 0 else { return nil }
        let packet: Packet
        switch bytes[offset] {
        case 0x40: packet = .pubAck(Acknowledgement(kind: .pubAck, packetID: id))
        case 0x50: packet = .pubRec(Acknowledgement(kind: .pubRec, packetID: id))
        case 0x62: packet = .pubRel(Acknowledgement(kind: .pubRel, packetID: id))
        case 0x70: packet = .pubComp(Acknowledgement(kind: .pubComp, packetID: id))
        default: return nil
        }
        return DecodedPacket(packet: packet, end: offset &+ 4)
    }

    static func decode(
        _ bytes: Span<UInt8>, _ reader: inout WireReader, kind: PacketType
    ) throws(WireError) -> Acknowledgement {
        var packet = Acknowledgement(
            kind: kind, packetID: try reader.packetID(bytes, v5: "MQTT-2.2.1-5"))
        if reader.version == .v5_0 && !reader.isAtEnd {
            packet.reasonCode = try reader.reasonCode(bytes, in: kind, clause: kind.reasonClause)
            if !reader.isAtEnd {
                packet.properties = try Properties.decode(
                    bytes, &reader, in: PropertyScope(kind))
            }
        }
        try reader.expectEnd()
        return packet
    }

    /// Appends the packet in its shortest form; its ranges lie in `source`.
    public func encode(
        from source: Span<UInt8>, version: ProtocolVersion, into buffer: inout ByteBuffer
    ) {
        var length = 2
        if version == .v5_0 {
            if !properties.isEmpty {
                length += 1 + properties.encodedSize(version)
            } else if reasonCode != .success {
                length += 1
            }
        }
        buffer.appendHeader(kind, length: length)
        buffer.append(bigEndian: packetID)
        if length > 2 { buffer.append(reasonCode.rawValue) }
        if length > 3 { properties.encode(from: source, version: version, into: &buffer) }
    }
}

extension PacketType {
    /// The clause of 5.0 that limits the reason codes of this packet.
    fileprivate var reasonClause: StaticString {
        switch self {
        case .pubAck: "MQTT-3.4.2-1"
        case .pubRec: "MQTT-3.5.2-1"
        case .pubRel: "MQTT-3.6.2-1"
        default: "MQTT-3.7.2-1"
        }
    }
}
