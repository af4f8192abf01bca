import BrokerCore
import IO
import Synchronization

/// Mail from the other shards that waits for one shard's loop.
///
/// All that a turn has for a shard is one entry: one lock, and one write that wakes the loop where it did
/// not have mail already. Emptied mail goes back to the senders, with its memory.
final class ShardMailbox: Sendable {
    private struct Contents {
        var waiting: [ShardMail] = []
        var emptied: [ShardMail] = []
        /// Bytes of what waits and of what is being read.
        var bytes = 0
    }

    private let contents = Mutex(Contents())
    private let hasMail = Atomic(false)
    private let remote: EventLoop.Remote
    /// Which shard reads it.
    private let bit: UInt64
    private let limit: Int

    /// Emptied mail that is kept for the next turns.
    private static let keptMail = 4

    /// - Parameter limit: bytes above which the shard is behind, until half of them are read.
    init(of shard: Int, on loop: EventLoop, limit: Int) {
        bit = 1 << UInt64(shard)
        remote = loop.remote
        self.limit = limit
    }

    /// Whether there is something to read; free of a lock.
    var isWaiting: Bool { hasMail.load(ordering: .acquiring) }

    /// Sends `mail`, and puts empty mail into its place.
    func post(_ mail: inout ShardMail, noting crowd: borrowing Atomic<UInt64>) {
        let isFirst = contents.withLock { contents in
            contents.bytes += mail.cost
            contents.waiting.append(mail)
            mail = contents.emptied.popLast() ?? ShardMail()
            if contents.bytes > limit { crowd.bitwiseOr(bit, ordering: .relaxed) }
            hasMail.store(true, ordering: .releasing)
            return contents.waiting.count == 1
        }
        // The loop reads its mail at the end of a tick in any case: a tick is all it needs.
        if isFirst { remote.enqueue { _ in } }
    }

    /// All that waits, oldest first.
    func takeAll() -> [ShardMail] {
        contents.withLock { contents in
            let mail = contents.waiting
            contents.waiting = []
            hasMail.store(false, ordering: .relaxed)
            return mail
        }
    }

    /// Gives mail back that was read, emptied. True when the shard has caught up by that.
    func finish(_ mail: inout [ShardMail], noting crowd: borrowing Atomic<UInt64>) -> Bool {
        var bytes = 0
        for index in mail.indices {
            bytes += mail[index].cost
            mail[index].removeAll()
        }
        return contents.withLock { contents in
            contents.bytes -= bytes
            let room = max(0, Self.keptMail - contents.emptied.count)
            contents.emptied.append(contentsOf: mail.prefix(room))
            guard contents.bytes <= limit / 2 else { return false }
            let (before, _) = crowd.bitwiseAnd(~bit, ordering: .relaxed)
            return before & bit != 0
        }
    }
}
