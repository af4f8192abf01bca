import IO
import MQTT
import TLS

/// One `[[listener]]`.
struct ListenerSettings: Equatable {
    /// For the log and the rules; empty: it has only its address.
    var name = ""
    var address: SocketAddress
    /// With it, MQTT comes in WebSocket frames.
    var webSocket: WebSocketRules?
    var tls: TLSServerConfiguration?
    /// `nil`: as `[authentication]` says.
    var allowsAnonymous: Bool?
    /// What clients may publish here; `nil`: as `[session]` says.
    var maximumQoS: QoS?
    var isRetainAvailable: Bool?
    /// Connections of this listener; `nil`: as many as the broker takes.
    var maximumConnections: Int?
    /// Bytes of one packet of its clients; `nil`: `limits.packet_size`.
    var packetBytes: Int?
    /// With it, connections begin with a header of the PROXY protocol, and only these may send one.
    var proxies: [AddressRange]?
    /// Of a Unix socket.
    var unixAccess: UnixSocketAccess?

    init(address: SocketAddress) { self.address = address }

    /// What roles call it: its name, or its address as it is configured.
    var label: String {
        guard name.isEmpty else { return name }
        return isUnix ? "unix:\(address)" : "\(address)"
    }

    var isUnix: Bool {
        if case .unix = address { return true }
        return false
    }

    /// Whether only this machine reaches it. Behind a proxy stands everybody.
    var isLocal: Bool { address.isLoopback && proxies == nil }

    /// `mqtt`, `mqtts`, `ws` or `wss`, as in a URL.
    var scheme: String {
        switch (webSocket != nil, tls != nil) {
        case (false, false): "mqtt"
        case (false, true): "mqtts"
        case (true, false): "ws"
        case (true, true): "wss"
        }
    }
}
