/// Any control packet.
///
/// It holds offsets only, no memory of its own: valid with the bytes it was decoded from.
public enum Packet: Hashable, Sendable {
    case connect(Connect)
    case connAck(ConnAck)
    case publish(Publish)
    case pubAck(Acknowledgement)
    case pubRec(Acknowledgement)
    case pubRel(Acknowledgement)
    case pubComp(Acknowledgement)
    case subscribe(Subscribe)
    case subAck(SubAck)
    case unsubscribe(Unsubscribe)
    case unsubAck(UnsubAck)
    case pingReq
    case pingResp
    case disconnect(Disconnect)
    case auth(Auth)

    /// The packet's type.
    public var type: PacketType {
        switch self {
        case .connect: .connect
        case .connAck: .connAck
        case .publish: .publish
        case .pubAck: .pubAck
        case .pubRec: .pubRec
        case .pubRel: .pubRel
        case .pubComp: .pubComp
        case .subscribe: .subscribe
        case .subAck: .subAck
        case .unsubscribe: .unsubscribe
        case .unsubAck: .unsubAck
        case .pingReq: .pingReq
        case .pingResp: .pingResp
        case .disconnect: .disconnect
        case .auth: .auth
        }
    }

    /// Appends the packet; its ranges lie in `source`. CONNECT has a version of its own.
    public func encode(
        from source: Span<UInt8>, version: ProtocolVersion, into buffer: inout ByteBuffer
    ) {
        switch self {
        case .connect(let packet): packet.encode(from: source, into: &buffer)
        case .connAck(let packet): packet.encode(from: source, version: version, into: &buffer)
        case .publish(let packet): packet.encode(from: source, version: version, into: &buffer)
        case .pubAck(let packet), .pubRec(let packet), .pubRel(let packet), .pubComp(let packet):
            packet.encode(from: source, version: version, into: &buffer)
        case .subscribe(let packet): packet.encode(from: source, version: version, into: &buffer)
        case .subAck(let packet): packet.encode(from: source, version: version, into: &buffer)
        case .unsubscribe(let packet):
            packet.encode(from: source, version: version, into: &buffer)
        case .unsubAck(let packet): packet.encode(from: source, version: version, into: &buffer)
        case .pingReq: buffer.appendHeader(.pingReq, length: 0)
        case .pingResp: buffer.appendHeader(.pingResp, length: 0)
        case .disconnect(let packet):
            packet.encode(from: source, version: version, into: &buffer)
        case .auth(let packet): packet.encode(from: source, version: version, into: &buffer)
        }
    }
}

/// A packet, and where the next one begins.
public struct DecodedPacket: Hashable, Sendable {
    public let packet: Packet
    /// The offset behind the packet's last byte.
    public let end: Int
}
