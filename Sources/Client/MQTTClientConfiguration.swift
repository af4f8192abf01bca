import MQTT
import TLS

/// What an `MQTTClient` is told once.
public struct MQTTClientConfiguration: Sendable {
    public var url: BrokerURL
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
