import FleetModel

extension LogLine {
    /// One JSON object: `time`, `level`, `message`, then the fields, numbers and switches as such.
    ///
    /// Valid whatever text the fields hold: what is not UTF-8 was replaced by U+FFFD when it became a
    /// `String`, and what could make a terminal lie is escaped.
    static func json(
        _ time: Timestamp, _ level: LogLevel, _ message: String,
        _ fields: KeyValuePairs<String, any CustomStringConvertible>
    ) -> String {
        var line = "{\"time\":\"\(time)\",\"level\":\"\(level.rawValue)\",\"message\":"
        line += jsonString(message)
        for (key, value) in fields { line += ",\(jsonString(name(key))):\(jsonValue(value))" }
        return line + "}"
    }

    /// An object has each name once.
    private static func name(_ key: String) -> String {
        ["time", "level", "message"].contains(key) ? key + "_" : key
    }

    private static func jsonValue(_ value: any CustomStringConvertible) -> String {
        switch value {
        case let number as any BinaryInteger: "\(number)"
        case let bool as Bool: "\(bool)"
        default: jsonString(cut("\(value)"))
        }
    }

    private static func jsonString(_ text: String) -> String {
        var result = "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": result += "\\\""
            case "\\": result += "\\\\"
            case "\n": result += "\\n"
            case "\r": result += "\\r"
            case "\t": result += "\\t"
            case _ where isControl(scalar): result += "\\u" + fourDigits(scalar.value)
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result + "\""
    }

    /// Of a code point below U+10000, which all control characters are.
    private static func fourDigits(_ value: UInt32) -> String {
        let digits = String(value, radix: 16)
        return String(repeating: "0", count: 4 - digits.count) + digits
    }
}
