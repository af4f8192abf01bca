/// Text from the network, made fit for a terminal.
///
/// Whoever can publish a version or a reason can publish escape sequences, which move the cursor,
/// change the title, or hide a line; and marks of direction, which turn a name around.
enum PrintableText {
    /// Controls, marks that cannot be seen, and line ends of other kinds, as `\u{1B}`.
    static func escaped(_ text: String) -> String {
        rewriting(text) { "\\u{\(String($0.value, radix: 16, uppercase: true))}" }
    }

    /// The same within JSON, as `\u001B`; line feeds and tabs stay.
    static func escapedJSON(_ text: String) -> String {
        rewriting(text, keeping: ["\n", "\t"]) { scalar in
            scalar.utf16.map { "\\u" + hexadecimal(UInt32($0), width: 4) }.joined()
        }
    }

    /// A payload for people: line feeds and tabs stay, what is no UTF-8 shows as U+FFFD.
    static func escapedPayload(_ payload: [UInt8]) -> String {
        rewriting(String(decoding: payload, as: UTF8.self), keeping: ["\n", "\t"]) {
            "\\u{\(String($0.value, radix: 16, uppercase: true))}"
        }
    }

    private static func rewriting(
        _ text: String, keeping kept: [Unicode.Scalar] = [],
        _ replacement: (Unicode.Scalar) -> String
    ) -> String {
        var result = ""
        for scalar in text.unicodeScalars {
            if isDangerous(scalar), !kept.contains(scalar) {
                result += replacement(scalar)
            } else {
                result.unicodeScalars.append(scalar)
            }
        }
        return result
    }

    private static func isDangerous(_ scalar: Unicode.Scalar) -> Bool {
        if scalar.value < 0x7F { return scalar.value < 0x20 }
        switch scalar.properties.generalCategory {
        case .control, .format, .lineSeparator, .paragraphSeparator, .privateUse, .unassigned:
            return true
        default:
            return false
        }
    }

    private static func hexadecimal(_ value: UInt32, width: Int) -> String {
        let digits = String(value, radix: 16, uppercase: true)
        return String(repeating: "0", count: max(0, width - digits.count)) + digits
    }
}
