import MQTT

/// Writing anew what is live, so that old turns can be deleted.
///
/// It goes on beside the traffic, a piece for each turn: first each session, its window and its queue,
/// then the retained messages. What changes meanwhile is recorded as always; a record may be read twice.
/// When all is written and committed, everything up to the turn before the first piece goes.
struct Rewrite {
    /// Turns up to this one are obsolete in the end.
    let through: TurnNumber
    var isBegun = false
    /// What the store holds at the end.
    var writtenBytes = 0
    var session: UInt32 = 0
    /// The next position of this session's queue; 0: the session itself is next.
    var position: UInt64 = 0
    var retainedPlace = 0
}

extension BrokerShard {
    /// Bytes that the state would take if it were written anew, about.
    var liveBytes: Int {
        journal.liveBytes + retained.byteCount / position.count + sessions.count * 128
            + subscriptions.count * 64
    }

    /// Begins to write everything anew when too much of what is stored is dead.
    mutating func rewriteIfWasteful() {
        guard rewrite == nil, journal.isRecording, !journal.isCommitting else { return }
        // With no room on the disk every byte counts, but what is written anew needs some itself: until it
        // is little beside what goes, whoever takes and acknowledges messages makes it less.
        let limits = journal.limits
        let allowed =
            hasStoreRoom
            ? 2 * liveBytes + (isStoreTight ? limits.promptBytes : limits.slackBytes)
            : 8 * liveBytes + limits.promptBytes
        guard journal.storedBytes > allowed else { return }
        beginRewrite()
    }

    /// Begins to write everything anew: for a store that is new, or in which much is dead.
    mutating func beginRewrite() {
        rewrite = Rewrite(through: journal.committed)
    }

    /// Writes the next piece.
    mutating func rewriteSome(_ now: MonotonicTime) {
        guard var state = rewrite, !journal.isCommitting else { return }
        let start = journal.gatheredBytes
        let end = start + journal.limits.promptBytes
        while journal.gatheredBytes < end, rewriteNext(&state) {}
        state.writtenBytes += journal.gatheredBytes - start
        rewrite = state
        if state.session >= sessions.slotCount && state.retainedPlace >= retained.placeCount {
            rewrite = nil
            journal.forget(through: state.through, storedBytes: state.writtenBytes)
        }
    }

    /// Writes the next session, message or retained message; false when there is none.
    mutating func rewriteNext(_ state: inout Rewrite) -> Bool {
        if !state.isBegun {
            state.isBegun = true
            rewriteHeld()
            return true
        }
        if state.session < sessions.slotCount {
            rewriteSession(&state)
            return true
        }
        guard state.retainedPlace < retained.placeCount else { return false }
        if let message = retained.value(at: state.retainedPlace),
            message.publisher != nil  // Not what the server says of itself.
        {
            recordRetained(message)
        }
        state.retainedPlace += 1
        return true
    }

    private mutating func rewriteSession(_ state: inout Rewrite) {
        let s = state.session
        guard sessions.isOccupied(s), isKept(s) else {
            state.session += 1
            state.position = 0
            return
        }
        if state.position == 0 {
            rewriteState(s)
            rewriteWindow(s)
            state.position = 1
        }
        let end = journal.gatheredBytes + journal.limits.promptBytes
        var place = firstQueued(s, from: state.position)
        while place < sessions[s].queue.count {
            let entry = sessions[s].queue[place]
            place += 1
            guard entry.position != 0 else { continue }
            rewriteQueued(s, entry)
            state.position = entry.position + 1
            if journal.gatheredBytes >= end { return }
        }
        state.session += 1
        state.position = 0
    }

    /// The session, its subscriptions, its will, and the identifiers that wait for PUBREL.
    private mutating func rewriteState(_ s: UInt32) {
        recordSession(s)
        for filter in filters(of: s).reversed() {
            let bits =
                filter.isShared
                ? membership(filter, s)?.bits.rawValue
                : subscriptions.options(filter, subscriber: s)
            if let bits { recordSubscribed(s, filter, bits) }
        }
        recordWill(s)
        for index in 0..<sessions[s].lookups.count {
            let lookup = sessions[s].lookups[index]
            recordLookup(s, lookup)
        }
        rewriteIncoming(s)
    }

    /// The identifiers that wait for PUBREL.
    private mutating func rewriteIncoming(_ s: UInt32) {
        guard sessions[s].recordedIncoming.count > 0 else { return }
        for packetID in sessions[s].recordedIncoming.all {
            let isPower = sessions[s].powerIncoming.contains(packetID)
            recordIdentifier(s, packetID, isPower ? .power : .process)
        }
    }

    /// QoS 2 messages that are to be routed, or whose other shards have not committed them; and what this
    /// shard has routed of those of others.
    private mutating func rewriteHeld() {
        recordLayout()
        for shard in exchange.peers.indices where exchange.peers[shard].taken > 0 {
            recordTaken(exchange.peers[shard].taken, of: shard)
        }
        for taken in exchange.takenShares { recordTaken(taken) }
        for index in 0..<exchange.settlements.count {
            let settlement = exchange.settlements[index].settlement
            guard case .routed(let serial, let session, let message) = settlement else { continue }
            recordHeld(serial, session, message, durability(of: message))
        }
        for index in 0..<heldMessages.count {
            let held = heldMessages[index]
            recordHeld(held.serial, held.session, held.message, durability(of: held.message))
        }
    }

    private mutating func rewriteWindow(_ s: UInt32) {
        for kept in sessions[s].window.kept().sorted(by: { $0.releaseOrder < $1.releaseOrder }) {
            let entry = kept.payload
            guard entry.position != 0 else { continue }
            let isReleased = kept.stage == .awaitingPubComp
            let stage =
                isReleased
                ? RecoveredState.released : entry.options.qos.rawValue - 1
            recordInFlight(
                s, isReleased ? nil : entry.message, entry.options, kept.id, entry.position,
                stage: stage, entry.message.map { durability(of: $0) } ?? .process)
        }
    }

    private mutating func rewriteQueued(_ s: UInt32, _ entry: QueuedMessage) {
        let durability = durability(of: entry.message)
        let place = journal.place(of: entry.message)
        journal.begin(.queued, durability)
        journal.put(sessions[s].number)
        journal.put(entry.position)
        journal.put(
            entry.options, share: share(entry.options))
        journal.put(place)
    }

    /// The place of the first entry of the queue at `position` or behind it; positions only rise.
    private func firstQueued(_ s: UInt32, from position: UInt64) -> Int {
        sessions.read(s) { session in
            var low = 0
            var high = session.queue.count
            while low < high {
                let middle = (low + high) / 2
                // An entry that is not recorded has no position; the next one that has decides.
                var probe = middle
                while probe < high, session.queue[probe].position == 0 { probe += 1 }
                if probe < high && session.queue[probe].position < position {
                    low = probe + 1
                } else {
                    high = middle
                }
            }
            return low
        }
    }
}
