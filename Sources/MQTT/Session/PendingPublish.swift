/// A message between `publish` and its end: its parts in one block of memory, ready to encode.
struct PendingPublish: Sendable {
    /// Topic name, encoded properties and payload, one behind the other.
    let bytes: [UInt8]
    let topic: ByteRange
    let properties: Properties
    let payload: ByteRange
    var qos: QoS
    var retain: Bool
    let token: UInt64
    var retainDropped = false
    var publishedAgain = false

    init(_ message: OutgoingMessage, token: UInt64) throws(PublishRefusal) {
        let writer = try Self.writer(message.properties)
        var bytes: [UInt8] = []
        bytes.reserveCapacity(message.topic.count + writer.bytes.count + message.payload.count)
        bytes.append(contentsOf: message.topic)
        topic = ByteRange(0..<bytes.count)
        properties = writer.append(to: &bytes)
        let start = bytes.count
        bytes.append(contentsOf: message.payload)
        payload = ByteRange(start..<bytes.count)
        self.bytes = bytes
        qos = message.qos
        retain = message.retain
        self.token = token
    }

    /// Bytes of the whole packet.
    func encodedSize(_ version: ProtocolVersion) -> Int {
        var body = 2 + topic.count + payload.count + (qos == .atMostOnce ? 0 : 2)
        if version == .v5_0 {
            body +=
                VariableByteInteger.encodedSize(of: properties.region.count)
                + properties.region.count
        }
        return 1 + VariableByteInteger.encodedSize(of: body) + body
    }

    /// Appends the packet to `output`.
    func encode(
        packetID: UInt16?, duplicate: Bool, version: ProtocolVersion, into output: inout ByteBuffer
    ) {
        let packet = Publish(
            duplicate: duplicate, qos: qos, retain: retain, topic: topic, packetID: packetID,
            properties: version == .v5_0 ? properties : .none, payload: payload)
        packet.encode(from: bytes.span, version: version, into: &output)
    }

    func outcome(_ result: PublishOutcome.Result) -> PublishOutcome {
        PublishOutcome(
            token: token, result: result, qos: qos, retainDropped: retainDropped,
            publishedAgain: publishedAgain)
    }

    private static func writer(
        _ properties: MessageProperties
    ) throws(PublishRefusal) -> PropertyWriter {
        var writer = PropertyWriter()
        guard properties.canBeEncoded else { throw .invalidProperty }
        properties.write(to: &writer)
        return writer
    }
}

extension MessageProperties {
    /// Whether every string is one of MQTT's and fits its two length bytes (1.5.4).
    var canBeEncoded: Bool {
        var strings = [contentType, responseTopic].compactMap { $0 }
        for property in userProperties { strings += [property.name, property.value] }
        // [MQTT-3.3.2-14]
        if let responseTopic, !isTopicName(responseTopic) { return false }
        return strings.allSatisfy { isMQTTString($0) }
            && (correlationData?.count ?? 0) <= WireLimits.longestString
    }

    /// Adds them in the order of their identifiers; `canBeEncoded` was asked before.
    func write(to writer: inout PropertyWriter) {
        if payloadIsText { writer.add(.payloadFormatIndicator, uint8: 1) }
        if let messageExpiryInterval {
            writer.add(.messageExpiryInterval, uint32: messageExpiryInterval)
        }
        if let contentType { writer.add(.contentType, bytes: contentType.span) }
        if let responseTopic { writer.add(.responseTopic, bytes: responseTopic.span) }
        if let correlationData { writer.add(.correlationData, bytes: correlationData.span) }
        for property in userProperties {
            writer.addUserProperty(name: property.name.span, value: property.value.span)
        }
    }

    /// Copies what a PUBLISH carried out of the bytes it was decoded from.
    init(_ properties: Properties, in source: Span<UInt8>) {
        guard !properties.isEmpty else { return }
        var iterator = properties.makeIterator()
        while let property = iterator.next(in: source) {
            switch (property.identifier, property.value) {
            case (.payloadFormatIndicator, .integer(let value)): payloadIsText = value == 1
            case (.messageExpiryInterval, .integer(let value)): messageExpiryInterval = value
            case (.contentType, .bytes(let range)): contentType = Array(source, range)
            case (.responseTopic, .bytes(let range)): responseTopic = Array(source, range)
            case (.correlationData, .bytes(let range)): correlationData = Array(source, range)
            case (.userProperty, .pair(let name, let value)):
                userProperties.append(
                    UserProperty(name: Array(source, name), value: Array(source, value)))
            default: break  // Subscription identifiers are not asked for.
            }
        }
    }
}

/// Whether the bytes are a UTF-8 string as MQTT has it: well-formed, no U+0000, at most 65,535 bytes
/// [MQTT-1.5.4-1] [MQTT-1.5.4-2].
func isMQTTString(_ bytes: [UInt8]) -> Bool {
    let scan = TextScan(bytes.span)
    return bytes.count <= WireLimits.longestString && !scan.contains(.null)
        && (!scan.contains(.beyondASCII) || TextScan.isWellFormed(bytes.span))
}

/// Whether the bytes are a topic name that may be published to. How many levels a topic may have is
/// the server's business.
func isTopicName(_ topic: [UInt8]) -> Bool {
    guard isMQTTString(topic) else { return false }
    do throws(TopicError) {
        try TopicName.validate(topic.span, limits: .client)
        return true
    } catch {
        return false
    }
}

extension TopicLimits {
    /// A client leaves limits to the server.
    static let client = TopicLimits(maximumLevels: .max, maximumWildcardFilters: .max)
}

extension [UInt8] {
    /// Copies a range of the bytes that a packet was decoded from.
    init(_ source: Span<UInt8>, _ range: ByteRange) {
        self.init(copying: source.extracting(range.range))
    }
}
