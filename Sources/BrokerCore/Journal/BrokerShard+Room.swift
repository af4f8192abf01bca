import MQTT
import Synchronization

/// What happens when the store cannot keep up, or has no room.
extension BrokerShard {
    /// The store has room for more, or not: no space on its disk, or less than the floor.
    public mutating func setStoreRoom(_ hasRoom: Bool, at now: MonotonicTime) {
        board.isOutOfStoreRoom.store(!hasRoom, ordering: .relaxed)
        checkStoreRoom(now)
        // Nothing may be committed from here on until there is room: what is dead goes now.
        rewriteIfWasteful()
    }

    /// The store was replaced by an empty one: all that is live is the next turn, and nothing that was
    /// handed over counts.
    public mutating func rewriteWhole(at now: MonotonicTime) {
        guard journal.isRecording else { return }
        journal.takeBack()
        if restored != nil {
            // What was held is routed, and all shards are committed at once.
            exchange.settlements.removeAll()
            exchange.takenShares = []
            for shard in exchange.peers.indices { exchange.peers[shard].taken = 0 }
        }
        var state = Rewrite(through: TurnNumber(rawValue: 0))
        while rewriteNext(&state) {}
        rewrite = nil
        journal.replaceStore(at: now)
    }

    /// What the operator sees of the journal.
    public var journalFigures: JournalFigures {
        JournalFigures(
            isRecording: journal.isRecording, storedBytes: journal.storedBytes,
            liveBytes: journal.isRecording ? liveBytes : 0,
            uncommittedBytes: journal.uncommittedBytes, isRewriting: rewrite != nil,
            isTight: isStoreTight)
    }

    /// Looks whether messages that must be kept can be taken; those who waited for it go on.
    mutating func checkStoreRoom(_ now: MonotonicTime) {
        guard journal.isRecording else { return }
        isStoreTight = findsStoreTight
        resumeWaiting(now)
    }

    /// Whether the disk has room; one shard that finds none says so for all.
    var hasStoreRoom: Bool { !board.isOutOfStoreRoom.load(ordering: .relaxed) }

    /// Whether there is no room for more that must be kept.
    var findsStoreTight: Bool {
        !hasStoreRoom || 2 * totalLiveBytes > configuration.journal.storeBytes
    }

    /// Whether taking this message would write to the store: somebody keeps it.
    mutating func mustBeKept(
        _ view: MessageView, _ source: Span<UInt8>, from publisher: UInt32
    ) -> Bool {
        let topic = source.extracting(view.topic.range)
        let isDurable = durabilities.durability(of: topic) != .memory
        if view.isRetained && isDurable && !view.payload.isEmpty { return true }
        guard view.qos != .atMostOnce else { return false }
        if view.qos == .exactlyOnce && isDurable && isKept(publisher) { return true }
        if position.count > 1, isDurable || !configuration.reserved.isEmpty, isKeptElsewhere(topic)
        {
            return true
        }
        let isWanted = isWantedReliably(topic) { shard, s in
            shard.isKept(s) && (isDurable || shard.sessions[s].isReserved)
        }
        return isWanted || isWantedByShare(topic, isDurable: isDurable)
    }

    /// Whether one of the sessions that ask for the topic at QoS 1 or 2 is such a one.
    mutating func isWantedReliably(
        _ topic: Span<UInt8>, by isSuch: (inout BrokerShard, UInt32) -> Bool
    ) -> Bool {
        matchedTopic.forget()
        var found = MatchBuffer()
        swap(&found, &matches)
        defer { swap(&found, &matches) }
        subscriptions.match(topic, into: &found)
        for index in found.matches.indices {
            let bits = SubscriptionBits(rawValue: found.matches[index].options)
            if bits.qosBits > 0 && isSuch(&self, found.matches[index].subscriber) { return true }
        }
        return false
    }

