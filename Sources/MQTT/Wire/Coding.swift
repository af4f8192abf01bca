extension ByteBuffer {
    /// Appends a fixed header.
    mutating func appendHeader(_ type: PacketType, flags: UInt8? = nil, length: Int) {
        append(type.rawValue << 4 | (flags ?? type.fixedFlags))
        append(variableByteInteger: length)
    }

    /// Appends a string or binary data with its two length bytes.
    mutating func appendField(_ bytes: Span<UInt8>) {
        precondition(bytes.count <= WireLimits.longestString, "too long for two length bytes")
        append(bigEndian: UInt16(bytes.count))
        append(bytes)
    }
}

extension WireReader {
    /// A packet identifier, which is never 0; `v5` is the clause of 5.0.
    @inline(__always)
    mutating func packetID(
        _ bytes: Span<UInt8>, v5: StaticString
    ) throws(WireError) -> UInt16 {
        let packetID = try uint16(bytes)
        if packetID == 0 {
            throw fault(
                .protocolError, v3: "MQTT-2.3.1-1", v5: v5, "a packet identifier of 0")
        }
        return packetID
    }

    /// A reason code that 5.0 allows in this packet; `clause` says so.
    mutating func reasonCode(
        _ bytes: Span<UInt8>, in type: PacketType, clause: StaticString
    ) throws(WireError) -> ReasonCode {
        let code = ReasonCode(rawValue: try uint8(bytes))
        guard code.isAllowed(in: type) else {
            throw WireError(
                reasonCode: .protocolError, clause: clause,
                detail: "a reason code that the packet cannot carry")
        }
        return code
    }
}
