/// Text for man(1), in the macros of man(7).
struct Roff {
    private(set) var text = ""

    /// A line of text.
    mutating func line(_ line: String) {
        text += Self.escaped(line) + "\n"
    }

    /// A macro with its arguments.
    mutating func macro(_ name: String, _ arguments: String...) {
        text += "." + name
        for argument in arguments {
            text += " \"" + Self.escaped(argument).replacing("\"", with: "\\(dq") + "\""
        }
        text += "\n"
    }

    /// A request of groff(7), as it is.
    mutating func request(_ request: String) {
        text += ".\(request)\n"
    }

    /// A term in bold, with the text behind it indented.
    mutating func entry(_ term: String, _ text: String) {
        macro("TP")
        macro("B", term)
        line(text)
    }

    /// Lines as they are.
    mutating func example(_ lines: [String]) {
        macro("PP")
        macro("nf")
        macro("RS", "4")
        for line in lines { self.line(line) }
        macro("RE")
        macro("fi")
    }

    /// Harmless in every place: no line begins a request, and what is typed is what is shown.
    static func escaped(_ text: String) -> String {
        var result = ""
        for character in text {
            switch character {
            case "\\": result += "\\e"
            case "-": result += "\\-"
            case "'": result += "\\(aq"
            case "`": result += "\\(ga"
            case "^": result += "\\(ha"
            case "~": result += "\\(ti"
            default: result.append(character)
            }
        }
        return result.hasPrefix(".") ? "\\&" + result : result
    }
}
