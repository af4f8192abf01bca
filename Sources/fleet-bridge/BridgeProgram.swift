import Client
import Config
import Daemon
import FleetModel
import IO

/// `fleet-bridge`: from the edge broker to a cloud broker, with everything on disk in between.
final class BridgeProgram: DaemonProgram {
    static let specification = ProgramSpecification(
        name: "fleet-bridge", stateName: "bridge",
        summary: "Forwards messages between an edge broker and a cloud broker, and keeps them on"
            + " disk until the other side has acknowledged them.",
        subcommands: [UpstreamCommand.specification, StoreCommand.specification]
            + CommonCommands.specifications)

    private let context: DaemonContext
    private let control: ControlServer?
    private let startedControl: ControlSettings
    private let machine = MachineIdentity.read()
    /// What the configuration asks for; `nil`: nothing, for there is no upstream.
    private var wanted: BridgeSettings?
    /// What was begun last.
    private var current: BridgeSettings?
    private var runner: BridgeRunner?
    /// A runner is ending, so that another one can have the store.
    private var isReplacing = false
    /// Set when the daemon ends: what is to be called at the end.
    private var onEnd: (() -> Void)?

    static func readSettings(_ reader: ConfigurationReader) -> BridgeConfiguration {
        BridgeConfiguration(reader)
    }

    static func check(_ settings: BridgeConfiguration) throws {
        guard let bridge = settings.bridge else { return }
        for broker in [bridge.edge, bridge.upstream] { try broker.client.checkFiles(broker.url) }
    }

    init(settings: BridgeConfiguration, context: DaemonContext) throws {
        self.context = context
        startedControl = settings.control
        control = try ControlServer.open(settings.control, context)
        wanted = settings.bridge
        try begin()
        try control?.start(context.log)
    }

    /// Begins what is wanted, where nothing runs.
    private func begin() throws {
        current = wanted
        guard let settings = current else {
            let text = "no upstream: fleet-bridge upstream add URL"
            context.log.notice(text)
            return context.tell(status: text)
        }
        context.tell(status: "forwarding to \(settings.upstream.url)")
        runner = try BridgeRunner.open(settings, machine, context)
    }

    /// Another bridge takes the place of the one that runs, once that has ended in order.
    func reload(_ settings: BridgeConfiguration) -> String? {
        wanted = settings.bridge
        if !isReplacing { replace() }
        return Self.remark(waiting: settings.control == startedControl ? [] : ["control"])
    }

    private func replace() {
        guard wanted != current, onEnd == nil else { return }
        isReplacing = true
        endRunner { [self] in
            isReplacing = false
            if let onEnd { return onEnd() }
            do {
                try begin()
            } catch {
                context.fail(DaemonError(.unavailable, "\(error)"))
            }
            replace()
        }
    }

    private func endRunner(_ done: @escaping () -> Void) {
        guard let runner else { return done() }
        runner.stop { [self] in
            self.runner = nil
            done()
        }
    }

    func stop(_ done: @escaping () -> Void) {
        control?.stop()
        onEnd = done
        if !isReplacing { endRunner(done) }
    }

    static func run(subcommand: String, flags: ParsedFlags) throws -> ExitCode {
        subcommand == StoreCommand.name
            ? try StoreCommand.run(MessageStore.self, flags, of: specification)
            : try UpstreamCommand.run(flags)
    }
}
