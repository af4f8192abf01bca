import Client
import Config
import Daemon
import IO
import MQTT

/// `fleet-agent`: what this machine measures, to the broker of its site.
final class AgentProgram: DaemonProgram {
    static let specification = ProgramSpecification(
        name: "fleet-agent", stateName: "agent",
        summary: "publishes what this machine measures to an MQTT broker",
        subcommands: CommonCommands.specifications)

    private let context: DaemonContext
    private let control: ControlServer?
    private let startedControl: ControlSettings
    private var wanted: AgentSettings
    private var current: AgentSettings
    private var runner: AgentRunner?
    /// Set when the daemon ends: what is to be called at the end.
    private var onEnd: (() -> Void)?

    static func readSettings(_ reader: ConfigurationReader) -> AgentSettings {
        AgentSettings(reader)
    }

    static func check(_ settings: AgentSettings) throws {
        try settings.broker.client.checkFiles(settings.broker.url)
    }

    init(settings: AgentSettings, context: DaemonContext) throws {
        self.context = context
        startedControl = settings.control
        wanted = settings
        current = settings
        control = try ControlServer.open(settings.control, context)
        runner = try AgentRunner(settings, context: context)
        try control?.start(context.log)
    }

    /// Another agent takes the place of the one that runs, once that has ended in order.
    func reload(_ settings: AgentSettings) -> String? {
        wanted = settings
        replace()
        return Self.remark(waiting: settings.control == startedControl ? [] : ["control"])
    }

    private func replace() {
        guard wanted != current, onEnd == nil, let old = runner else { return }
        current = wanted
        runner = nil
        old.stop { [self] messages in
            if let onEnd {
                warn(of: messages)
                return onEnd()
            }
            // The lines and files of the old one are free when it has gone.
            context.loop.schedule(after: .zero) { [self] in begin(with: messages) }
        }
    }

    private func begin(with messages: [OutgoingMessage]) {
        if let onEnd {
            warn(of: messages)
            return onEnd()
        }
        do {
            runner = try AgentRunner(current, context: context, messages: messages)
        } catch {
            context.fail(error as? DaemonError ?? DaemonError(.unavailable, "\(error)"))
        }
        replace()
    }

    func stop(_ done: @escaping () -> Void) {
        control?.stop()
        onEnd = done
        // One that is being replaced ends already.
        guard let runner else { return }
        runner.stop { [self] messages in
            warn(of: messages)
            done()
        }
    }

    private func warn(of messages: [OutgoingMessage]) {
        guard !messages.isEmpty else { return }
        context.log.warning(
            "messages that the broker did not take are lost", ["messages": messages.count])
    }
}
