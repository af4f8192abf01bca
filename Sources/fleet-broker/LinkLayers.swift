import BrokerCore
import IO
import MQTT
import TLS

/// What stands between a connection's socket and MQTT, beside TLS: a proxy's header, then WebSocket.
final class LinkLayers {
    /// What a read came to.
    enum Progress {
        /// Bytes of the layer above lie in the buffer, or none.
        case bytes
        case wouldBlock
        case closed
        /// The proxy has said who the client is.
        case proxied(ProxyHeader.Source)
        /// The connection has to end; what lies in the buffer came before.
        case ended(DisconnectCause)
    }

    /// Until the proxy's header has come.
    private var proxy: ProxyHeader?
    private var webSocket: WebSocketStream?

    init(_ settings: ListenerSettings) {
        if settings.proxies != nil { proxy = ProxyHeader() }
        if let rules = settings.webSocket { webSocket = WebSocketStream(rules) }
    }

    /// Whether a proxy's header is still to come: TLS does not begin before it.
    var awaitsProxy: Bool {
        switch proxy {
        case .some: true
        case .none: false
        }
    }

    /// Whether nothing stands here any more.
    var isEmpty: Bool {
        switch webSocket {
        case .some: false
        case .none: !awaitsProxy
        }
    }

    /// Whether a layer has something to write beside what comes from above.
    var hasOutput: Bool { webSocket?.hasOutput ?? false }

    /// Whether the peer takes so little that it should not be listened to.
    var isFull: Bool { webSocket?.isFull ?? false }

    /// Reads from the socket into the empty `inbox` and leaves there what is for the layer above.
    func read(
        _ transport: inout Transport, into inbox: inout ByteBuffer, atMost count: Int
    ) throws(TransportError) -> Progress {
        // Of what follows the header no byte is taken: it may be TLS's.
        let most = awaitsProxy ? proxy?.missing ?? count : count
        switch try transport.read(into: &inbox, atMost: most) {
        case .wouldBlock: return .wouldBlock
        case .closed: return .closed
        case .bytes: return awaitsProxy ? takeHeader(&inbox) : takeFrames(&inbox)
        }
    }

    private func takeHeader(_ inbox: inout ByteBuffer) -> Progress {
        defer { inbox.removeAll(keepingCapacity: true) }
        do throws(ProxyFault) {
            let source = try inbox.withSpan { bytes throws(ProxyFault) in try proxy?.take(bytes) }
            guard let source = source ?? nil else { return .wouldBlock }
            proxy = nil
            return .proxied(source)
        } catch {
            // What still comes of this connection is nobody's.
            proxy = nil
            webSocket = nil
            return .ended(.connectionFailed("\(error)"))
        }
    }

    private func takeFrames(_ inbox: inout ByteBuffer) -> Progress {
        guard let end = webSocket?.receive(&inbox) ?? nil else { return .bytes }
        switch end {
        case .closed: return .ended(.connectionClosed)
        case .failed: return .ended(.connectionFailed(end.description))
        }
    }

    /// Writes `bytes` as the layer wants them; see `Link.write`.
    func write(
        _ bytes: Span<UInt8>, to transport: inout Transport
    ) throws(TransportError) -> Int {
        // Nothing is written before the header has come; a WebSocket holds the rest by itself.
        guard !awaitsProxy else { return 0 }
        let sent = try webSocket?.write(bytes) { bytes throws(TransportError) in
            try transport.write(bytes)
        }
        guard let sent else { return try transport.write(bytes) }
        return sent
    }

    /// Says goodbye once all else has been written; what that takes is output again.
    func close(_ code: WebSocketCloseCode) { webSocket?.close(code) }
}
