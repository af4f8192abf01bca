/// Writes a configuration of ours, one line after the other.
struct TOMLWriter {
    private(set) var text = ""

    mutating func comment(_ line: String) { text += "# \(line)\n" }

    /// Begins a table, such as `[limits]` or `[[listener]]`.
    mutating func table(_ header: String) {
        if !text.isEmpty { text += "\n" }
        text += header + "\n"
    }

    /// Begins a table that belongs to the one above it.
    mutating func subtable(_ header: String) { text += header + "\n" }

    mutating func set(_ key: String, _ value: String) {
        text += "\(key) = \(Self.quoted(value))\n"
    }

    mutating func set(_ key: String, _ value: Int) { text += "\(key) = \(value)\n" }

    mutating func set(_ key: String, _ value: Bool) { text += "\(key) = \(value)\n" }

    mutating func set(_ key: String, _ values: [String]) {
        let items = values.map(Self.quoted)
        let line = "\(key) = [\(items.joined(separator: ", "))]"
        text +=
            line.count <= 100
            ? line + "\n"
            : "\(key) = [\n" + items.map { "    \($0),\n" }.joined() + "]\n"
    }

    /// A basic string; whatever could leave it is escaped.
    static func quoted(_ text: String) -> String {
        var result = "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": result += "\\\""
            case "\\": result += "\\\\"
            case _ where scalar.value < 0x20 || scalar.value == 0x7F:
                let hex = String(scalar.value, radix: 16)
                result += "\\u" + String(repeating: "0", count: 4 - hex.count) + hex
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result + "\""
    }
}
