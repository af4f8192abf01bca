/// Makes help texts from specifications.
enum HelpText {
    private static let columns = 80

    static func pointer(to name: String) -> String {
        "Try: \(name) --help"
    }

    static func text(for program: ProgramSpecification) -> String {
        let flags = (program.flags + FlagSpecification.common).filter { !$0.isHidden }
        var text = "\(program.name): \(program.summary)\n\n"
        text += "Usage: \(program.name) [FLAG]...\n"
        for subcommand in program.subcommands {
            text += "       \(usage(of: subcommand, of: program))\n"
        }
        text += "\nFlags:\n" + list(flags.map { (label($0), $0.help) })
        if !program.subcommands.isEmpty {
            text += "\nSubcommands:\n" + list(program.subcommands.map { ($0.name, $0.summary) })
        }
        text +=
            "\nState is kept in the folder of --state-directory, else in $STATE_DIRECTORY, else\n"
        text += "in /var/lib/fleet/\(program.stateName) (root) or"
        text += " $XDG_STATE_HOME/fleet/\(program.stateName) (others).\n"
        return text
    }

    static func text(
        for subcommand: SubcommandSpecification, of program: ProgramSpecification
    ) -> String {
        var text = "\(program.name) \(subcommand.name): \(subcommand.summary)\n\n"
        text += "Usage: \(usage(of: subcommand, of: program))\n"
        if !subcommand.operands.isEmpty {
            text += "\nArguments:\n" + list(subcommand.operands.map { ($0.name, $0.help) })
        }
        text += "\nFlags:\n" + list((subcommand.flags + [.help]).map { (label($0), $0.help) })
        return text
    }

    static func usage(
        of subcommand: SubcommandSpecification, of program: ProgramSpecification
    ) -> String {
        let rest = parameters(of: subcommand)
        return "\(program.name) \(subcommand.name)" + (rest.isEmpty ? "" : " " + rest)
    }

    /// What follows a subcommand's name.
    static func parameters(of subcommand: SubcommandSpecification) -> String {
        let operands = subcommand.operands.map { $0.isOptional ? "[\($0.name)]" : $0.name }
        let flags = subcommand.flags.isEmpty ? [] : ["[FLAG]..."]
        return (flags + operands).joined(separator: " ")
    }

    static func label(_ flag: FlagSpecification) -> String {
        flag.value.map { "\(flag.name) \($0)" } ?? flag.name
    }

    /// Two columns; the second is wrapped.
    private static func list(_ rows: [(label: String, help: String)]) -> String {
        let indent = 4 + (rows.map(\.label.count).max() ?? 0)
        var text = ""
        for row in rows {
            var line = "  " + row.label
            line += String(repeating: " ", count: indent - line.count)
            for word in row.help.split(separator: " ") {
                if line.count + word.count > columns {
                    text += line.trimmingTrailingSpaces() + "\n"
                    line = String(repeating: " ", count: indent)
                }
                line += word + " "
            }
            text += line.trimmingTrailingSpaces() + "\n"
        }
        return text
    }
}

extension String {
    fileprivate func trimmingTrailingSpaces() -> String {
        String(self[..<(lastIndex { $0 != " " }.map(index(after:)) ?? startIndex)])
    }
}
