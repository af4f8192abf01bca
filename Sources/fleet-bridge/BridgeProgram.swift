import Config
import Daemon
import FleetModel
import IO
import Store

/// `fleet-bridge`: from the edge broker to a cloud broker, with everything on disk in between.
final class BridgeProgram: DaemonProgram {
    static let specification = ProgramSpecification(
        name: "fleet-bridge", stateName: "bridge",
        summary: "Forwards messages between an edge broker and a cloud broker, and keeps them on"
            + " disk until the other side has acknowledged them.")

    private let runner: BridgeRunner
    private let log: Log

    static func readSettings(_ reader: ConfigurationReader) -> BridgeSettings? {
        BridgeSettings(reader)
    }

    init(settings: BridgeSettings?, context: DaemonContext) throws {
        guard let settings else {
            throw DaemonError(.configuration, "the configuration is incomplete")
        }
        log = context.log
        let machine = MachineIdentity.read()
        // The store's thread is there before the runner that listens to it.
        let inbox = Inbox()
        let port = context.loop.makePort { (news: StoreNews) in inbox.runner?.handle(news) }
        let opened = try OpenedStore(settings, machine: machine, context: context) { event in
            port.send(.happened(event))
        }
        runner = try BridgeRunner(
            settings, opened, machine: machine, context: context, port: port)
        inbox.runner = runner
        if !opened.content.wasStoppedCleanly { try Self.check(opened.files.path, port, log) }
        runner.start()
    }

    /// After an unclean stop the whole store is looked at, in the background.
    private static func check(
        _ path: String, _ port: EventLoop.Port<StoreNews>, _ log: Log
    ) throws(StoreError) {
        log.notice("the last stop was not orderly; checking the store in the background")
        try StoreCheck.start(
            path: path, open: { () throws(StoreError) in try BridgeStore.open(path) },
            completion: { port.send(.checked($0)) })
    }

    func reload(_ settings: BridgeSettings?) {
        log.warning("only [log] is taken over by a reload; restart the bridge for the rest")
    }

    func stop(_ done: @escaping () -> Void) {
        runner.stop(done)
    }

    private final class Inbox {
        weak var runner: BridgeRunner?
    }
}
