import BrokerCore
import Daemon
import IO
import TLS

/// Listeners that come and go with a reload.
extension BrokerServer {
    /// What a reload changes at the listeners, with all that can fail done.
    struct ListenerChange {
        var kept: [(listener: ServerListener, settings: ListenerSettings, context: TLSContext?)] =
            []
        var opened: [ServerListener] = []
        /// Those that serve when all is done, in the order of the configuration.
        var all: [ServerListener] = []
        var isDefault: Bool
        var rules: (ListenerSettings) -> AccessRules
    }

    /// Opens what is new. A listener is known by its address; its connections stay, whatever it becomes.
    func prepareListeners(
        _ settings: BrokerSettings
    ) throws(DaemonError) -> ListenerChange {
        var change = ListenerChange(
            isDefault: settings.listeners.isEmpty, rules: settings.rules(for:))
        var left = listeners
        func keep(_ listener: ServerListener, _ wanted: ListenerSettings) throws(DaemonError) {
            let context = try ListenerTerms.makeContext(wanted)
            change.kept.append((listener, wanted, context))
            change.all.append(listener)
        }
        if settings.listeners.isEmpty {
            guard listensByDefault else {
                change.opened = try ServerListener.openLoopback(settings, gate: gate)
                change.all = change.opened
                return change
            }
            for listener in listeners { try keep(listener, listener.terms.settings) }
            return change
        }
        for wanted in settings.listeners {
            if let index = left.firstIndex(where: { $0.terms.settings.address == wanted.address }) {
                try keep(left.remove(at: index), wanted)
            } else {
                let listener = try ServerListener.open(wanted, settings, gate: gate)
                change.opened.append(listener)
                change.all.append(listener)
            }
        }
        return change
    }

    func apply(_ change: ListenerChange) {
        var contexts: [ObjectIdentifier: TLSContext] = [:]
        for (listener, settings, context) in change.kept {
            listener.terms.change(settings, change.rules(settings), context)
            contexts[ObjectIdentifier(listener.terms)] = context
        }
        onEveryShard { [contexts] shard in
            shard.review(contexts)
        } then: { _ in
        }
        for listener in listeners where !change.all.contains(where: { $0 === listener }) {
            listener.socket.stop()
            log.notice("listener closed", ["address": listener.socket.address])
        }
        listeners = change.all
        listensByDefault = change.isDefault
        for listener in change.opened {
            do throws(DaemonError) {
                try start(listener)
            } catch {
                log.error("cannot listen", ["address": listener.socket.address, "error": error])
            }
        }
    }
}
