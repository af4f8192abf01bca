import Config
import FleetModel
import IO

/// The way of every daemon from its arguments to its exit code.
///
///     DaemonMain.run(BrokerProgram.self)   // all of main.swift
public enum DaemonMain {
    /// How long an orderly end may take; after that the daemon ends as it is.
    public static let stopTime = Duration.milliseconds(800)

    /// Runs `program` with the process's arguments and ends the process.
    public static func run<Program: DaemonProgram>(_ program: Program.Type) -> Never {
        Kernel.end(run(program, arguments: CommandLine.arguments))
    }

    /// Runs `program` with `arguments`, the first of which is its own name.
    public static func run<Program: DaemonProgram>(
        _ program: Program.Type, arguments: [String], stopTime: Duration = stopTime
    ) -> ExitCode {
        let specification = Program.specification
        do {
            switch try DaemonArguments.parse(arguments, for: specification) {
            case .print(let text):
                print(text, terminator: "")
                return .success
            case .subcommand(let name, let flags):
                return try CommonCommands.run(name, flags, of: specification)
                    ?? Program.run(subcommand: name, flags: flags)
            case .run(let flags):
                let configuration = try Configuration(program, flags)
                if flags.has("--check-config") {
                    print(configuration.text, terminator: "")
                    try Program.check(configuration.settings)
                    return .success
                }
                return try serve(program, configuration, flags, stopTime)
            }
        } catch {
            return report(error, of: specification)
        }
    }

    /// What files and flags say, understood.
    private struct Configuration<Program: DaemonProgram> {
        var settings: Program.Settings
        var log: LogOptions
        var missingFile: String?
        /// As `--check-config` prints it.
        var text: String

        /// Reads files and flags; throws everything that is wrong with them.
        init(_ program: Program.Type, _ flags: ParsedFlags) throws {
            var document = ConfigurationDocument()
            let standIns = try flags.standIns()
            if let path = flags["--config"] {
                document = try ConfigurationDocument.load(path, standIns: standIns)
            }
            try Program.apply(flags, to: &document)
            let reader = ConfigurationReader(document)
            log = LogOptions(reader.table("log"))
            settings = Program.readSettings(reader)
            try reader.finish()
            missingFile = document.missingFile
            text = document.sources + reader.effective()
        }
    }

    private static func serve<Program: DaemonProgram>(
        _ program: Program.Type, _ configuration: Configuration<Program>, _ flags: ParsedFlags,
        _ stopTime: Duration
    ) throws -> ExitCode {
        let specification = Program.specification
        let path = try StateDirectory.path(
            flag: flags["--state-directory"], name: specification.stateName)
        let context = DaemonContext(
            loop: try EventLoop(), log: Log(configuration.log),
            state: try StateDirectory(path: path),
            notifier: ServiceNotifier())
        let (loop, log, notifier) = (context.loop, context.log, context.notifier)
        defer { log.flush() }
        // Before anything starts a thread: signals are for the loop's thread.
        try loop.onSignal([.terminate, .interrupt]) { _ in context.onStop() }
        try loop.onSignal([.hangUp]) { _ in _ = context.reload() }

        if let file = configuration.missingFile {
            log.notice("no configuration file; drop-ins and defaults are in effect", ["file": file])
        }
        let program = try Program(settings: configuration.settings, context: context)
        var isStopping = false
        context.onStop = {
            // A second signal, of somebody in a hurry, ends it at once.
            if isStopping { return loop.stop() }
            isStopping = true
            log.notice("stopping")
            notifier.stopping()
            loop.schedule(after: stopTime) {
                log.warning("the orderly end took too long", ["limit": "\(stopTime)"])
                loop.stop()
            }
            program.stop { loop.stop() }
        }
        context.onReload = {
            isStopping
                ? .refused(["the daemon is stopping"]) : self.reload(program, context, flags)
        }
        if context.exitCode == .success {
            feedWatchdog(context)
            log.notice(
                "ready",
                ["program": specification.name, "version": FleetVersion.current, "state": path])
            notifier.ready(status: context.status)
        } else {
            // It failed while it started, after its initializer had no way to throw.
            loop.schedule(after: .zero) { context.onStop() }
        }
        loop.run()
        log.notice("stopped")
        return context.exitCode
    }

    /// Rereads the configuration; a wrong one is refused whole, and the old one stays.
    private static func reload<Program: DaemonProgram>(
        _ program: Program, _ context: DaemonContext, _ flags: ParsedFlags
    ) -> ReloadResult {
        context.notifier.reloading()
        defer { context.notifier.ready(status: context.status) }
        do {
            let configuration = try Configuration(Program.self, flags)
            let remark = try program.reload(configuration.settings)
            context.log.options = configuration.log
            context.log.notice("configuration reloaded")
            if let remark { context.log.notice(remark) }
            return .done(remark)
        } catch {
            let problems = lines(of: error)
            for line in problems { context.log.error(line) }
            context.log.error("configuration not reloaded; the old one stays")
            return .refused(problems)
        }
    }

    /// From the loop itself, so that a loop that hangs is noticed, and whatever else the program waits for.
    private static func feedWatchdog(_ context: DaemonContext) {
        guard let interval = context.notifier.watchdogInterval else { return }
        context.whenAlive { context.notifier.watchdog() }
        context.loop.schedule(after: interval / 2) { feedWatchdog(context) }
    }

    /// Says what went wrong on standard error, one line a problem, and answers the exit code.
    private static func report(
        _ error: any Error, of specification: ProgramSpecification
    ) -> ExitCode {
        let inJournal = Kernel.isJournal(2, stream: Kernel.environment("JOURNAL_STREAM"))
        let head = inJournal ? "<3>" : error is UsageError ? "" : "\(specification.name): "
        for line in lines(of: error) { Kernel.writeOnce(2, head + line + "\n") }
        switch error {
        case is UsageError: return .usage
        case is ConfigurationError: return .configuration
        case let error as DaemonError: return error.exitCode
        case is IOError: return .systemError
        default: return .unavailable
        }
    }

    private static func lines(of error: any Error) -> [String] {
        "\(error)".split(separator: "\n").map(String.init)
    }
}
