/// CONNACK (3.2): the server's answer to CONNECT.
public struct ConnAck: Hashable, Sendable {
    public var sessionPresent: Bool
    /// In 3.x the return code, 0 to 5, as its raw value.
    public var reasonCode: ReasonCode
    public var properties: Properties

    public init(
        sessionPresent: Bool, reasonCode: ReasonCode, properties: Properties = .none
    ) {
        self.sessionPresent = sessionPresent
        self.reasonCode = reasonCode
        self.properties = properties
    }

    static func decode(
        _ bytes: Span<UInt8>, _ reader: inout WireReader
    ) throws(WireError) -> ConnAck {
        // 3.1 reserves the first byte, and asks nothing of it.
        let flags = try reader.uint8(bytes) & (reader.version == .v3_1 ? 0 : 0xFF)
        if flags > 1 {
            throw reader.fault(
                .malformedPacket, v3: "3.2.2.1", v5: "MQTT-3.2.2-1",
                "reserved bits of the connect acknowledge flags are set")
        }
        var packet = ConnAck(sessionPresent: flags == 1, reasonCode: .success)
        if reader.version == .v5_0 {
            packet.reasonCode = try reader.reasonCode(
                bytes, in: .connAck, clause: "MQTT-3.2.2-8")
        } else {
            packet.reasonCode = ReasonCode(rawValue: try reader.uint8(bytes))
            if packet.reasonCode.rawValue > 5 {
                throw WireError(
                    reasonCode: .protocolError, clause: "3.2.2.3",
                    detail: "a connect return code that is not defined")
            }
        }
        if packet.sessionPresent && packet.reasonCode != .success {
            throw reader.fault(
                .protocolError, v3: "MQTT-3.2.2-4", v5: "MQTT-3.2.2-6",
                "a session with a connection that was refused")
        }
        packet.properties = try Properties.decode(bytes, &reader, in: .connAck)
        try reader.expectEnd()
        return packet
    }

    /// Appends the packet; its ranges lie in `source`.
    public func encode(
        from source: Span<UInt8>, version: ProtocolVersion, into buffer: inout ByteBuffer
    ) {
        buffer.appendHeader(.connAck, length: 2 + properties.encodedSize(version))
        buffer.append(sessionPresent && version != .v3_1 ? 1 : 0)
        buffer.append(reasonCode.rawValue)
        properties.encode(from: source, version: version, into: &buffer)
    }
}

extension ConnAck {
    /// What the first byte of the answer says to a client of `version`.
    ///
    /// `nil` where 3.x has no code for it: the connection is closed without CONNACK [MQTT-3.2.2-6].
    public static func returnCode(for reason: ReasonCode, version: ProtocolVersion) -> UInt8? {
        guard version != .v5_0 else { return reason.rawValue }
        switch reason {
        case .success: return 0
        case .unsupportedProtocolVersion: return 1
        case .clientIdentifierNotValid: return 2
        case .serverUnavailable, .serverBusy, .serverShuttingDown, .quotaExceeded,
            .connectionRateExceeded, .useAnotherServer, .serverMoved:
            return 3
        case .badUserNameOrPassword, .badAuthenticationMethod: return 4
        case .notAuthorized, .banned: return 5
        default: return nil
        }
    }

    /// The reason code that says what a return code of 3.x says.
    public static func reasonCode(forReturnCode code: UInt8) -> ReasonCode {
        switch code {
        case 0: .success
        case 1: .unsupportedProtocolVersion
        case 2: .clientIdentifierNotValid
        case 3: .serverUnavailable
        case 4: .badUserNameOrPassword
        case 5: .notAuthorized
        default: .unspecifiedError
        }
    }
}
