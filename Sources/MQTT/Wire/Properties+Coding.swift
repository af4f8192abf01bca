extension Properties {
    /// Reads the length and the properties behind it, and checks each.
    ///
    /// A property that is not defined, or not for this packet, is a malformed packet (2.2.2.2); one
    /// that comes twice, or with a value out of its range, a protocol error.
    @inline(__always)
    static func decode(
        _ bytes: Span<UInt8>, _ reader: inout WireReader, in scope: PropertyScope
    ) throws(WireError) -> Properties {
        guard reader.version == .v5_0 else { return .none }
        if reader.limit > reader.position && bytes[reader.position] == 0 {
            reader.position &+= 1
            return .none
        }
        return try decodeSome(bytes, &reader, in: scope)
    }

    @inline(never)
    private static func decodeSome(
        _ bytes: Span<UInt8>, _ reader: inout WireReader, in scope: PropertyScope
    ) throws(WireError) -> Properties {
        let length = try reader.variableByteInteger(bytes)
        let outer = try reader.enter(length)
        let start = reader.position
        var present: UInt64 = 0
        var repeated = 0
        while !reader.isAtEnd {
            let identifier = try decodeOne(bytes, &reader, in: scope)
            let bit: UInt64 = 1 << UInt64(identifier.rawValue)
            let mayRepeat =
                identifier == .userProperty
                || identifier == .subscriptionIdentifier && scope == .publish
            if mayRepeat {
                repeated += 1
                if repeated > reader.limits.maximumProperties { throw .tooManyProperties }
            } else if present & bit != 0 {
                throw .duplicateProperty
            }
            present |= bit
        }
        let region = ByteRange(lowerBound: start, upperBound: reader.position)
        reader.leave(outer)
        return Properties(region: region, present: present)
    }

    private static func decodeOne(
        _ bytes: Span<UInt8>, _ reader: inout WireReader, in scope: PropertyScope
    ) throws(WireError) -> PropertyIdentifier {
        guard let identifier = PropertyIdentifier(rawValue: try reader.uint8(bytes)) else {
            throw .unknownProperty
        }
        guard identifier.scopes.contains(scope) else { throw .misplacedProperty }
        try identifier.checkDirection(scope, reader.receiver)
        var isZero = false
        switch identifier.valueType {
        case .flag:
            guard try reader.uint8(bytes) <= 1 else { throw .propertyOutOfRange }
        case .uint16: isZero = try reader.uint16(bytes) == 0
        case .uint32: isZero = try reader.uint32(bytes) == 0
        case .variableByteInteger: isZero = try reader.variableByteInteger(bytes) == 0
        case .string: _ = try reader.string(bytes)
        case .topicName: try checkResponseTopic(bytes, &reader)
        case .binary: _ = try reader.binary(bytes)
        case .stringPair:
            _ = try reader.string(bytes)
            _ = try reader.string(bytes)
        }
        if isZero && identifier.mustNotBeZero {
            throw identifier == .topicAlias ? .zeroTopicAlias : .propertyOutOfRange
        }
        return identifier
    }

    private static func checkResponseTopic(
        _ bytes: Span<UInt8>, _ reader: inout WireReader
    ) throws(WireError) {
        let topic = try reader.string(bytes)
        guard !topic.isEmpty else { throw .emptyTopic }
        if TextScan(bytes.extracting(topic.range)).contains(.wildcard) {
            throw WireError(
                reasonCode: .malformedPacket, clause: "MQTT-3.3.2-14",
                detail: "a wildcard in a response topic")
        }
    }

    /// Bytes on the wire, the length before them included.
    func encodedSize(_ version: ProtocolVersion) -> Int {
        guard version == .v5_0 else { return 0 }
        return VariableByteInteger.encodedSize(of: region.count) + region.count
    }

    /// Appends the length and the properties; nothing for 3.x.
    func encode(
        from source: Span<UInt8>, version: ProtocolVersion, into buffer: inout ByteBuffer
    ) {
        guard version == .v5_0 else { return }
        buffer.append(variableByteInteger: region.count)
        buffer.append(source.extracting(region.range))
    }
}

extension PropertyIdentifier {
    /// The two properties that a packet may carry in one direction only.
    fileprivate func checkDirection(
        _ scope: PropertyScope, _ receiver: PacketDecoder.Receiver
    ) throws(WireError) {
        if self == .subscriptionIdentifier && scope == .publish && receiver == .server {
            throw WireError(
                reasonCode: .protocolError, clause: "MQTT-3.3.4-6",
                detail: "a subscription identifier in a client's PUBLISH")
        }
        if self == .sessionExpiryInterval && scope == .disconnect && receiver == .client {
            throw WireError(
                reasonCode: .protocolError, clause: "MQTT-3.14.2-2",
                detail: "a session expiry interval in a server's DISCONNECT")
        }
    }
}

extension WireError {
    fileprivate static let unknownProperty = WireError(
        reasonCode: .malformedPacket, clause: "2.2.2.2",
        detail: "a property identifier that is not defined")
    fileprivate static let misplacedProperty = WireError(
        reasonCode: .malformedPacket, clause: "2.2.2.2",
        detail: "a property that is not for this packet")
    fileprivate static let duplicateProperty = WireError(
        reasonCode: .protocolError, clause: "2.2.2.2",
        detail: "a property that may come once comes twice")
    fileprivate static let propertyOutOfRange = WireError(
        reasonCode: .protocolError, clause: "2.2.2.2",
        detail: "a property value that the standard does not allow")
    fileprivate static let zeroTopicAlias = WireError(
        reasonCode: .topicAliasInvalid, clause: "MQTT-3.3.2-8", detail: "a topic alias of 0")
    fileprivate static let tooManyProperties = WireError(
        reasonCode: .quotaExceeded, clause: "4.13",
        detail: "more properties than this implementation takes")
}
