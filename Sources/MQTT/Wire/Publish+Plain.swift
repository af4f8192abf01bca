extension Publish {
    /// A whole PUBLISH that breaks no rule, has a plain topic and no properties, as nearly all have.
    ///
    /// `nil` for any other bytes, which `PacketDecoder` then looks at rule by rule: this way only
    /// saves time (10 ns in place of 40), and its results are the same.
    @inline(__always)
    static func decodePlain(
        _ bytes: Span<UInt8>, from offset: Int, _ version: ProtocolVersion
    ) -> DecodedPacket? {
        let count = bytes.count
        guard count &- offset >= 5, bytes[offset] >> 4 == PacketType.publish.rawValue,
            let qos = QoS(rawValue: bytes[offset] >> 1 & 0b11)
        else { return nil }
        let flags = bytes[offset]
        if flags & 0b1110 == 0b1000 { return nil }
        var length = Int(bytes[offset &+ 1])
        var position = offset &+ 2
        if length >= 0x80 {
            let second = Int(bytes[position])
            guard 1..<0x80 ~= second else { return nil }
            length = length & 0x7F | second << 7
            position &+= 1
        }
        let end = position &+ length
        guard end <= count, end &- position >= 2 else { return nil }
        let topicCount = Int(bytes[position]) << 8 | Int(bytes[position &+ 1])
        position &+= 2
        let topic = position..<position &+ topicCount
        guard topicCount > 0, topic.upperBound <= end,
            TextScan.isPlain(bytes.extracting(topic))
        else { return nil }
        position = topic.upperBound
        var packetID: UInt16?
        if qos != .atMostOnce {
            guard end &- position >= 2 else { return nil }
            let value = UInt16(bytes[position]) << 8 | UInt16(bytes[position &+ 1])
            guard value != 0 else { return nil }
            packetID = value
            position &+= 2
        }
        if version == .v5_0 {
            guard position < end, bytes[position] == 0 else { return nil }
            position &+= 1
        }
        let publish = Publish(
            duplicate: flags & 0b1000 != 0, qos: qos, retain: flags & 1 != 0,
            topic: ByteRange(topic), packetID: packetID, payload: ByteRange(position..<end))
        return DecodedPacket(packet: .publish(publish), end: end)
    }
}
