import BrokerCore
import Daemon
import IO
import MQTT
import Synchronization

/// Between this shard's loop and the others'. With one shard `peers` is `nil`, and nothing happens here.
extension ShardServer {
    private var index: Int { shard.position.index }

    /// Reads what the other shards have sent.
    ///
    /// Before each read of a connection, too: what another shard did before a client could know of it is
    /// done here before that client is heard.
    func collectMail(_ peers: ShardPeers) {
        let mailbox = peers.mailboxes[index]
        guard mailbox.isWaiting else { return }
        var mail = mailbox.takeAll()
        for index in mail.indices { shard.receive(mail[index], at: loop.now) }
        if mailbox.finish(&mail, noting: peers.crowd) { wakeOthers(peers) }
    }

    /// Whoever waits for this shard looks again at the end of the tick.
    private func wakeOthers(_ peers: ShardPeers) {
        for (other, server) in peers.servers.enumerated() where other != index {
            server.run { _ in }
        }
    }

    /// Sends what this tick has for the other shards.
    func postMail(_ peers: ShardPeers) {
        for other in peers.mailboxes.indices where other != index {
            guard shard.takeMail(for: other, &outgoing) else { continue }
            peers.mailboxes[other].post(&outgoing, noting: peers.crowd)
        }
    }

    /// Lets clients wait that publish for a shard which is behind.
    func noteCrowd(_ peers: ShardPeers) {
        noteUncommitted(peers)
        let behind =
            peers.crowd.load(ordering: .relaxed) | peers.uncommitted.load(ordering: .relaxed)
        let crowd = behind & ~(1 << UInt64(index))
        guard crowd != knownCrowd else { return }
        knownCrowd = crowd
        shard.setCrowded(crowd, at: loop.now)
    }

    /// Says whether this shard has so much to commit that whoever publishes for it must wait.
    private func noteUncommitted(_ peers: ShardPeers) {
        let isBehind = shard.isBehindStore(since: wasBehindStore)
        guard isBehind != wasBehindStore else { return }
        wasBehindStore = isBehind
        let bit: UInt64 = 1 << UInt64(index)
        if isBehind {
            peers.uncommitted.bitwiseOr(bit, ordering: .relaxed)
        } else {
            peers.uncommitted.bitwiseAnd(~bit, ordering: .relaxed)
            wakeOthers(peers)
        }
    }

    /// Hands a connection over to the shard of its client identifier, with all that is known of it.
    func move(_ id: ConnectionID, to target: Int) {
        guard let peers, let link = link(id), let moved = shard.release(id) else { return }
        forget(link)
        let handedOver = HandedOver(givingAway: link)
        peers.servers[target].run { server in server.adopt(handedOver.value, moved) }
    }

    /// Goes on with a connection that another loop has begun.
    private func adopt(_ link: Link, _ moved: MovedConnection) {
        let id = shard.adopt(moved, at: loop.now)
        link.id = id
        link.state.remove(.paused)
        do throws(IOError) {
            if isStopping { return drop(link, .shuttingDown) }
            try keep(link)
        } catch {
            log.error("cannot serve a connection", ["address": link.peer, "error": error])
            return drop(link, .connectionFailed("\(error)"))
        }
        if !contexts.isEmpty { review(link) }
        shard.takeMoved(id, at: loop.now)
    }

    /// Ends a connection that is not watched here yet.
    private func drop(_ link: Link, _ cause: DisconnectCause) {
        link.terms.leave(link.state.contains(.countsAddress) ? link.peer : nil, at: loop.now)
        shard.closed(link.id, cause, at: loop.now)
    }
}
