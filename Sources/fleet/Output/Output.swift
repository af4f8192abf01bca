import IO

/// The one way to the user: what commands print goes through here and nowhere else.
struct Output {
    /// Where bytes go; a test keeps them.
    typealias Sink = (_ bytes: [UInt8], _ stream: Terminal.Stream) throws(IOError) -> Void

    /// Whether standard output is a terminal, so that what comes from the network is escaped.
    let isTerminal: Bool
    /// Whether tones become colours.
    let colours: Bool
    private let sink: Sink

    init(isTerminal: Bool, colours: Bool, sink: @escaping Sink) {
        self.isTerminal = isTerminal
        self.colours = colours
        self.sink = sink
    }

    /// The process' own streams. Colours only on a terminal, and not where NO_COLOR is set to
    /// anything (no-color.org) or the terminal can show none.
    static func standard(environment: (String) -> String?) -> Output {
        let isTerminal = Terminal.Stream.output.isTerminal
        let colours =
            isTerminal && environment("NO_COLOR") == nil && environment("TERM") != "dumb"
        return Output(isTerminal: isTerminal, colours: colours) { (bytes, stream) throws(IOError) in
            try Terminal.write(bytes.span, to: stream)
        }
    }

    /// Results, as they are.
    func write(_ bytes: [UInt8]) throws(FleetError) {
        do throws(IOError) {
            try sink(bytes, .output)
        } catch {
            // Nobody reads any more, as behind `| head`: that is no error.
            throw error.code == .brokenPipe ? .outputClosed : FleetError("\(error)")
        }
    }

    /// Results that this program made.
    func write(_ text: String) throws(FleetError) { try write(Array(text.utf8)) }

    func write(_ table: TextTable) throws(FleetError) {
        try write(table.rendered(colours: colours))
    }

    /// JSON, with what a terminal would obey escaped on a terminal.
    func writeJSON(_ line: [UInt8]) throws(FleetError) {
        guard isTerminal else { return try write(line + [UInt8(ascii: "\n")]) }
        let text = String(decoding: line, as: UTF8.self)
        try write(PrintableText.escapedJSON(text) + "\n")
    }

    /// Something that people should know besides the results: one line on standard error.
    func note(_ text: String) {
        let line = "fleet: " + PrintableText.escaped(text) + "\n"
        // There is no other place to say that standard error cannot be written.
        try? sink(Array(line.utf8), .error)
    }
}
