/// CONNECT (3.1): a client introduces itself.
public struct Connect: Hashable, Sendable {
    public var version: ProtocolVersion
    /// The highest bit of the protocol level, which bridges of 3.x set (Mosquitto's convention).
    public var isBridge: Bool
    /// Clean Start; Clean Session in 3.x.
    public var cleanStart: Bool
    /// Seconds; 0 turns it off.
    public var keepAlive: UInt16
    /// Empty: the server chooses one.
    public var clientID: ByteRange
    public var properties: Properties
    public var will: Will?
    public var username: ByteRange?
    public var password: ByteRange?

    public init(
        version: ProtocolVersion, isBridge: Bool = false, cleanStart: Bool = true,
        keepAlive: UInt16 = 0, clientID: ByteRange, properties: Properties = .none,
        will: Will? = nil, username: ByteRange? = nil, password: ByteRange? = nil
    ) {
        self.version = version
        self.isBridge = isBridge
        self.cleanStart = cleanStart
        self.keepAlive = keepAlive
        self.clientID = clientID
        self.properties = properties
        self.will = will
        self.username = username
        self.password = password
    }

    /// The connect flags (3.1.2.3).
    struct Flags: OptionSet {
        let rawValue: UInt8
        static let reserved = Flags(rawValue: 0x01)
        static let cleanStart = Flags(rawValue: 0x02)
        static let will = Flags(rawValue: 0x04)
        static let willRetain = Flags(rawValue: 0x20)
        static let password = Flags(rawValue: 0x40)
        static let username = Flags(rawValue: 0x80)

        /// The two bits of the will's QoS.
        var willQoS: UInt8 { rawValue >> 3 & 0b11 }
    }
}

// MARK: - Decoding

extension Connect {
    static func decode(
        _ bytes: Span<UInt8>, _ reader: inout WireReader, lengthIsShortest: Bool
    ) throws(WireError) -> Connect {
        let (version, isBridge) = try decodeProtocol(bytes, &reader)
        reader.version = version
        // Only now is it known whether the fixed header had to be as short as it can.
        if version == .v5_0 && !lengthIsShortest { throw .overlongInteger }
        let flags = Flags(rawValue: try reader.uint8(bytes))
        try check(flags, reader)
        let keepAlive = try reader.uint16(bytes)
        let properties = try Properties.decode(bytes, &reader, in: .connect)
        if properties.contains(.authenticationData) && !properties.contains(.authenticationMethod) {
            throw .authenticationWithoutMethod
        }
        let clientID = try identifier(bytes, &reader)
        try check(clientID, flags, reader)
        var connect = Connect(
            version: version, isBridge: isBridge, cleanStart: flags.contains(.cleanStart),
            keepAlive: keepAlive, clientID: clientID, properties: properties)
        if flags.contains(.will) { connect.will = try Will.decode(bytes, &reader, flags) }
        // 3.1: a flag whose string is missing at the end counts as not set (3.1, CONNECT).
        let isLenient = version == .v3_1
        if flags.contains(.username) && !(isLenient && reader.isAtEnd) {
            connect.username = try reader.string(bytes)
        }
        if flags.contains(.password) && !(isLenient && reader.isAtEnd) {
            connect.password = try reader.binary(bytes)
        }
        try reader.expectEnd()
        return connect
    }

    private static func identifier(
        _ bytes: Span<UInt8>, _ reader: inout WireReader
    ) throws(WireError) -> ByteRange {
        do throws(WireError) {
            return try reader.string(bytes)
        } catch {
            throw error.isPastEnd ? .withoutClientIdentifier : error
        }
    }

    /// Reads the protocol's name and level: `MQIsdp` 3, `MQTT` 4 or 5. [MQTT-3.1.2-1] [MQTT-3.1.2-2]
    private static func decodeProtocol(
        _ bytes: Span<UInt8>, _ reader: inout WireReader
    ) throws(WireError) -> (ProtocolVersion, isBridge: Bool) {
        let name: StaticString
        switch try reader.uint16(bytes) {
        case 4: name = "MQTT"
        case 6: name = "MQIsdp"
        default: throw .unknownProtocolName
        }
        for expected in name.description.utf8 {
            guard try reader.uint8(bytes) == expected else { throw .unknownProtocolName }
        }
        let level = try reader.uint8(bytes)
        switch (name.description, level) {
        case ("MQIsdp", 0x03), ("MQIsdp", 0x83): return (.v3_1, level >= 0x80)
        case ("MQTT", 0x04), ("MQTT", 0x84): return (.v3_1_1, level >= 0x80)
        case ("MQTT", 0x05): return (.v5_0, false)
        default:
            throw WireError(
                reasonCode: .unsupportedProtocolVersion, clause: "MQTT-3.1.2-2",
                detail: "a protocol version other than 3.1, 3.1.1 and 5.0")
        }
    }

