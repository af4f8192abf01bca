import BrokerCore
import Daemon
import IO
import TLS

/// A listening socket and how its connections are secured.
final class ServerListener {
    let socket: Listener
    /// What it asks of those who connect through it.
    let rules: AccessRules
    private let tls: TLSServerConfiguration?
    /// `nil` for plain connections.
    var context: TLSContext?

    private init(
        _ socket: Listener, _ rules: AccessRules, _ tls: TLSServerConfiguration?
    ) throws(DaemonError) {
        self.socket = socket
        self.rules = rules
        self.tls = tls
        context = nil
        context = try makeContext()
    }

    /// Reads certificate and key; again at each reload.
    func makeContext() throws(DaemonError) -> TLSContext? {
        guard let tls else { return nil }
        do throws(TLSError) {
            return try TLSContext(server: tls)
        } catch {
            throw DaemonError(.configuration, "\(error)")
        }
    }

    /// A client without an MQTT keep-alive that vanished, without a word, is found by TCP's own.
    private static var options: StreamOptions {
        var options = StreamOptions()
        options.keepAliveSeconds = 300
        return options
    }

    /// All listeners that are configured; with none, 127.0.0.1 and ::1.
    static func open(_ settings: BrokerSettings) throws(DaemonError) -> [ServerListener] {
        let sockets: [Listener]
        do throws(IOError) {
            if settings.listeners.isEmpty {
                sockets = try Listener.loopback(
                    port: BrokerSettings.defaultPort, options: options)
            } else {
                sockets = try settings.listeners.map { listener throws(IOError) in
                    try Listener(listener.address, options: options)
                }
            }
        } catch {
            throw DaemonError(.unavailable, "\(error)")
        }
        let securities =
            settings.listeners.isEmpty ? sockets.map { _ in nil } : settings.listeners.map(\.tls)
        return try zip(sockets, securities).map { socket, tls throws(DaemonError) in
            try ServerListener(socket, settings.rules(for: socket.address), tls)
        }
    }
}
