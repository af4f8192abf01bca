extension JSONValue {
    /// The value as compact JSON in UTF-8.
    public func encoded() -> [UInt8] {
        var bytes: [UInt8] = []
        encode(into: &bytes)
        return bytes
    }

    /// Appends the value as compact JSON in UTF-8.
    ///
    /// Numbers are the shortest text that reads back as the same `Double`.
    public func encode(into bytes: inout [UInt8]) {
        switch self {
        case .null: bytes.append(ascii: "null")
        case .bool(let value): bytes.append(ascii: value ? "true" : "false")
        case .integer(let value): bytes.append(contentsOf: String(value).utf8)
        case .number(let value):
            if value.isFinite {
                bytes.append(contentsOf: value.description.utf8)
            } else {
                bytes.append(ascii: "null")
            }
        case .string(let text): bytes.append(quoted: text)
        case .array(let values):
            bytes.append(UInt8(ascii: "["))
            for (index, value) in values.enumerated() {
                if index > 0 { bytes.append(UInt8(ascii: ",")) }
                value.encode(into: &bytes)
            }
            bytes.append(UInt8(ascii: "]"))
        case .object(let object):
            bytes.append(UInt8(ascii: "{"))
            for (index, member) in object.members.enumerated() {
                if index > 0 { bytes.append(UInt8(ascii: ",")) }
                bytes.append(quoted: member.name)
                bytes.append(UInt8(ascii: ":"))
                member.value.encode(into: &bytes)
            }
            bytes.append(UInt8(ascii: "}"))
        }
    }
}

extension [UInt8] {
    fileprivate mutating func append(ascii text: StaticString) {
        append(contentsOf: text.description.utf8)
    }

    /// A JSON string: quotation mark, backslash and control characters escaped (RFC 8259, 7).
    fileprivate mutating func append(quoted text: String) {
        append(UInt8(ascii: "\""))
        for byte in text.utf8 {
            switch byte {
            case UInt8(ascii: "\""): append(ascii: "\\\"")
            case UInt8(ascii: "\\"): append(ascii: "\\\\")
            case 0x08: append(ascii: "\\b")
            case 0x09: append(ascii: "\\t")
            case 0x0A: append(ascii: "\\n")
            case 0x0C: append(ascii: "\\f")
            case 0x0D: append(ascii: "\\r")
            case 0x00...0x1F, 0x7F:
                append(ascii: "\\u00")
                append(Self.hexadecimalDigit(byte >> 4))
                append(Self.hexadecimalDigit(byte & 0xF))
            default: append(byte)
            }
        }
        append(UInt8(ascii: "\""))
    }

    private static func hexadecimalDigit(_ value: UInt8) -> UInt8 {
        value < 10 ? UInt8(ascii: "0") + value : UInt8(ascii: "a") + value - 10
    }
}
