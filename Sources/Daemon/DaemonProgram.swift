import Config
import IO

/// What makes one daemon different from the others; `DaemonMain` does the rest.
public protocol DaemonProgram: AnyObject {
    /// The configuration, understood; a value.
    associatedtype Settings

    static var specification: ProgramSpecification { get }

    /// Lays flags such as `--listen` over what the files say, before they are read.
    static func apply(
        _ flags: ParsedFlags, to document: inout ConfigurationDocument
    ) throws(UsageError)

    /// Asks for every setting. `[log]` is read already; `finish()` is called afterwards.
    static func readSettings(_ reader: ConfigurationReader) -> Settings

    /// Looks at the files that the configuration names, for `--check-config`: opens no port and makes no file.
    static func check(_ settings: Settings) throws

    /// Opens and starts everything; when it returns, the daemon serves.
    ///
    /// What it throws ends the daemon: a `DaemonError` with its exit code, others with 69 or 71.
    init(settings: Settings, context: DaemonContext) throws

    /// Takes over a new configuration, which was read without a problem, or throws and leaves everything as it
    /// was. What it returns is for people: what of it has to wait for the next start.
    func reload(_ settings: Settings) throws -> String?

    /// Ends in order and calls `done`, once, within `DaemonMain.stopTime`.
    func stop(_ done: @escaping () -> Void)

    /// Runs a subcommand; no loop, no log, no state folder.
    static func run(subcommand: String, flags: ParsedFlags) throws -> ExitCode
}

extension DaemonProgram {
    /// What a reload says of the settings that wait; `nil` where there are none.
    public static func remark(waiting settings: [String]) -> String? {
        settings.isEmpty
            ? nil : "waits for the next start: \(settings.joined(separator: ", "))"
    }

    public static func apply(
        _ flags: ParsedFlags, to document: inout ConfigurationDocument
    ) throws(UsageError) {}

    public static func check(_ settings: Settings) throws {}

    public static func run(subcommand: String, flags: ParsedFlags) throws -> ExitCode {
        preconditionFailure("\(specification.name) declares a subcommand that it does not have")
    }
}

/// How a reload ended.
public enum ReloadResult: Hashable, Sendable {
    /// The new configuration is in force, but for what the text says.
    case done(String?)
    /// What is wrong with it, a line each; the old one stays.
    case refused([String])
}

/// What every daemon works with.
public final class DaemonContext {
    public let loop: EventLoop
    public let log: Log
    public let state: StateDirectory
    public let notifier: ServiceNotifier
    private(set) var exitCode = ExitCode.success
    /// The line that `systemctl status` shows.
    private(set) var status = "serving"
    /// Calls back once everything that the program runs beside this loop has shown that it lives: systemd
    /// hears of the program only then.
    public var whenAlive: (@escaping () -> Void) -> Void = { $0() }
    /// Set by `DaemonMain`: begins the orderly end.
    var onStop: () -> Void = {}
    /// Set by `DaemonMain`: rereads the configuration.
    var onReload: () -> ReloadResult = { .done(nil) }

    init(loop: EventLoop, log: Log, state: StateDirectory, notifier: ServiceNotifier) {
        self.loop = loop
        self.log = log
        self.state = state
        self.notifier = notifier
    }

    /// Has `systemctl status` show how the daemon does.
    public func tell(status: String) {
        guard status != self.status else { return }
        self.status = status
        notifier.status(status)
    }

    /// Rereads the configuration as SIGHUP does.
    public func reload() -> ReloadResult { onReload() }

    /// Ends the daemon in order, because it cannot go on; the first error decides the exit code.
    public func fail(_ error: DaemonError) {
        log.error(error.message, error.hint.map { ["hint": $0] } ?? [:])
        if exitCode == .success { exitCode = error.exitCode }
        onStop()
    }
}
