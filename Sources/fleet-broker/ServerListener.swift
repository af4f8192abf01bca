import BrokerCore
import Daemon
import IO

/// A listening socket and what it asks of its connections.
final class ServerListener {
    let socket: Listener
    let terms: ListenerTerms

    private init(_ socket: Listener, _ terms: ListenerTerms) {
        self.socket = socket
        self.terms = terms
    }

    /// A client without an MQTT keep-alive that vanished, without a word, is found by TCP's own.
    private static var options: StreamOptions {
        var options = StreamOptions()
        options.keepAliveSeconds = 300
        return options
    }

    private static let portHint =
        "stop it, or write another address into a [[listener]]; agent, bridge and fleet use the broker "
        + "that is there"

    /// Binds and listens; clients are served once it is started.
    static func open(
        _ settings: ListenerSettings, _ broker: BrokerSettings, gate: SharedGate
    ) throws(DaemonError) -> ServerListener {
        let terms = try ListenerTerms(settings, broker.rules(for: settings), gate: gate)
        do throws(IOError) {
            let socket = try Listener(
                settings.address, options: options, access: settings.unixAccess, early: true)
            return ServerListener(socket, terms)
        } catch {
            throw DaemonError(listening: error, at: settings.address, hint: portHint)
        }
    }

    /// The listeners that are there without configuration: 127.0.0.1 and ::1.
    static func openLoopback(
        _ broker: BrokerSettings, gate: SharedGate
    ) throws(DaemonError) -> [ServerListener] {
        let sockets: [Listener]
        do throws(IOError) {
            sockets = try Listener.loopback(port: BrokerSettings.defaultPort, options: options)
        } catch {
            let address = SocketAddress.loopbackIPv4(port: BrokerSettings.defaultPort)
            throw DaemonError(listening: error, at: address, hint: portHint)
        }
        return try sockets.map { socket throws(DaemonError) in
            let settings = ListenerSettings(address: socket.address)
            return ServerListener(
                socket, try ListenerTerms(settings, broker.rules(for: settings), gate: gate))
        }
    }

    /// What the log says of it.
    var description: String {
        let name = terms.settings.name
        return name.isEmpty ? "\(socket.address)" : "\(name) (\(socket.address))"
    }
}
