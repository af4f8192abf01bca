import Daemon
import IO
import Store

extension BridgeRunner {
    /// Opens the store and starts a bridge on it.
    static func open(
        _ settings: BridgeSettings, _ machine: MachineIdentity, _ context: DaemonContext
    ) throws -> BridgeRunner {
        // The store's thread is there before the runner that listens to it.
        let inbox = Inbox()
        let port = context.loop.makePort { (news: StoreNews) in inbox.runner?.handle(news) }
        // A migration copies a large store first.
        StartProgress(context.notifier).advance("opening the store")
        let opened: OpenedStore
        do {
            opened = try OpenedStore(settings, machine: machine, context: context) { event in
                port.send(.happened(event))
            }
        } catch let error as StoreError {
            throw DaemonError(error, otherwise: .unavailable)
        }
        let runner = try BridgeRunner(
            settings, opened, machine: machine, context: context, port: port)
        inbox.runner = runner
        if !opened.content.wasStoppedCleanly {
            try check(opened.files.path, port, context.log)
        }
        runner.start()
        return runner
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

    private final class Inbox {
        weak var runner: BridgeRunner?
    }
}
