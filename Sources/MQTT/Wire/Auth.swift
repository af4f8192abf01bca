/// AUTH (3.15): one step of an extended authentication; 5.0 only.
public struct Auth: Hashable, Sendable {
    /// `.success`, `.continueAuthentication` or `.reAuthenticate`.
    public var reasonCode: ReasonCode
    public var properties: Properties

    public init(reasonCode: ReasonCode = .success, properties: Properties = .none) {
        self.reasonCode = reasonCode
        self.properties = properties
    }

    /// An empty body stands for success without properties (3.15.2.1), though a packet that means
    /// anything names its method.
    static func decode(
        _ bytes: Span<UInt8>, _ reader: inout WireReader
    ) throws(WireError) -> Auth {
        guard !reader.isAtEnd else { return Auth() }
        let reasonCode = try reader.reasonCode(bytes, in: .auth, clause: "MQTT-3.15.2-1")
        let properties = try Properties.decode(bytes, &reader, in: .auth)
        if !properties.contains(.authenticationMethod) {
            throw WireError(
                reasonCode: .protocolError, clause: "3.15.2.2.2",
                detail: "AUTH without an authentication method")
        }
        try reader.expectEnd()
        return Auth(reasonCode: reasonCode, properties: properties)
    }

    /// Appends the packet in its shortest form; its ranges lie in `source`.
    public func encode(
        from source: Span<UInt8>, version: ProtocolVersion, into buffer: inout ByteBuffer
    ) {
        guard !properties.isEmpty || reasonCode != .success else {
            buffer.appendHeader(.auth, length: 0)
            return
        }
        buffer.appendHeader(.auth, length: 1 + properties.encodedSize(version))
        buffer.append(reasonCode.rawValue)
        properties.encode(from: source, version: version, into: &buffer)
    }
}
