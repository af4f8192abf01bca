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
                return try Program.run(subcommand: name, flags: flags)
            case .run(let flags):
                let (settings, reader, log) = try configure(program, flags)
                if flags.has("--check-config") {
                    print(reader.effective(), terminator: "")
                    return .success
                }
                return try serve(program, settings, log, flags, stopTime)
            }
        } catch {
            return report(error, of: specification)
        }
    }

    /// Reads files and flags; throws everything that is wrong with them.
    private static func configure<Program: DaemonProgram>(
        _ program: Program.Type, _ flags: ParsedFlags
    ) throws -> (Program.Settings, ConfigurationReader, LogOptions) {
        var document = ConfigurationDocument()
        if let path = flags["--config"] { document = try ConfigurationDocument.load(path) }
        try Program.apply(flags, to: &document)
        let reader = ConfigurationReader(document)
        let log = LogOptions(reader.table("log"))
        let settings = Program.readSettings(reader)
        try reader.finish()
        return (settings, reader, log)
    }

    private static func serve<Program: DaemonProgram>(
        _ program: Program.Type, _ settings: Program.Settings, _ logOptions: LogOptions,
        _ flags: ParsedFlags, _ stopTime: Duration
    ) throws -> ExitCode {
        let specification = Program.specification
        let path = try StateDirectory.path(
            flag: flags["--state-directory"], name: specification.stateName)
        let context = DaemonContext(
            loop: try EventLoop(), log: Log(logOptions), state: try StateDirectory(path: path),
            notifier: ServiceNotifier())
        let (loop, log, notifier) = (context.loop, context.log, context.notifier)
        defer { log.flush() }
        // Before anything starts a thread: signals are for the loop's thread.
        try loop.onSignal([.terminate, .interrupt]) { _ in context.onStop() }
        try loop.onSignal([.hangUp]) { _ in _ = context.reload() }

        let program = try Program(settings: settings, context: context)
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
            isStopping ? ["the daemon is stopping"] : self.reload(program, context, flags)
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
    ) -> [String] {
        context.notifier.reloading()
        defer { context.notifier.ready(status: context.status) }
        do {
            let (settings, _, log) = try configure(Program.self, flags)
            try program.reload(settings)
            context.log.options = log
            context.log.notice("configuration reloaded")
            return []
        } catch {
            let problems = lines(of: error)
            for line in problems { context.log.error(line) }
            context.log.error("configuration not reloaded; the old one stays")
            return problems
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
