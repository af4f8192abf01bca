import MQTT

// The properties of a message as the store keeps them: the property list of an MQTT 5 PUBLISH
// (2.2.2), each with its identifier, without the length before them.
extension MessageProperties {
    func appendStored(to bytes: inout [UInt8]) {
        if payloadIsText {
            bytes.append(PropertyIdentifier.payloadFormatIndicator.rawValue)
            bytes.append(1)
        }
        if let messageExpiryInterval {
            bytes.append(PropertyIdentifier.messageExpiryInterval.rawValue)
            bytes.append(bigEndian: messageExpiryInterval)
        }
        let fields: [(PropertyIdentifier, [UInt8]?)] = [
            (.contentType, contentType), (.responseTopic, responseTopic),
            (.correlationData, correlationData),
        ]
        for case (let identifier, let value?) in fields {
            bytes.append(identifier.rawValue)
            bytes.append(field: value)
        }
        for property in userProperties {
            bytes.append(PropertyIdentifier.userProperty.rawValue)
            bytes.append(field: property.name)
            bytes.append(field: property.value)
        }
    }

    /// Reads what `appendStored` wrote; `nil` when the bytes are something else.
    init?(stored bytes: ArraySlice<UInt8>) {
        self.init()
        var reader = StoredFieldReader(rest: bytes)
        while let identifier = reader.byte() {
            switch PropertyIdentifier(rawValue: identifier) {
            case .payloadFormatIndicator?:
                guard let value = reader.byte() else { return nil }
                payloadIsText = value == 1
            case .messageExpiryInterval?:
                guard let value = reader.number(bytes: 4) else { return nil }
                messageExpiryInterval = UInt32(value)
            case .contentType?:
                guard let value = reader.field() else { return nil }
                contentType = value
            case .responseTopic?:
                guard let value = reader.field() else { return nil }
                responseTopic = value
            case .correlationData?:
                guard let value = reader.field() else { return nil }
                correlationData = value
            case .userProperty?:
                guard let name = reader.field(), let value = reader.field() else { return nil }
                userProperties.append(UserProperty(name: name, value: value))
            default:
                return nil
            }
        }
    }
}

private struct StoredFieldReader {
    var rest: ArraySlice<UInt8>

    mutating func byte() -> UInt8? { rest.popFirst() }

    mutating func number(bytes count: Int) -> Int? {
        guard rest.count >= count else { return nil }
        defer { rest.removeFirst(count) }
        return rest.prefix(count).reduce(0) { $0 << 8 | Int($1) }
    }

    mutating func field() -> [UInt8]? {
        guard let length = number(bytes: 2), rest.count >= length else { return nil }
        defer { rest.removeFirst(length) }
        return Array(rest.prefix(length))
    }
}

extension [UInt8] {
    /// A two-byte length and the bytes; a field of MQTT is never longer than that can say.
    fileprivate mutating func append(field: [UInt8]) {
        append(bigEndian: UInt16(clamping: field.count))
        append(contentsOf: field.prefix(Int(UInt16.max)))
    }
}
