/// The message in CONNECT that the server publishes when the client is lost (3.1.2.5).
public struct Will: Hashable, Sendable {
    public var qos: QoS
    public var retain: Bool
    public var topic: ByteRange
    public var payload: ByteRange
    public var properties: Properties

    public init(
        qos: QoS = .atMostOnce, retain: Bool = false, topic: ByteRange, payload: ByteRange,
        properties: Properties = .none
    ) {
        self.qos = qos
        self.retain = retain
        self.topic = topic
        self.payload = payload
        self.properties = properties
    }

    /// Reads properties, topic and payload; the flags were checked before.
    static func decode(
        _ bytes: Span<UInt8>, _ reader: inout WireReader, _ flags: Connect.Flags
    ) throws(WireError) -> Will {
        let properties = try Properties.decode(bytes, &reader, in: .will)
        let topic = try reader.topicName(bytes, mayBeEmpty: false)
        let payload = try reader.binary(bytes)
        return Will(
            qos: QoS(rawValue: flags.willQoS) ?? .atMostOnce,
            retain: flags.contains(.willRetain), topic: topic, payload: payload,
            properties: properties)
    }

    /// Bytes on the wire.
    func encodedSize(_ version: ProtocolVersion) -> Int {
        properties.encodedSize(version) + 2 + topic.count + 2 + payload.count
    }

    func encode(
        from source: Span<UInt8>, version: ProtocolVersion, into buffer: inout ByteBuffer
    ) {
        properties.encode(from: source, version: version, into: &buffer)
        buffer.appendField(source.extracting(topic.range))
        buffer.appendField(source.extracting(payload.range))
    }
}
