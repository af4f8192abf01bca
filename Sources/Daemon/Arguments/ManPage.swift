import FleetModel

/// A program's page of the manual, made from what its help text is made from.
public struct ManPage {
    /// A heading with its text.
    public struct Section: Sendable {
        public var title: String
        public var entries: [(term: String, text: String)]

        public init(_ title: String, _ entries: [(term: String, text: String)]) {
            self.title = title
            self.entries = entries
        }
    }

    private let program: ProgramSpecification
    private let flags: [FlagSpecification]
    private let number: Int
    private let description: [String]
    private let sections: [Section]

    /// - Parameters:
    ///   - number: of the manual's section: 1 for commands, 8 for daemons.
    ///   - description: paragraphs; one whose lines are indented is shown as it is.
    public init(
        _ program: ProgramSpecification, flags: [FlagSpecification], number: Int,
        description: [String] = [], sections: [Section] = []
    ) {
        self.program = program
        self.flags = flags.filter { !$0.isHidden }
        self.number = number
        self.description = description
        self.sections = sections
    }

    public var text: String {
        var roff = Roff()
        roff.macro(
            "TH", program.name.uppercased(), "\(number)", "", "Fleet \(FleetVersion.current)",
            "Fleet")
        // Paths, addresses and flags are not to be broken or stretched.
        roff.request("nh")
        roff.request("ad l")
        roff.macro("SH", "NAME")
        roff.line("\(program.name) - \(Self.title(program.summary))")
        synopsis(&roff)
        if !description.isEmpty {
            roff.macro("SH", "DESCRIPTION")
            for paragraph in description { Self.paragraph(paragraph, &roff) }
        }
        roff.macro("SH", "OPTIONS")
        for flag in flags { roff.entry(HelpText.label(flag), flag.help) }
        if !program.subcommands.isEmpty {
            roff.macro("SH", "COMMANDS")
            for subcommand in program.subcommands { command(subcommand, &roff) }
        }
        for section in sections {
            roff.macro("SH", section.title)
            for entry in section.entries { roff.entry(entry.term, entry.text) }
        }
        roff.macro("SH", "SEE ALSO")
        let others = ["fleet(1)", "fleet-agent(8)", "fleet-bridge(8)", "fleet-broker(8)"]
        roff.line(others.filter { !$0.hasPrefix(program.name + "(") }.joined(separator: ", "))
        return roff.text
    }

    /// As a title has it: without the capital and the full stop of a sentence.
    private static func title(_ summary: String) -> String {
        var title = summary.last == "." ? String(summary.dropLast()) : summary
        if title.dropFirst().first?.isLowercase == true {
            title = title.prefix(1).lowercased() + title.dropFirst()
        }
        return title
    }

    private func synopsis(_ roff: inout Roff) {
        roff.macro("SH", "SYNOPSIS")
        roff.macro("B", program.name)
        roff.line("[FLAG]...")
        for subcommand in program.subcommands {
            roff.macro("br")
            roff.macro("B", "\(program.name) \(subcommand.name)")
            let rest = HelpText.parameters(of: subcommand)
            if !rest.isEmpty { roff.line(rest) }
        }
    }

    private func command(_ subcommand: SubcommandSpecification, _ roff: inout Roff) {
        roff.macro("SS", HelpText.usage(of: subcommand, of: program))
        for paragraph in Self.paragraphs(subcommand.summary) { Self.paragraph(paragraph, &roff) }
        for operand in subcommand.operands { roff.entry(operand.name, operand.help) }
        for flag in subcommand.flags where !flag.isHidden {
            roff.entry(HelpText.label(flag), flag.help)
        }
    }

    /// Parts a text at its empty lines.
    public static func paragraphs(_ text: String) -> [String] {
        var paragraphs: [[Substring]] = [[]]
        for line in text.split(separator: "\n", omittingEmptySubsequences: false) {
            if line.isEmpty {
                paragraphs.append([])
            } else {
                paragraphs[paragraphs.count - 1].append(line)
            }
        }
        return paragraphs.filter { !$0.isEmpty }.map { $0.joined(separator: "\n") }
    }

    private static func paragraph(_ text: String, _ roff: inout Roff) {
        let lines = text.split(separator: "\n").map(String.init)
        guard text.hasPrefix("  ") else {
            roff.macro("PP")
            for line in lines { roff.line(line) }
            return
        }
        roff.example(lines.map { String($0.dropFirst(2)) })
    }
}
