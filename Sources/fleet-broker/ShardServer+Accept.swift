import BrokerCore
import Daemon
import IO
import MQTT
import TLS

/// The beginning of a connection, up to the first byte of MQTT.
extension ShardServer {
    /// Serves a connection that a listener accepted.
    func accept(
        _ socket: consuming FileDescriptor, _ peer: SocketAddress, _ terms: ListenerTerms
    ) {
        let peer = Self.name(of: socket, peer, terms)
        if let limit = terms.admit(peer, at: loop.now) {
            return log.warning("connection refused: \(limit)", ["address": peer])
        }
        let counted = terms.settings.proxies == nil ? peer : nil
        // Time to CONNECT begins here: it covers a proxy's header, TLS and WebSocket.
        guard
            let id = shard.opened(rules: terms.rules, nonce: SystemRandom.number(), at: loop.now)
        else {
            terms.leave(counted, at: loop.now)
            return log.warning("connection refused: limits.connections", ["address": peer])
        }
        let link = Link(id, Transport(plain: socket), peer, terms)
        if counted != nil { link.state.insert(.countsAddress) }
        do {
            if link.layers?.awaitsProxy != true { try secure(link) }
            try keep(link)
        } catch {
            terms.leave(counted, at: loop.now)
            shard.closed(id, .connectionFailed("\(error)"), at: loop.now)
            log.error("cannot serve a connection", ["address": peer, "error": "\(error)"])
        }
    }

    /// Begins TLS where the listener has it.
    private func secure(_ link: Link) throws(TLSError) {
        guard let context = link.terms.context else { return }
        try link.transport.secure(context)
        link.state.insert(.inHandshake)
        link.identity = link.terms.settings.tls?.identity
        // Handshakes cost most of what a connection costs: each loop takes its share of them.
        guard let peers else { return }
        nextLoop = (nextLoop + 1) % peers.servers.count
        shard.relocate(link.id, to: nextLoop)
    }

    /// The proxy has said who its client is; what follows is the client's.
    func proxied(_ link: Link, _ source: ProxyHeader.Source) {
        if case .client(let client) = source {
            if let limit = link.terms.admitClient(client, at: loop.now) {
                log.warning("connection refused: \(limit)", ["address": client])
                return lose(link, .connectionFailed(limit))
            }
            link.peer = client
            link.state.insert(.countsAddress)
        }
        do throws(TLSError) {
            try secure(link)
        } catch {
            return lose(link, .connectionFailed("\(error)"))
        }
        if link.layers?.isEmpty == true { link.layers = nil }
    }

    /// The peer of a Unix socket has no address: it is named by its user and process.
    private static func name(
        of socket: borrowing FileDescriptor, _ peer: SocketAddress, _ terms: ListenerTerms
    ) -> SocketAddress {
        guard case .unix = peer else { return peer }
        do throws(IOError) {
            return .unix("\(try socket.peerCredentials())")
        } catch {
            return .unix("unix")
        }
    }
}
