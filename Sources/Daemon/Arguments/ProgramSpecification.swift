/// A command line flag as data; parser and help text are made from it.
public struct FlagSpecification: Hashable, Sendable {
    /// With dashes: `--listen`.
    public var name: String
    /// What the value is called in the help text, such as `FILE`; `nil` for a flag without value.
    public var value: String?
    public var help: String
    /// Whether it may be given more than once.
    public var repeats: Bool
    /// For whoever makes packages: no help text, manual or completion shows it.
    public var isHidden: Bool

    public init(
        _ name: String, value: String? = nil, help: String, repeats: Bool = false,
        isHidden: Bool = false
    ) {
        self.name = name
        self.value = value
        self.help = help
        self.repeats = repeats
        self.isHidden = isHidden
    }

    public static let configuration = FlagSpecification(
        "--config", value: "FILE",
        help: "read the configuration from FILE and then from the drop-ins FILE.d/*.toml"
            + " (broker.toml: broker.d)")
    public static let checkConfiguration = FlagSpecification(
        "--check-config",
        help: "print the configuration in effect, each value with its origin, and end")
    public static let dropIn = FlagSpecification(
        "--drop-in", value: "NAME=FILE",
        help: "with --check-config: read FILE as the drop-in NAME, as if it were there already",
        repeats: true)
    public static let stateDirectory = FlagSpecification(
        "--state-directory", value: "DIR", help: "keep state in DIR")
    public static let version = FlagSpecification("--version", help: "print the version and end")
    public static let help = FlagSpecification("--help", help: "print this text and end")
    static let manual = FlagSpecification(
        "--man", help: "print the page of the manual and end", isHidden: true)
    static let completion = FlagSpecification(
        "--generate-completion-script", value: "SHELL",
        help: "print what completes this command in bash, zsh or fish, and end", isHidden: true)

    /// What every daemon takes.
    static let common = [
        configuration, checkConfiguration, dropIn, stateDirectory, version, help, manual,
        completion,
    ]
}

/// An argument without dashes.
public struct OperandSpecification: Hashable, Sendable {
    /// As in the help text: `FILE`.
    public var name: String
    public var help: String
    public var isOptional: Bool

    public init(_ name: String, help: String, isOptional: Bool = false) {
        self.name = name
        self.help = help
        self.isOptional = isOptional
    }
}

/// A subcommand such as `passwd` of `fleet-broker`: it runs, prints and ends.
public struct SubcommandSpecification: Hashable, Sendable {
    public var name: String
    public var summary: String
    public var operands: [OperandSpecification]
    /// Beside `--help`; the common flags can be among them.
    public var flags: [FlagSpecification]

    public init(
        _ name: String, summary: String, operands: [OperandSpecification] = [],
        flags: [FlagSpecification] = []
    ) {
        self.name = name
        self.summary = summary
        self.operands = operands
        self.flags = flags
    }
}

/// What a daemon is called and what its command line takes.
public struct ProgramSpecification: Hashable, Sendable {
    /// The executable: `fleet-broker`.
    public var name: String
    /// The folder of its state: `broker`.
    public var stateName: String
    /// One line.
    public var summary: String
    /// Beside those that every daemon takes.
    public var flags: [FlagSpecification]
    public var subcommands: [SubcommandSpecification]

    public init(
        name: String, stateName: String, summary: String, flags: [FlagSpecification] = [],
        subcommands: [SubcommandSpecification] = []
    ) {
        self.name = name
        self.stateName = stateName
        self.summary = summary
        self.flags = flags
        self.subcommands = subcommands
    }
}
