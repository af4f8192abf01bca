/// Finds packets in bytes that a peer sent, and checks every rule that one packet alone can break.
///
/// Give it the bytes that were not yet consumed, each time from the start of a packet. It keeps no
/// bytes. A packet that breaks a rule is refused as soon as the bytes that show it are there, the
/// fixed header's rules before the body has arrived. In pieces or whole, the result is the same.
public struct PacketDecoder: Sendable {
    /// Who receives: some packets go in one direction only.
    public enum Receiver: Hashable, Sendable {
        case server
        case client
    }

    public let receiver: Receiver
    /// A server's decoder takes it from CONNECT; a client's is told.
    public var version: ProtocolVersion
    public var limits: WireLimits
    /// Whether the next packet must be CONNECT: a server's decoder that starts so refuses all else
    /// from the first byte on [MQTT-3.1.0-1]; CONNECT clears it.
    public var awaitsConnect: Bool

    /// How many bytes of an unfinished packet must be there before its body is looked at again.
    private var nextLook: UInt32 = 0

    /// Unfinished bodies up to this size are looked at with every piece that arrives; larger ones
    /// when they have doubled, so that a peer that sends single bytes costs no more than its bytes.
    private static let eagerSize = 512

    public init(
        receiver: Receiver, version: ProtocolVersion = .v3_1_1, limits: WireLimits = WireLimits(),
        awaitsConnect: Bool = false
    ) {
        self.receiver = receiver
        self.version = version
        self.limits = limits
        self.awaitsConnect = awaitsConnect
    }

    /// The packet that begins at `offset`; `nil`: more bytes are needed.
    public mutating func decode(
        _ bytes: Span<UInt8>, from offset: Int = 0
    ) throws(WireError) -> DecodedPacket? {
        guard offset < bytes.count else { return nil }
        if !awaitsConnect, let plain = Publish.decodePlain(bytes, from: offset, version),
            plain.end &- offset <= min(limits.maximumPacketSize, limits.maximumStringLength)
        {
            nextLook = 0
            return plain
        }
        if !awaitsConnect, limits.maximumPacketSize >= 4,
            let plain = Acknowledgement.decodePlain(bytes, from: offset)
        {
            nextLook = 0
            return plain
        }
        return try decodeAny(bytes, from: offset)
    }

    /// Any packet, rule by rule.
    @inline(never)
    private mutating func decodeAny(
        _ bytes: Span<UInt8>, from offset: Int
    ) throws(WireError) -> DecodedPacket? {
        guard let header = try fixedHeader(bytes, offset) else { return nil }
        var reader = WireReader(
            position: header.bodyStart, end: header.end, available: bytes.count,
            version: version, limits: limits, receiver: receiver)
        if header.end > bytes.count {
            try lookAhead(bytes, header, reader, from: offset)
            return nil
        }
        nextLook = 0
        let packet = try body(bytes, header, &reader)
        if header.type == .connect {
            version = reader.version
            awaitsConnect = false
        }
        return DecodedPacket(packet: packet, end: header.end)
    }

    /// Refuses an unfinished packet that no further byte can mend.
    @inline(never)
    private mutating func lookAhead(
        _ bytes: Span<UInt8>, _ header: FixedHeader, _ reader: WireReader, from offset: Int
    ) throws(WireError) {
        let arrived = bytes.count - offset
        guard arrived >= nextLook else { return }
        var reader = reader
        do throws(WireError) {
            _ = try body(bytes, header, &reader)
        } catch {
            guard error.isIncomplete else { throw error }
        }
        nextLook = arrived < Self.eagerSize ? 0 : UInt32(clamping: 2 * arrived)
    }

    private func body(
        _ bytes: Span<UInt8>, _ header: FixedHeader, _ reader: inout WireReader
    ) throws(WireError) -> Packet {
        switch header.type {
        case .connect:
            return .connect(
                try Connect.decode(bytes, &reader, lengthIsShortest: header.lengthIsShortest))
        case .connAck: return .connAck(try ConnAck.decode(bytes, &reader))
        case .publish: return .publish(try Publish.decode(bytes, &reader, flags: header.flags))
        case .pubAck: return .pubAck(try Acknowledgement.decode(bytes, &reader, kind: .pubAck))
        case .pubRec: return .pubRec(try Acknowledgement.decode(bytes, &reader, kind: .pubRec))
        case .pubRel: return .pubRel(try Acknowledgement.decode(bytes, &reader, kind: .pubRel))
        case .pubComp: return .pubComp(try Acknowledgement.decode(bytes, &reader, kind: .pubComp))
        case .subscribe: return .subscribe(try Subscribe.decode(bytes, &reader))
        case .subAck: return .subAck(try SubAck.decode(bytes, &reader))
        case .unsubscribe: return .unsubscribe(try Unsubscribe.decode(bytes, &reader))
        case .unsubAck: return .unsubAck(try UnsubAck.decode(bytes, &reader))
        case .pingReq:
            try reader.expectEnd()
            return .pingReq
        case .pingResp:
            try reader.expectEnd()
            return .pingResp
        case .disconnect: return .disconnect(try Disconnect.decode(bytes, &reader))
        case .auth: return .auth(try Auth.decode(bytes, &reader))
        }
    }
}
