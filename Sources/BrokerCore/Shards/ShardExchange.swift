import MQTT

/// A message that a shard held, and a group that got it.
struct TakenShare: Hashable {
    var origin: HeldOrigin
    /// With `$share/{name}/`.
    var filter: [UInt8]
}

/// What a shard and the others owe each other where messages are kept: what crossed is confirmed once it
/// is safe, and nothing is promised before.
///
/// Each shard commits its own turns, and waits for no other to do so. A turn is complete when it is
/// committed and all mail that it awaits is confirmed; a confirmation says that the turn which recorded the
/// mail is committed, not that it is complete. So no shard waits for one that waits for it.
struct ShardExchange {
    /// This shard and one other.
    struct Peer {
        /// The number of the mail that is gathered for it now.
        var gathering: UInt64 = 1
        /// The last mail to it that is waited for.
        var awaited: UInt64 = 0
        /// The last mail to it that it has confirmed.
        var confirmed: UInt64 = 0
        /// Mail from it that waits for a turn of ours.
        var unconfirmed = RingQueue<Unconfirmed>()
        /// The last mail from it of which all is safe.
        var safe: UInt64 = 0
        /// The last one that it has been told of.
        var told: UInt64 = 0
        /// The last message that it held and this shard has routed; of the shard itself, too.
        var taken: UInt64 = 0

        var lastUnconfirmed: Unconfirmed? {
            unconfirmed.isEmpty ? nil : unconfirmed[unconfirmed.count - 1]
        }
    }

    struct Unconfirmed {
        var number: UInt64
        /// Committed it must be; complete, where the mail brought something for a third shard.
        var turn: TurnNumber
        var relays = false
    }

    /// A turn that was handed over, with the mail that it awaits, by shard.
    struct OpenTurn {
        var turn: TurnNumber
        var awaited: [UInt64]
    }

    /// What is recorded once the turn is complete in which it was routed.
    enum Settlement {
        /// A QoS 2 message that was held, of the session of that number.
        case routed(serial: UInt64, session: UInt64, Message)
        /// The will of a session, or of one before it that has ended meanwhile.
        case will(SessionID)
        /// A session that ended with its will.
        case ended(number: UInt64)
        /// What a session got of shared subscriptions and others have now.
        case left(session: UInt64, positions: [UInt64])
    }

    var peers: [Peer]
    var openTurns = RingQueue<OpenTurn>()
    var settlements = RingQueue<(turn: TurnNumber, settlement: Settlement)>()
    /// Counts what other shards were asked to commit: the same before and after what they need not.
    var awaits: UInt64 = 0
    /// What groups got here, until the shards that held it know.
    var takenShares: [TakenShare] = []
    /// What this shard held up to this message is routed, which is committed.
    var settled: UInt64 = 0
    /// The same once the turn that was handed over is committed.
    var settling: UInt64 = 0
    /// The number of the message that was held last.
    var lastSerial: UInt64 = 0

    init(shards count: Int) { peers = Array(repeating: Peer(), count: count) }

    func isConfirmed(_ open: OpenTurn) -> Bool {
        for (peer, awaited) in zip(peers, open.awaited) where awaited > peer.confirmed {
            return false
        }
        return true
    }
}

extension BrokerShard {
    /// Nothing of this turn is promised before these shards have committed what they are sent of it.
    mutating func awaitPeers(_ shards: ShardSet) {
        guard journal.isRecording, !shards.isEmpty else { return }
        var rest = shards
        while let shard = rest.popFirst() {
            exchange.peers[shard].awaited = exchange.peers[shard].gathering
            outboxes[shard].awaitsConfirmation = true
        }
        exchange.awaits &+= 1
        journal.awaitPeers()
    }

    /// Closes the turn for the other shards: what it awaits is known now.
    mutating func openTurn(_ now: MonotonicTime) {
        exchange.settling = settledSerial
        if journal.handedOver <= journal.committed { noteSettled() }
        exchange.openTurns.append(
            ShardExchange.OpenTurn(
                turn: journal.handedOver, awaited: exchange.peers.map(\.awaited)))
        completeTurns(now)
    }

    /// What mail brought is recorded; when all of it is safe its sender is told.
    @inline(never)
    mutating func settle(
        _ mail: borrowing ShardMail, since mark: UInt64, relays: Bool, _ now: MonotonicTime
    ) {
        let sender = mail.sender
        forgetTaken(of: sender, through: mail.settled)
        if mail.confirmed > exchange.peers[sender].confirmed {
            exchange.peers[sender].confirmed = mail.confirmed
            completeTurns(now)
        }
        guard mail.awaitsConfirmation else { return }
        if journal.mark != mark {
            exchange.peers[sender].unconfirmed.append(
                ShardExchange.Unconfirmed(
                    number: mail.number, turn: journal.current, relays: relays))
        } else if let last = exchange.peers[sender].lastUnconfirmed {
            // A confirmation is for all mail before it, too.
            exchange.peers[sender].unconfirmed.append(
                ShardExchange.Unconfirmed(number: mail.number, turn: last.turn))
        } else {
            exchange.peers[sender].safe = mail.number
        }
    }

    /// What was handed over is committed, "routed" among it: what groups got of that need not be remembered.
    mutating func noteSettled() {
        exchange.settled = exchange.settling
        forgetTaken(of: position.index, through: exchange.settled)
    }

    /// What this shard held up to this message is routed, and safe wherever it is kept.
    private var settledSerial: UInt64 {
        for index in 0..<exchange.settlements.count {
            if case .routed(let serial, _, _) = exchange.settlements[index].settlement {
                return serial - 1
            }
        }
        return (heldMessages.peek { $0.serial }).map { $0 - 1 } ?? exchange.lastSerial
    }

    private mutating func forgetTaken(of shard: Int, through serial: UInt64) {
        guard !exchange.takenShares.isEmpty else { return }
        exchange.takenShares.removeAll { $0.origin.shard == shard && $0.origin.serial <= serial }
    }

    /// Turns were committed or completed: mail that they recorded is safe.
    mutating func confirmMail() {
        for shard in exchange.peers.indices {
            while let first = exchange.peers[shard].unconfirmed.first,
                first.turn <= (first.relays ? journal.completed : journal.committed)
            {
                _ = exchange.peers[shard].unconfirmed.popFirst()
                exchange.peers[shard].safe = first.number
            }
        }
    }

    /// Completes the turns that are committed, and of which other shards have confirmed all.
    mutating func completeTurns(_ now: MonotonicTime) {
        while let open = exchange.openTurns.first, open.turn <= journal.committed,
            exchange.isConfirmed(open)
        {
            _ = exchange.openTurns.popFirst()
            complete(open.turn)
            confirmMail()
        }
    }

    /// Records what waited until a turn was complete.
    mutating func settle(through turn: TurnNumber) {
        while let next = exchange.settlements.first, next.turn <= turn {
            _ = exchange.settlements.popFirst()
            switch next.settlement {
            case .routed(let serial, _, _): recordRouted(serial)
            case .will(let id):
                // It may have another will by now.
                if sessions.contains(id.key), sessions[id.key.index].will == nil {
                    recordWillCleared(id.key.index)
                }
            case .ended(let number): recordSessionEnd(number: number)
            case .left(let session, let positions):
                for position in positions { recordDropped(position, ofSession: session) }
            }
        }
    }
}
