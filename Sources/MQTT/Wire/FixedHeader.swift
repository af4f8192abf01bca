/// The first two to five bytes of a packet (2.2 of 3.1.1, 2.1 of 5.0).
struct FixedHeader {
    let type: PacketType
    /// The lower four bits of the first byte.
    let flags: UInt8
    /// The offset of the first byte behind the header.
    let bodyStart: Int
    /// The offset behind the packet.
    let end: Int
    /// Whether the length is in as few bytes as it takes.
    let lengthIsShortest: Bool
}

extension PacketDecoder {
    /// Reads and checks the fixed header at `offset`, where at least one byte is; `nil`: more bytes
    /// are needed.
    @inline(__always)
    func fixedHeader(_ bytes: Span<UInt8>, _ offset: Int) throws(WireError) -> FixedHeader? {
        let first = bytes[offset]
        let flags = first & 0x0F
        let type: PacketType
        if first >> 4 == PacketType.publish.rawValue && !awaitsConnect {
            type = .publish
            _ = try Publish.checkFlags(flags, version)
        } else {
            type = try checkedType(first)
        }
        var length = 0
        var shift = 0
        var position = offset &+ 1
        while true {
            guard position < bytes.count else { return nil }
            let byte = bytes[position]
            position &+= 1
            length |= Int(byte & 0x7F) << shift
            let isLast = byte & 0x80 == 0
            if !isLast && shift == 21 { throw .lengthTooLong }
            // What has arrived of the length may exceed the limit already.
            try checkSize(type, size: position &- offset &+ length)
            if isLast { break }
            shift &+= 7
        }
        let isShortest =
            position &- offset &- 1 == VariableByteInteger.encodedSize(of: length)
        if !isShortest && version == .v5_0 && type != .connect { throw .overlongInteger }
        return FixedHeader(
            type: type, flags: flags, bodyStart: position, end: position &+ length,
            lengthIsShortest: isShortest)
    }

    @inline(__always)
    private func checkSize(_ type: PacketType, size: Int) throws(WireError) {
        let maximum =
            type == .connect
            ? min(limits.maximumConnectSize, limits.maximumPacketSize) : limits.maximumPacketSize
        if size > maximum { throw tooLarge() }
    }

    @inline(never)
    private func tooLarge() -> WireError {
        WireError(
            reasonCode: .packetTooLarge,
            clause: receiver == .server ? "MQTT-3.2.2-15" : "MQTT-3.1.2-24",
            detail: "a packet larger than the receiver takes")
    }

    /// The type in the first byte, if this receiver may get it now, and its flags are as they must.
    @inline(never)
    private func checkedType(_ first: UInt8) throws(WireError) -> PacketType {
        let flags = first & 0x0F
        guard let type = PacketType(rawValue: first >> 4), type != .auth || version == .v5_0
        else {
            throw WireError(
                reasonCode: .malformedPacket, clause: version == .v5_0 ? "2.1.2" : "2.2.1",
                detail: "a packet type that the version reserves")
        }
        if awaitsConnect && type != .connect {
            throw WireError(
                reasonCode: .protocolError, clause: "MQTT-3.1.0-1",
                detail: "a first packet that is not CONNECT")
        }
        guard isForUs(type) else {
            throw WireError(
                reasonCode: .protocolError, clause: version == .v5_0 ? "2.1.2" : "2.2.1",
                detail: "a packet that goes in the other direction only")
        }
        if type == .publish {
            _ = try Publish.checkFlags(flags, version)
        } else if flags != type.fixedFlags {
            // 3.1 has DUP in the packets that have a fixed QoS of 1.
            let isDuplicateOf31 =
                version == .v3_1 && type.fixedFlags != 0 && flags == type.fixedFlags | 0x08
            if !isDuplicateOf31 { throw wrongFlags(type) }
        }
        return type
    }

    private func wrongFlags(_ type: PacketType) -> WireError {
        let clause: StaticString =
            switch type {
            case .pubRel: "MQTT-3.6.1-1"
            case .subscribe: "MQTT-3.8.1-1"
            case .unsubscribe: "MQTT-3.10.1-1"
            case .disconnect: "MQTT-3.14.1-1"
            case .auth: "MQTT-3.15.1-1"
            default: version == .v5_0 ? "MQTT-2.1.3-1" : "MQTT-2.2.2-2"
            }
        return WireError(
            reasonCode: .malformedPacket, clause: clause,
            detail: "reserved flags of the fixed header are not as they must be")
    }

    /// Whether the standard sends this packet in our direction.
    private func isForUs(_ type: PacketType) -> Bool {
        switch type {
        case .publish, .pubAck, .pubRec, .pubRel, .pubComp, .auth: true
        case .connect, .subscribe, .unsubscribe, .pingReq: receiver == .server
        case .connAck, .subAck, .unsubAck, .pingResp: receiver == .client
        case .disconnect: receiver == .server || version == .v5_0
        }
    }
}

extension WireError {
    fileprivate static let lengthTooLong = WireError(
        reasonCode: .malformedPacket, clause: "2.2.3",
        detail: "a remaining length of more than four bytes")
}
