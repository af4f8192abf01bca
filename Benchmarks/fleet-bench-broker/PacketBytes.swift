import MQTT

/// Packets that the generator sends, as bytes, made by hand: what it costs must not be what the
/// package's own coder costs.
enum PacketBytes {
    static func connect(_ target: Target, clientID: String, isPersistent: Bool) -> [UInt8] {
        var flags: UInt8 = isPersistent ? 0 : 0x02
        if target.user != nil { flags |= 0xC0 }
        var body = field("MQTT".utf8)
        body += [target.version.rawValue, flags, 0, 0]
        if target.version == .v5_0 {
            // Session Expiry Interval: a day, or none.
            body += isPersistent ? [5, 0x11, 0, 1, 0x51, 0x80] : [0]
        }
        body += field(clientID.utf8)
        if let user = target.user { body += field(user.utf8) + field(target.password) }
        return packet(0x10, body)
    }

    static func subscribe(
        _ filters: some Sequence<String>, qos: QoS, _ target: Target
    ) -> [UInt8] {
        var body: [UInt8] = [0, 1]
        if target.version == .v5_0 { body.append(0) }
        for filter in filters { body += field(filter.utf8) + [qos.rawValue] }
        return packet(0x82, body)
    }

    static func publish(
        _ topic: String, payload: [UInt8], qos: QoS = .atMostOnce, id: UInt16 = 0,
        retain: Bool = false, _ target: Target
    ) -> [UInt8] {
        var body = field(topic.utf8)
        if qos != .atMostOnce { body += [UInt8(id >> 8), UInt8(id & 255)] }
        if target.version == .v5_0 { body.append(0) }
        return packet(0x30 | qos.rawValue << 1 | (retain ? 1 : 0), body + payload)
    }

    static let disconnect: [UInt8] = [0xE0, 0]

    private static func field(_ bytes: some Collection<UInt8>) -> [UInt8] {
        [UInt8(bytes.count >> 8), UInt8(bytes.count & 255)] + bytes
    }

    private static func packet(_ first: UInt8, _ body: [UInt8]) -> [UInt8] {
        var bytes = [first]
        var rest = body.count
        while rest >= 0x80 {
            bytes.append(UInt8(rest & 0x7F) | 0x80)
            rest >>= 7
        }
        return bytes + [UInt8(rest)] + body
    }
}

/// A PUBLISH as it came, as far as the generator looks at it.
struct ReceivedPublish {
    let qos: UInt8
    let packetID: UInt16
    /// Where the payload begins; it ends with the packet.
    let payloadStart: Int

    /// `body` is what follows the fixed header, in `bytes`.
    @inline(__always)
    init(_ first: UInt8, _ body: Range<Int>, _ bytes: Span<UInt8>, _ version: ProtocolVersion) {
        qos = first >> 1 & 3
        var position = body.lowerBound &+ 2
        position &+= Int(bytes[position &- 2]) << 8 | Int(bytes[position &- 1])
        if qos == 0 {
            packetID = 0
        } else {
            packetID = UInt16(bytes[position]) << 8 | UInt16(bytes[position &+ 1])
            position &+= 2
        }
        // The load has no properties; a broker that adds some adds few.
        if version == .v5_0 { position &+= 1 &+ Int(bytes[position]) }
        payloadStart = position
    }
}
