/// How urgent a log line is.
public enum LogLevel: String, CaseIterable, Comparable, Sendable {
    case debug
    case info
    /// Normal, and worth knowing: started, stopped, reloaded.
    case notice
    case warning
    case error

    /// The number that journald and syslog(3) use; lower is more urgent.
    var priority: Int {
        switch self {
        case .debug: 7
        case .info: 6
        case .notice: 5
        case .warning: 4
        case .error: 3
        }
    }

    public static func < (left: LogLevel, right: LogLevel) -> Bool {
        left.priority > right.priority
    }
}

/// The text of one log line: a message and `key=value` fields.
enum LogLine {
    /// Longer values are cut; a peer must not fill the log with one name.
    static let maximumValueBytes = 1024

    static func text(
        _ message: String, _ fields: KeyValuePairs<String, any CustomStringConvertible>
    ) -> String {
        var line = escaped(message)
        for (key, value) in fields {
            line += " \(key)="
            let text = cut("\(value)")
            line += needsQuotes(text) ? quoted(text) : text
        }
        return line
    }

    /// In quotation marks, with those, backslashes and control characters escaped.
    static func quoted(_ text: String) -> String {
        "\"" + escaped(text, quotes: true) + "\""
    }

    private static func needsQuotes(_ text: String) -> Bool {
        text.isEmpty
            || text.unicodeScalars.contains { scalar in
                scalar == " " || scalar == "\"" || scalar == "=" || scalar == "\\"
                    || isControl(scalar)
            }
    }

    static func escaped(_ text: String, quotes: Bool = false) -> String {
        var result = ""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\n": result += "\\n"
            case "\r": result += "\\r"
            case "\t": result += "\\t"
            case "\"" where quotes: result += "\\\""
            case "\\" where quotes: result += "\\\\"
            case _ where isControl(scalar):
                result += "\\u{\(String(scalar.value, radix: 16, uppercase: true))}"
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result
    }

    /// C0, DEL and C1, and what turns the direction of text: all of it can make a line lie.
    static func isControl(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.value {
        case 0...0x1F, 0x7F...0x9F, 0x200E...0x200F, 0x2028...0x202E, 0x2066...0x2069: true
        default: false
        }
    }

    static func cut(_ text: String) -> String {
        guard text.utf8.count > maximumValueBytes else { return text }
        // Scalar by scalar: one character can be as long as its writer likes.
        var kept = String.UnicodeScalarView()
        var bytes = 0
        for scalar in text.unicodeScalars {
            bytes += UTF8.width(scalar)
            if bytes > maximumValueBytes { break }
            kept.append(scalar)
        }
        return String(kept) + "..."
    }
}