    /// Whether there is no room for a message: in the store, or in memory.
    mutating func lacksRoom(
        for view: MessageView, _ source: Span<UInt8>, from publisher: UInt32
    ) -> Bool {
        if isStoreTight && mustBeKept(view, source, from: publisher) {
            counters.publishesRefusedByStore += 1
            return true
        }
        guard memory.isTight && mustBeHeld(view, source) else { return false }
        counters.publishesRefusedByMemory += 1
        noteMemory()
        return true
    }

    /// A message comes for which there is no room: 5.0 clients are told. Others cannot be: they are not
    /// read for a while, in which room may be made, and then closed.
    mutating func refuseForRoom(
        _ publish: Publish, _ c: UInt32, _ now: MonotonicTime
    ) {
        if position.count > 1 || memory.isTight { watchRoom(now) }
        if connections[c].isVersion5, let packetID = publish.packetID {
            let kind: PacketType = publish.qos == .atLeastOnce ? .pubAck : .pubRec
            return sendRefusal(
                c, kind, packetID, .quotaExceeded, "there is no room to keep the message")
        }
        guard publish.packetID != nil else { return }
        connections[c].awaitsRoom = true
        connections[c].waitsUntil = now + configuration.limits.storePatience
        pauseReading(c)
        setConnectionDeadline(c, connections[c].waitsUntil)
        waiting.append(ConnectionID(connections.key(at: c)))
    }

    /// Whether so much is not committed that other shards must not send more; once it was so (`before`),
    /// until half of it is.
    public func isBehindStore(since before: Bool) -> Bool {
        let limit = journal.limits.uncommittedBytes
        return journal.uncommittedBytes > (before ? limit / 2 : limit)
    }

    /// Another shard may make room, as clients do in memory, and does not tell: it is looked for as long as anybody waits.
    mutating func watchRoom(_ now: MonotonicTime) {
        guard !watchesRoom else { return }
        watchesRoom = true
        addDeadline(now + Self.roomPause, .room, 0, 0)
    }

    mutating func roomIsDue(_ now: MonotonicTime) {
        watchesRoom = false
        weighMemory()
        checkStoreRoom(now)
        resumeWaiting(now)
        if (isStoreTight || memory.isTight) && !waiting.isEmpty { watchRoom(now) }
    }

    private static var roomPause: Duration { .milliseconds(100) }

    /// So much is not committed yet that whoever publishes more waits for the store.
    @inline(__always)
    mutating func waitForCommit(_ c: UInt32) {
        guard journal.uncommittedBytes > journal.limits.uncommittedBytes else { return }
        pauseForCommit(c)
    }

    private mutating func pauseForCommit(_ c: UInt32) {
        guard connections[c].phase == .connected, !connections[c].awaitsCommit else { return }
        connections[c].awaitsCommit = true
        pauseReading(c)
        waiting.append(ConnectionID(connections.key(at: c)))
    }

    /// Goes on with those who waited for room or for a commit.
    mutating func resumeWaiting(_ now: MonotonicTime) {
        guard !waiting.isEmpty,
            journal.uncommittedBytes <= journal.limits.uncommittedBytes / 2
        else { return }
        for _ in 0..<waiting.count {
            guard let id = waiting.popFirst() else { return }
            guard connections.contains(id.key), connections[id.index].phase == .connected
            else { continue }
            let c = id.index
            if connections[c].awaitsRoom && (isStoreTight || memory.isTight) {
                waiting.append(id)
                continue
            }
            connections[c].awaitsRoom = false
            connections[c].awaitsCommit = false
            connections[c].lastReceived = now
            if let deadline = keepAliveDeadline(c) { setConnectionDeadline(c, deadline) }
            takeInput(c, now)
            if connections[c].mayBeRead { resumeReading(c) }
        }
    }
}

/// The state of a journal and its store, for people.
public struct JournalFigures: Sendable, Equatable {
    public var isRecording: Bool
    /// Bytes of all turns that the store holds.
    public var storedBytes: Int
    /// Bytes that the state would take if it were written anew, about.
    public var liveBytes: Int
    /// Bytes that are not committed yet.
    public var uncommittedBytes: Int
    public var isRewriting: Bool
    /// Messages that must be kept are refused.
    public var isTight: Bool
}
