import MQTT
import TLS

/// What an `MQTTClient` is told once.
public struct MQTTClientConfiguration: Sendable {
    /// Where to connect when that is not the URL's host and port: a tunnel, or a test. TLS still
    /// asks for the URL's host.
    public struct Endpoint: Hashable, Sendable {
        public var host: String
        public var port: UInt16

        public init(host: String, port: UInt16) {
            self.host = host
            self.port = port
        }
    }

    public var url: BrokerURL
    public var connectTo: Endpoint?
    public var session: ClientSessionConfiguration
    /// What TLS trusts and shows; not used for `mqtt://`.
    public var tls = TLSClientConfiguration()
    public var backoff = Backoff.Limits()
    /// How long name resolution and TCP may take together, and the TLS handshake after them.
    public var connectTimeout: Duration = .seconds(30)

    /// The URL's user name is taken when the session has none.
    public init(url: BrokerURL, session: ClientSessionConfiguration) {
        self.url = url
        self.session = session
        if session.username == nil { self.session.username = url.user }
    }
}
