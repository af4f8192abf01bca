/// PUBLISH (3.3): one application message.
public struct Publish: Hashable, Sendable {
    /// DUP: the sender may have sent it before.
    public var duplicate: Bool
    public var qos: QoS
    public var retain: Bool
    /// Empty only in 5.0, with a topic alias.
    public var topic: ByteRange
    /// There for QoS 1 and 2, and not 0 then.
    public var packetID: UInt16?
    public var properties: Properties
    public var payload: ByteRange

    public init(
        duplicate: Bool = false, qos: QoS, retain: Bool = false, topic: ByteRange,
        packetID: UInt16? = nil, properties: Properties = .none, payload: ByteRange
    ) {
        self.duplicate = duplicate
        self.qos = qos
        self.retain = retain
        self.topic = topic
        self.packetID = packetID
        self.properties = properties
        self.payload = payload
    }

    /// Checks the lower four bits of the first byte; returns the QoS.
    @inline(__always)
    static func checkFlags(_ flags: UInt8, _ version: ProtocolVersion) throws(WireError) -> QoS {
        guard let qos = QoS(rawValue: flags >> 1 & 0b11) else { throw .qos3 }
        // [MQTT-3.3.1-2]; 3.1 says nothing of it.
        if flags & 0b1110 == 0b1000 && version != .v3_1 { throw .duplicateAtQoS0 }
        return qos
    }

    static func decode(
        _ bytes: Span<UInt8>, _ reader: inout WireReader, flags: UInt8
    ) throws(WireError) -> Publish {
        let qos = try checkFlags(flags, reader.version)
        let topic = try reader.topicName(bytes, mayBeEmpty: reader.version == .v5_0)
        var packetID: UInt16?
        if qos != .atMostOnce {
            packetID = try reader.packetID(bytes, v5: "MQTT-2.2.1-3")
        }
        let properties = try Properties.decode(bytes, &reader, in: .publish)
        if topic.isEmpty && !properties.contains(.topicAlias) {
            throw WireError(
                reasonCode: .protocolError, clause: "3.3.2.1",
                detail: "neither a topic nor a topic alias")
        }
        let start = reader.position
        try reader.need(reader.remaining)
        reader.position = reader.end
        return Publish(
            duplicate: flags & 0b1000 != 0, qos: qos, retain: flags & 1 != 0, topic: topic,
            packetID: packetID, properties: properties,
            payload: ByteRange(start..<reader.end))
    }

    /// Appends the packet; its ranges lie in `source`.
    public func encode(
        from source: Span<UInt8>, version: ProtocolVersion, into buffer: inout ByteBuffer
    ) {
        encodeHead(
            topic: source.extracting(topic.range),
            properties: source.extracting(properties.region.range), payloadCount: payload.count,
            version: version, into: &buffer)
        buffer.append(source.extracting(payload.range))
    }

    /// Appends everything before the payload; the topic and the properties may come from different
    /// places than `topic` and `properties` say, and `payloadCount` bytes must follow.
    public func encodeHead(
        topic: Span<UInt8>, properties: Span<UInt8>, payloadCount: Int,
        version: ProtocolVersion, into buffer: inout ByteBuffer
    ) {
        encodeStart(
            topic: topic, propertiesCount: properties.count, payloadCount: payloadCount,
            version: version, into: &buffer)
        if version == .v5_0 { buffer.append(properties) }
    }

    /// Appends everything before the properties, with their length; in 5.0 `propertiesCount` bytes of
    /// them must follow, and then `payloadCount` bytes.
    public func encodeStart(
        topic: Span<UInt8>, propertiesCount: Int, payloadCount: Int,
        version: ProtocolVersion, into buffer: inout ByteBuffer
    ) {
        precondition(topic.count <= WireLimits.longestString, "a topic too long to encode")
        var length = 2 + topic.count + payloadCount
        if packetID != nil { length += 2 }
        if version == .v5_0 {
            length += VariableByteInteger.encodedSize(of: propertiesCount) + propertiesCount
        }
        var flags = qos.rawValue << 1
        if duplicate { flags |= 0b1000 }
        if retain { flags |= 0b0001 }
        buffer.reserve(5 + length)
        buffer.appendHeader(.publish, flags: flags, length: length)
        buffer.append(bigEndian: UInt16(topic.count))
        buffer.append(topic)
        if let packetID { buffer.append(bigEndian: packetID) }
        if version == .v5_0 { buffer.append(variableByteInteger: propertiesCount) }
    }
}

extension WireError {
    fileprivate static let qos3 = WireError(
        reasonCode: .malformedPacket, clause: "MQTT-3.3.1-4", detail: "PUBLISH with QoS 3")
    fileprivate static let duplicateAtQoS0 = WireError(
        reasonCode: .malformedPacket, clause: "MQTT-3.3.1-2", detail: "PUBLISH with DUP at QoS 0")
}