    private static func check(_ flags: Flags, _ reader: WireReader) throws(WireError) {
        // 3.1 has that bit unused, and asks nothing of it.
        if flags.contains(.reserved) && reader.version != .v3_1 {
            throw WireError(
                reasonCode: .malformedPacket, clause: "MQTT-3.1.2-3",
                detail: "the reserved connect flag is set")
        }
        if flags.contains(.will) {
            if flags.willQoS == 3 {
                throw reader.fault(
                    .malformedPacket, v3: "MQTT-3.1.2-14", v5: "MQTT-3.1.2-12", "a will QoS of 3")
            }
        } else if reader.version != .v3_1 {
            // 3.1 has the receiver disregard both.
            if flags.willQoS != 0 {
                throw reader.fault(
                    .malformedPacket, v3: "MQTT-3.1.2-13", v5: "MQTT-3.1.2-11",
                    "a will QoS without a will")
            }
            if flags.contains(.willRetain) {
                throw reader.fault(
                    .malformedPacket, v3: "MQTT-3.1.2-15", v5: "MQTT-3.1.2-13",
                    "will retain without a will")
            }
        }
        if reader.version != .v5_0 && flags.contains(.password) && !flags.contains(.username) {
            throw WireError(
                reasonCode: .malformedPacket, clause: "MQTT-3.1.2-22",
                detail: "a password without a user name")
        }
    }

    private static func check(
        _ clientID: ByteRange, _ flags: Flags, _ reader: WireReader
    ) throws(WireError) {
        switch reader.version {
        case .v3_1:
            // Its text ends at 23 characters; clients call themselves longer names, and brokers take them.
            if clientID.isEmpty {
                throw WireError(
                    reasonCode: .clientIdentifierNotValid, clause: "MQTT 3.1, CONNECT",
                    detail: "no client identifier")
            }
        case .v3_1_1:
            if clientID.isEmpty && !flags.contains(.cleanStart) {
                throw WireError(
                    reasonCode: .clientIdentifierNotValid, clause: "MQTT-3.1.3-8",
                    detail: "no client identifier for a session that is to be kept")
            }
        case .v5_0: break
        }
    }
}

// MARK: - Encoding

extension Connect {
    private var flags: Flags {
        var flags: Flags = []
        if cleanStart { flags.insert(.cleanStart) }
        if let will {
            flags.insert(.will)
            flags.insert(Flags(rawValue: will.qos.rawValue << 3))
            if will.retain { flags.insert(.willRetain) }
        }
        if username != nil { flags.insert(.username) }
        if password != nil { flags.insert(.password) }
        return flags
    }

    /// Appends the packet; its ranges lie in `source`, and its own `version` decides the form.
    public func encode(from source: Span<UInt8>, into buffer: inout ByteBuffer) {
        let name: StaticString = version == .v3_1 ? "MQIsdp" : "MQTT"
        var length = 2 + name.utf8CodeUnitCount + 4 + properties.encodedSize(version)
        length += 2 + clientID.count
        if let will { length += will.encodedSize(version) }
        if let username { length += 2 + username.count }
        if let password { length += 2 + password.count }
        buffer.reserve(5 + length)
        buffer.appendHeader(.connect, length: length)
        buffer.append(bigEndian: UInt16(name.utf8CodeUnitCount))
        for byte in name.description.utf8 { buffer.append(byte) }
        buffer.append(version.rawValue | (isBridge ? 0x80 : 0))
        buffer.append(flags.rawValue)
        buffer.append(bigEndian: keepAlive)
        properties.encode(from: source, version: version, into: &buffer)
        buffer.appendField(source.extracting(clientID.range))
        will?.encode(from: source, version: version, into: &buffer)
        if let username { buffer.appendField(source.extracting(username.range)) }
        if let password { buffer.appendField(source.extracting(password.range)) }
    }
}

extension WireError {
    fileprivate static let unknownProtocolName = WireError(
        reasonCode: .unsupportedProtocolVersion, clause: "MQTT-3.1.2-1",
        detail: "a protocol name other than MQTT and MQIsdp")
    fileprivate static let withoutClientIdentifier = WireError(
        reasonCode: .malformedPacket, clause: "MQTT-3.1.3-3",
        detail: "a CONNECT that ends before its client identifier does")
    static let authenticationWithoutMethod = WireError(
        reasonCode: .protocolError, clause: "3.1.2.11.10",
        detail: "authentication data without a method")
}
