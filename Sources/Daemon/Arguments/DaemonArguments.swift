import Config
import FleetModel

/// The values of flags and operands.
public struct ParsedFlags: Hashable, Sendable {
    var values: [String: [String]] = [:]
    /// Arguments without dashes, in order.
    public internal(set) var operands: [String] = []

    /// Whether the flag, named with its dashes, was given.
    public func has(_ name: String) -> Bool {
        values[name] != nil
    }

    /// The value of a flag; `nil` when it was not given.
    public subscript(name: String) -> String? {
        values[name]?.last
    }

    /// All values of a flag that repeats, in order.
    public func all(_ name: String) -> [String] {
        values[name] ?? []
    }
}

extension ParsedFlags {
    /// The files of `--drop-in NAME=FILE` by their names.
    func standIns() throws(UsageError) -> [String: String] {
        var files: [String: String] = [:]
        for text in all(FlagSpecification.dropIn.name) {
            let parts = text.split(separator: "=", maxSplits: 1).map(String.init)
            guard parts.count == 2, parts[0].hasSuffix(".toml"), !parts[0].contains("/"),
                has("--config"), has("--check-config")
            else {
                throw UsageError(
                    message: "--drop-in \(LogLine.quoted(text)) is nothing to check",
                    hint: "--config FILE --check-config --drop-in 20-lan.toml=FILE")
            }
            files[parts[0]] = parts[1]
        }
        return files
    }
}

/// A command line that is wrong; exit code 64 (`EX_USAGE`).
public struct UsageError: Error, Hashable, Sendable, CustomStringConvertible {
    public var message: String
    /// What to do about it.
    public var hint: String

    public var description: String { "\(message)\n\(hint)" }
}

/// A daemon's command line, understood.
public enum DaemonArguments: Hashable, Sendable {
    /// Run as a daemon, or check the configuration only.
    case run(ParsedFlags)
    /// Run a subcommand, by its name.
    case subcommand(String, ParsedFlags)
    /// Print this text (`--help`, `--version`) to standard output and end with success.
    case print(String)

    /// Understands `arguments`, the first of which is the program's own name.
    ///
    /// Flags are written `--name value` or `--name=value`; after `--` everything is an operand.
    public static func parse(
        _ arguments: [String], for program: ProgramSpecification
    ) throws(UsageError) -> DaemonArguments {
        let rest = Array(arguments.dropFirst())
        if let first = rest.first, !first.hasPrefix("-"), !program.subcommands.isEmpty {
            guard let subcommand = program.subcommands.first(where: { $0.name == first }) else {
                throw unknown("subcommand", first, among: program.subcommands.map(\.name), program)
            }
            return try parse(Array(rest.dropFirst()), for: subcommand, of: program)
        }
        let flags = try parse(rest, flags: program.flags + FlagSpecification.common, program)
        if flags.has("--help") { return .print(HelpText.text(for: program)) }
        if flags.has("--version") {
            return .print("\(program.name) \(FleetVersion.current)\n")
        }
        if flags.has("--man") { return .print(ManPage.text(of: program)) }
        if let shell = flags["--generate-completion-script"] {
            return .print(try completion(shell, program))
        }
        if let operand = flags.operands.first {
            throw UsageError(
                message: "\(program.name): unexpected argument \(quoted(operand))",
                hint: HelpText.pointer(to: program.name))
        }
        return .run(flags)
    }

    private static func completion(
        _ name: String, _ program: ProgramSpecification
    ) throws(UsageError) -> String {
        guard let shell = CompletionScript.Shell(rawValue: name) else {
            throw UsageError(
                message: "\(program.name): no completion for the shell \(quoted(name))",
                hint: "There are: bash, zsh, fish")
        }
        return CompletionScript.text(for: shell, of: program)
    }

    private static func parse(
        _ arguments: [String], for subcommand: SubcommandSpecification,
        of program: ProgramSpecification
    ) throws(UsageError) -> DaemonArguments {
        let flags = try parse(arguments, flags: subcommand.flags + [.help], program, subcommand)
        if flags.has("--help") {
            return .print(HelpText.text(for: subcommand, of: program))
        }
        let name = "\(program.name) \(subcommand.name)"
        let required = subcommand.operands.filter { !$0.isOptional }.count
        if flags.operands.count < required {
            throw UsageError(
                message: "\(name): \(subcommand.operands[flags.operands.count].name) is missing",
                hint: HelpText.pointer(to: name))
        }
        if flags.operands.count > subcommand.operands.count {
            let operand = flags.operands[subcommand.operands.count]
            throw UsageError(
                message: "\(name): unexpected argument \(quoted(operand))",
                hint: HelpText.pointer(to: name))
        }
        return .subcommand(subcommand.name, flags)
    }

    private static func parse(
        _ arguments: [String], flags: [FlagSpecification], _ program: ProgramSpecification,
        _ subcommand: SubcommandSpecification? = nil
    ) throws(UsageError) -> ParsedFlags {
        let caller = subcommand.map { "\(program.name) \($0.name)" } ?? program.name
        func wrong(_ message: String) -> UsageError {
            UsageError(message: "\(caller): \(message)", hint: HelpText.pointer(to: caller))
        }
        var result = ParsedFlags()
        var rest = arguments[...]
        while let argument = rest.popFirst() {
            if argument == "--" {
                result.operands += rest
                break
            }
            guard argument.hasPrefix("-"), argument != "-" else {
                result.operands.append(argument)
                continue
            }
            let parts = argument.split(
                separator: "=", maxSplits: 1, omittingEmptySubsequences: false
            ).map(String.init)
            let name = parts[0] == "-h" ? "--help" : parts[0]
            guard let flag = flags.first(where: { $0.name == name }) else {
                throw unknown("flag", name, among: flags.map(\.name), program, subcommand)
            }
            if flag.value == nil {
                if parts.count > 1 { throw wrong("\(name) takes no value") }
                result.values[name] = []
                continue
            }
            guard let value = parts.count > 1 ? parts[1] : rest.popFirst(), !value.isEmpty else {
                throw wrong("\(name) needs a value: \(name) \(flag.value ?? "")")
            }
            if result.has(name), !flag.repeats { throw wrong("\(name) is given twice") }
            result.values[name, default: []].append(value)
        }
        return result
    }

    private static func unknown(
        _ kind: String, _ name: String, among names: [String], _ program: ProgramSpecification,
        _ subcommand: SubcommandSpecification? = nil
    ) -> UsageError {
        let caller = subcommand.map { "\(program.name) \($0.name)" } ?? program.name
        let near = NearestName.suggestion(for: name, among: names)
        return UsageError(
            message: "\(caller): unknown \(kind) \(quoted(name))",
            hint: near.map { "Did you mean \($0)?" } ?? HelpText.pointer(to: caller))
    }

    /// Quoted, and with control characters escaped, so that it stays harmless in a terminal.
    private static func quoted(_ text: String) -> String {
        LogLine.quoted(text)
    }
}
