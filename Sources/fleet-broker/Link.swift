import BrokerCore
import IO
import MQTT
import TLS

/// One connection as the shell sees it: a socket, perhaps TLS, perhaps more layers, and what is known of it.
///
/// It takes 96 bytes, in this order; TLS has its own besides.
final class Link {
    /// What holds for it now.
    struct State: OptionSet {
        var rawValue: UInt8

        /// The shard does not want to hear from it for now.
        static let paused = State(rawValue: 1)
        /// The peer has not taken all that may leave.
        static let hasOutput = State(rawValue: 2)
        /// The shard is done with it; its last bytes leave.
        static let closing = State(rawValue: 4)
        /// Our direction has ended.
        static let shutDown = State(rawValue: 8)
        /// The transport is at its end; nothing may be done with it any more.
        static let gone = State(rawValue: 16)
        /// TLS's handshake has not ended.
        static let inHandshake = State(rawValue: 32)
        /// The gate counts it by its peer's address.
        static let countsAddress = State(rawValue: 64)
    }

    /// Its name in its shard; another one in the shard that it moves to.
    var id: ConnectionID
    let terms: ListenerTerms
    /// `nil` for MQTT straight on TCP or TLS.
    var layers: LinkLayers?
    /// The client's address; behind a proxy, once the proxy has said it.
    var peer: SocketAddress
    var state: State = []
    /// What TLS is asked for, to know the user by.
    var identity: TLSIdentity?
    var transport: Transport

    init(
        _ id: ConnectionID, _ transport: consuming Transport, _ peer: SocketAddress,
        _ terms: ListenerTerms
    ) {
        self.id = id
        self.terms = terms
        self.peer = peer
        self.transport = transport
        let settings = terms.settings
        if settings.proxies != nil || settings.webSocket != nil {
            layers = LinkLayers(settings)
        }
    }

    /// Writes what may leave, as far as the peer takes it: how many of the bytes need not come again.
    func write(_ bytes: Span<UInt8>) throws(TransportError) -> Int {
        if let layers { return try layers.write(bytes, to: &transport) }
        var sent = 0
        while sent < bytes.count {
            let count = try transport.write(bytes.extracting(sent..<bytes.count))
            if count == 0 { break }
            sent += count
        }
        return sent
    }

    /// What the loop shall watch for.
    var interest: Readiness {
        var interest = transport.interest(
            hasOutput: state.contains(.hasOutput), wantsInput: !state.contains(.paused))
        // A peer that sends pings and takes no answers is not listened to.
        if layers?.isFull == true { interest.remove(.readable) }
        return interest
    }
}
