extension CompletionScript {
    static func fish(_ program: ProgramSpecification) -> String {
        let names = program.subcommands.map(\.name).joined(separator: " ")
        let none = names.isEmpty ? "" : " -n 'not __fish_seen_subcommand_from \(names)'"
        var lines = ["# fish completion for \(program.name)", "complete -c \(program.name) -f"]
        lines += flags(of: program).map { "complete -c \(program.name)\(none)" + fish($0) }
        for subcommand in program.subcommands {
            let head = "complete -c \(program.name)"
            lines.append("\(head)\(none) -a \(subcommand.name) -d \(fish(subcommand.summary))")
            let inside = "\(head) -n '__fish_seen_subcommand_from \(subcommand.name)'"
            lines += flags(of: subcommand).map { inside + fish($0) }
            if subcommand.operands.contains(where: { Values($0.name) == .files }) {
                lines.append("\(inside) -F")
            }
        }
        return lines.joined(separator: "\n") + "\n"
    }

    private static func fish(_ flag: FlagSpecification) -> String {
        let value =
            switch (flag.value, Values(flag.value)) {
            case (nil, _): ""
            case (_, .files): " -r -F"
            case (_, .folders): " -x -a '(__fish_complete_directories)'"
            case (_, .none): " -x"
            }
        return " -l \(flag.name.dropFirst(2))\(value) -d \(fish(flag.help))"
    }

    /// In single quotes, in which fish knows `\\'` and `\\\\`.
    private static func fish(_ text: String) -> String {
        "'" + text.replacing("\\", with: "\\\\").replacing("'", with: "\\'") + "'"
    }
}
