import MQTT
import Synchronization

/// Between this shard and the others; with one shard nothing of it is called.
extension BrokerShard {
    /// Puts a message into the mail of the shards that may have subscribers for it, or of all where it is
    /// retained. Says whether there are any.
    @inline(never)
    mutating func forward(
        _ source: Span<UInt8>, _ delivery: inout Delivery, from publisher: UInt32
    ) -> Bool {
        let topic = source.extracting(delivery.view.topic.range)
        var targets = others
        var keepers = ShardSet.none
        if delivery.view.isRetained {
            stamp(&delivery, source)
            keepers = keeper(ofRetained: topic)
        }
        if !delivery.view.isRetained || keptInterest != nil && delivery.view.qos != .atMostOnce {
            seek(topic)
            if !delivery.view.isRetained { targets = soughtShards }
            if delivery.view.qos != .atMostOnce { keepers = keepers.union(soughtKeepers) }
        }
        guard !targets.isEmpty else { return false }
        if targets.intersects(crowded) { awaitShard(publisher) }
        if !keepers.isEmpty { awaitPeers(keepers) }
        if delivery.view.isRetained || delivery.message != nil
            || delivery.view.payload.count > ShardMail.largestCopy
        {
            let message = delivery.shared(in: source, counting: meter)
            while let shard = targets.popFirst() {
                outboxes[shard].append(
                    .published(message, stamp: delivery.stamp, origin: delivery.origin))
            }
        } else {
            while let shard = targets.popFirst() {
                outboxes[shard].append(delivery, in: source)
            }
        }
        return true
    }

    /// Finds who may want a topic, and who of them may keep what it brings.
    @inline(__always)
    private mutating func seek(_ topic: Span<UInt8>) {
        if soughtTopic.isRepeated(topic, at: board.interestChanges) { return }
        guard let interest = board.interest, let keeping = board.keeping else { return }
        soughtShards.bits = interest.shards(wanting: topic, among: others.bits)
        soughtKeepers.bits =
            keptInterest == nil ? 0 : keeping.shards(wanting: topic, among: others.bits)
    }

    /// A session that outlives its connections subscribes: before its SUBACK leaves, other shards know.
    mutating func noteKept(_ filter: TopicFilter) { keptInterest?.insert(filter) }

    mutating func unnoteKept(_ filter: TopicFilter) { keptInterest?.remove(filter) }

    /// Whether another shard may keep what is published to a topic.
    mutating func isKeptElsewhere(_ topic: Span<UInt8>) -> Bool {
        seek(topic)
        return !soughtKeepers.isEmpty
    }

    /// The shard that records what is retained of a topic, where that is another one.
    private mutating func keeper(ofRetained topic: Span<UInt8>) -> ShardSet {
        guard journal.isRecording else { return .none }
        let owner = ShardPosition.shard(ofTopic: topic, count: position.count)
        guard owner != position.index, durabilities.durability(of: topic) != .memory else {
            return .none
        }
        return ShardSet(only: owner)
    }

    /// Gives a retained message its place in the order of all; none where there is no room to keep it.
    /// The other shards do as this one decided, so that all keep the same.
    private mutating func stamp(_ delivery: inout Delivery, _ source: Span<UInt8>) {
        let topic = source.extracting(delivery.view.topic.range)
        if delivery.view.payload.isEmpty || hasRetainedRoom(topic, delivery.view) {
            delivery.stamp = board.nextStamp()
        } else {
            counters.droppedRetainedFull += 1
            log(.retainedFull)
        }
    }

    /// What this turn has for another shard, swapped for an empty `mail`. False where there is nothing.
    public mutating func takeMail(for shard: Int, _ mail: inout ShardMail) -> Bool {
        precondition(mail.isEmpty, "mail would be lost")
        guard position.count > 1, shard != position.index else { return false }
        let owesWord = exchange.peers[shard].safe > exchange.peers[shard].told
        guard owesWord || !outboxes[shard].isEmpty else { return false }
        swap(&mail, &outboxes[shard])
        mail.sender = position.index
        mail.settled = exchange.settled
        mail.number = exchange.peers[shard].gathering
        exchange.peers[shard].gathering += 1
        if owesWord {
            mail.confirmed = exchange.peers[shard].safe
            exchange.peers[shard].told = mail.confirmed
        }
        return true
    }

