import BrokerCore
import IO
import Synchronization

/// The other shards, as each shard's loop sees them. Made once, before their threads start.
final class ShardPeers: Sendable {
    /// By shard, the own one among them.
    let mailboxes: [ShardMailbox]
    let servers: [LoopBound<ShardServer>]
    /// Shards whose mailbox holds too much, one bit for each.
    let crowd = Atomic<UInt64>(0)
    /// Shards that have more to commit than they may, one bit for each.
    let uncommitted = Atomic<UInt64>(0)

    init(_ servers: [ShardServer], mailLimit: Int) {
        self.servers = servers.map { LoopBound($0, on: $0.loop) }
        mailboxes = servers.enumerated().map { index, server in
            ShardMailbox(of: index, on: server.loop, limit: mailLimit)
        }
    }
}
