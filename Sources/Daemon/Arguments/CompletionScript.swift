/// A shell's completion of a daemon's command line, made from what its help text is made from.
enum CompletionScript {
    enum Shell: String, CaseIterable {
        case bash, zsh, fish
    }

    /// What stands for a value, so far as a shell can help.
    enum Values {
        case files, folders, none

        init(_ name: String?) {
            switch name {
            case "FILE", "PATH": self = .files
            case "DIR": self = .folders
            default: self = .none
            }
        }
    }

    static func text(for shell: Shell, of program: ProgramSpecification) -> String {
        switch shell {
        case .bash: bash(program)
        case .zsh: zsh(program)
        case .fish: fish(program)
        }
    }

    /// The flags of the program itself.
    static func flags(of program: ProgramSpecification) -> [FlagSpecification] {
        visible(program.flags + FlagSpecification.common)
    }

    /// The flags of a subcommand.
    static func flags(of subcommand: SubcommandSpecification) -> [FlagSpecification] {
        visible(subcommand.flags + [.help])
    }

    private static func visible(_ flags: [FlagSpecification]) -> [FlagSpecification] {
        flags.filter { !$0.isHidden }
    }

    /// The program's name as a shell's function can have it.
    static func function(_ program: ProgramSpecification) -> String {
        "_" + program.name.replacing("-", with: "_")
    }

    /// In single quotes, as bash and zsh take it.
    static func quoted(_ text: String) -> String {
        "'" + text.replacing("'", with: "'\\''") + "'"
    }
}