    /// Another shard has published something.
    public mutating func receive(_ mail: borrowing ShardMail, at now: MonotonicTime) {
        let source = mail.bytes.span
        let (mark, awaits) = (journal.mark, exchange.awaits)
        var (values, expiries) = (0, 0)
        for index in mail.entries.indices {
            let entry = mail.entries[index]
            guard !entry.isValue else {
                receive(mail.values[values], now)
                values += 1
                continue
            }
            var expiry: ShardMail.Expiry?
            if entry.flags.contains(.expires) {
                expiry = mail.expiries[expiries]
                expiries += 1
            }
            var delivery = entry.delivery(expiry, now: now)
            _ = routeHere(source, &delivery, from: Connection.noSession)
        }
        if mail.awaitsConfirmation || mail.confirmed != 0 {
            settle(mail, since: mark, relays: exchange.awaits != awaits, now)
        }
    }

    private mutating func receive(_ value: ShardValue, _ now: MonotonicTime) {
        switch value {
        case .published(let message, let stamp, let origin):
            routeHere(message, stamp: stamp, origin: origin, now)
            if let origin, journal.isRecording, restored?.layoutChanged != true {
                recordTaken(origin.serial, of: origin.shard)
            }
        case .shared(let message, let choice, let origin):
            takeShared(message, choice, origin, now)
        case .wanted(let member, let group): giveAway(member, group: group, now)
        }
    }
}

// MARK: - Counts of the whole broker

extension BrokerShard {
    /// Connections of all shards.
    var totalConnections: Int {
        board.connections.load(ordering: .relaxed) + connections.count - toldConnections
    }

    /// Sessions of all shards.
    var totalSessions: Int {
        board.sessions.load(ordering: .relaxed) + sessions.count - toldSessions
    }

    /// Tells the other shards how many connections and sessions there are here: at the end of each turn,
    /// and when a connection goes.
    mutating func tellCounts() {
        if connections.count != toldConnections {
            board.connections.wrappingAdd(connections.count - toldConnections, ordering: .relaxed)
            toldConnections = connections.count
        }
        if sessions.count != toldSessions {
            board.sessions.wrappingAdd(sessions.count - toldSessions, ordering: .relaxed)
            toldSessions = sessions.count
        }
        if journal.isRecording && liveBytes != toldLiveBytes {
            board.liveBytes.wrappingAdd(liveBytes - toldLiveBytes, ordering: .relaxed)
            toldLiveBytes = liveBytes
        }
    }

    /// What the state of all shards would take in the store if it were written anew, about.
    var totalLiveBytes: Int {
        board.liveBytes.load(ordering: .relaxed) + liveBytes - toldLiveBytes
    }
}

// MARK: - Shards that are behind

extension BrokerShard {
    /// Which shards have more mail waiting than `limits.exchangeBytes`: whoever publishes for them waits.
    ///
    /// - Parameter bits: one for each shard.
    public mutating func setCrowded(_ bits: UInt64, at now: MonotonicTime) {
        crowded = ShardSet(bits: bits)
        guard crowded.isEmpty else { return }
        while let id = awaitingShards.popFirst() {
            guard connections.contains(id.key) else { continue }
            let c = id.index
            connections[c].awaitsShard = false
            // It may have said that it lives; nobody listened.
            connections[c].lastReceived = now
            guard connections.read(c, { $0.mayBeRead }),
                connections[c].output.count < memory.outputLimit
            else { continue }
            resumeReading(c)
        }
    }

    /// Takes nothing more from a client until the shard that it publishes for has caught up.
    mutating func awaitShard(_ publisher: UInt32) {
        guard publisher != Connection.noSession else { return }
        let c = sessions[publisher].connection
        guard c != Session.noConnection, !connections[c].awaitsShard else { return }
        connections[c].awaitsShard = true
        awaitingShards.append(ConnectionID(connections.key(at: c)))
        pauseReading(c)
    }
}
