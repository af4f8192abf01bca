import Config
import Daemon
import IO

/// `fleet-broker`: the flags, the subcommands, and the server that `DaemonMain` starts and stops.
final class BrokerProgram: DaemonProgram {
    private let server: BrokerServer
    private let observer: BrokerObserver
    private let control: BrokerControl?
    /// What it was started with.
    private let started: BrokerSettings

    static let specification = ProgramSpecification(
        name: "fleet-broker", stateName: "broker",
        summary: "The MQTT broker of a site: 3.1, 3.1.1 and 5.0.",
        flags: [
            FlagSpecification(
                "--listen", value: "ADDRESS:PORT",
                help: "listen there, and only there, without TLS; may be given again; port 0 takes "
                    + "a free one", repeats: true)
        ],
        subcommands: [
            StoreCommand.specification, PasswdCommand.specification, ExplainCommand.specification,
            ImportCommand.specification,
        ] + ControlCommands.specifications + CommonCommands.specifications)

    static func apply(
        _ flags: ParsedFlags, to document: inout ConfigurationDocument
    ) throws(UsageError) {
        let addresses = flags.all("--listen")
        guard !addresses.isEmpty else { return }
        document.override(
            ["listener"], tables: addresses.map { [("address", .string($0))] }, flag: "--listen")
    }

    static func readSettings(_ reader: ConfigurationReader) -> BrokerSettings {
        BrokerSettings(reader)
    }

    static func check(_ settings: BrokerSettings) throws {
        _ = try settings.readUsers { [] }
        for listener in settings.listeners { _ = try ListenerTerms.makeContext(listener) }
    }

    init(settings: BrokerSettings, context: DaemonContext) throws {
        started = settings
        ProcessMemory.limitHeaps(to: settings.threads)
        server = try BrokerServer(settings, context: context)
        try server.start()
        observer = BrokerObserver(server, settings.observe, context)
        control = try BrokerControl.open(server, observer, settings.observe, context)
        try observer.start()
    }

    func reload(_ settings: BrokerSettings) throws -> String? {
        try server.reload(settings)
        return Self.remark(waiting: started.waiting(in: settings))
    }

    func stop(_ done: @escaping () -> Void) {
        observer.stop()
        control?.stop()
        server.stop(done)
    }

    static func run(subcommand: String, flags: ParsedFlags) throws -> ExitCode {
        if let code = try ControlCommands.run(subcommand, flags) { return code }
        switch subcommand {
        case StoreCommand.name:
            return try StoreCommand.run(TurnStore.self, flags, of: specification)
        case "explain": return try ExplainCommand.run(flags)
        case "import": return try ImportCommand.run(flags)
        default: return try PasswdCommand.run(flags)
        }
    }
}
