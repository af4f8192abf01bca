import FleetModel

/// The subcommands that every daemon has: they speak to the one that runs, by its control socket.
public enum CommonCommands {
    public static let specifications = [
        SubcommandSpecification(
            "log-level", summary: "change the log's level until the next reload or start",
            operands: [
                OperandSpecification("LEVEL", help: "debug, info, notice, warning or error")
            ], flags: ControlClient.flags),
        SubcommandSpecification(
            "reload", summary: "reread the configuration, and say what is wrong with it",
            flags: ControlClient.flags),
    ]

    /// `nil` where the subcommand is none of these.
    static func run(
        _ name: String, _ flags: ParsedFlags, of program: ProgramSpecification
    ) throws(DaemonError) -> ExitCode? {
        switch name {
        case "log-level":
            try order(
                name, ["level": .string(flags.operands[0])], flags, program,
                "the log's level is set")
        case "reload":
            try order(name, [:], flags, program, "configuration reloaded")
        default: return nil
        }
        return .success
    }

    /// Something is done; with `--json` the result is printed, else `done` and the daemon's remark. Not into
    /// the journal (`ExecReload=`), where the daemon itself has said both.
    private static func order(
        _ command: String, _ arguments: JSONObject, _ flags: ParsedFlags,
        _ program: ProgramSpecification, _ done: String
    ) throws(DaemonError) {
        let path = try ControlClient.path(flags, name: program.stateName)
        let result = try ControlClient.call(path, program: program.name, command, arguments)
        let json = String(decoding: JSONValue.object(result).encoded(), as: UTF8.self)
        if flags.has("--json") {
            print(json)
        } else if !Kernel.isJournal(1, stream: Kernel.environment("JOURNAL_STREAM")) {
            print(done)
            if let remark = result["remark"]?.string { print(remark) }
        }
    }
}
