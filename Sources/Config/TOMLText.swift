/// Writes values as TOML, for `--check-config` and error texts.
public enum TOMLText {
    /// A key, quoted only where it must be.
    static func key(_ key: String) -> String {
        let bare = key.utf8.allSatisfy { byte in
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "_"):
                true
            default: false
            }
        }
        return bare && !key.isEmpty ? key : string(key)
    }

    /// A basic string; control characters are escaped, so it stays on its line and in its terminal.
    public static func string(_ text: String) -> String {
        var result = "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": result += "\\\""
            case "\\": result += "\\\\"
            case "\n": result += "\\n"
            case "\t": result += "\\t"
            case "\r": result += "\\r"
            case _ where scalar.value < 0x20 || (0x7F...0x9F).contains(scalar.value):
                let hex = String(scalar.value, radix: 16, uppercase: true)
                result += "\\u" + String(repeating: "0", count: 4 - hex.count) + hex
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result + "\""
    }

    static func strings(_ texts: [String]) -> String {
        "[" + texts.map(string).joined(separator: ", ") + "]"
    }

    static func number(_ number: Double) -> String {
        if number.isNaN { return "nan" }
        return number.isInfinite ? (number < 0 ? "-inf" : "inf") : "\(number)"
    }

    /// Any value on one line.
    static func value(_ value: ConfigurationValue) -> String {
        switch value.content {
        case .string(let text): string(text)
        case .integer(let integer): "\(integer)"
        case .number(let number): self.number(number)
        case .boolean(let flag): "\(flag)"
        case .dateOrTime(let text): text
        case .array(let values): "[" + values.map(self.value).joined(separator: ", ") + "]"
        case .table(let table):
            "{ "
                + table.entries.map { "\(key($0.key)) = \(self.value($0.value))" }
                .joined(separator: ", ") + " }"
        }
    }
}
