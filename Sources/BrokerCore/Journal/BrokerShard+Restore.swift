import MQTT

extension BrokerShard {
    /// Goes on with what a store held: an empty shard becomes the one that wrote it.
    ///
    /// Takes the sessions that belong here out of `state`. Where `state.needsNewStore(shards:)`, the shell has
    /// `rewriteWhole` called and commits that before anything else. Clients that were connected have lost their
    /// connection now; a QoS 2 message that was committed and not routed is routed.
    ///
    /// - Returns: how many messages wait in the sessions.
    @discardableResult
    public mutating func restore(_ state: inout RecoveredState, at now: MonotonicTime) -> Int {
        precondition(sessions.isEmpty && retained.count == 0, "only an empty shard is restored")
        guard journal.isRecording else { return 0 }
        let mine = UInt16(truncatingIfNeeded: position.index)
        let isSame = state.shardCount == position.count && !state.isSalvaged
        journal.resume(
            after: state.lastTurns[mine] ?? TurnNumber(rawValue: 0), storedBytes: state.bytes)
        retained = state.retained
        retained.forEachValue { message in
            if message.hasExpiry { nextSweep = min(nextSweep, message.expiresAt) }
        }
        if nextSweep < .distantFuture { addDeadline(nextSweep, .sweep, 0, 0) }
        var messages = 0
        for name in state.sessions.keys.sorted() {
            guard let clientID = state.sessions[name]?.clientID,
                ShardPosition.shard(ofClientID: clientID.span, count: position.count)
                    == position.index, sessionsByClientID[clientID] == nil,
                let session = state.sessions.removeValue(forKey: name)
            else { continue }
            let number = isSame ? name.number : nextSessionNumber
            messages += restore(session, number, now)
            nextSessionNumber = max(nextSessionNumber, number + 1)
        }
        // Those that were to end with their connections, which have ended.
        for s in 0..<sessions.slotCount where sessions.read(s, { $0.isTransient }) {
            endSession(s, now)
        }
        return messages
    }

    private mutating func restore(
        _ kept: RecoveredState.Session, _ number: UInt64, _ now: MonotonicTime
    ) -> Int {
        var session = Session(
            number: number, clientID: kept.clientID, owner: kept.owner,
            expirySeconds: kept.expirySeconds)
        session.isRecorded = true
        session.listener = kept.listener
        session.isReserved = isReserved(kept.clientID, kept.owner)
        session.nextPosition = kept.nextPosition
        session.detachedAt = kept.detachedAt ?? now
        let detachedAt = session.detachedAt
        let key = sessions.insert(session)
        let s = key.index
        sessionsByClientID[kept.clientID] = s
        for (filter, options, isShared) in kept.subscriptions {
            restoreSubscription(s, filter, options, isShared: isShared)
        }
        restoreEntries(s, kept)
        restoreIncoming(s, kept)
        restoreLookups(s, kept, now)
        if kept.expirySeconds != Session.never {
            sessions[s].expiresAt = detachedAt + .seconds(Int(kept.expirySeconds))
        }
        if let will = kept.will {
            sessions[s].will = will
            sessions[s].willDelaySeconds = kept.willDelaySeconds
            sessions[s].willDue = detachedAt + .seconds(Int(kept.willDelaySeconds))
        }
        scheduleSession(s)
        // The rules may have changed while nobody was here.
        reviewRights(s)
        return sessions.read(s) { $0.pendingMessages }
    }

    private mutating func restoreSubscription(
        _ s: UInt32, _ bytes: [UInt8], _ options: UInt32, isShared: Bool
    ) {
        // Limits may have become tighter; what a client was granted stays.
        let limits = TopicLimits(maximumLevels: .max, maximumWildcardFilters: .max)
        guard !isShared || offersShares,
            let filter = try? TopicFilter(
                validating: bytes.span, limits: limits, sharedSubscriptions: isShared)
        else { return }
        _ = insert(filter, SubscriptionBits(rawValue: options), s)
    }

    private mutating func restoreEntries(_ s: UInt32, _ kept: RecoveredState.Session) {
        var inFlight: [InFlightWindow<InFlightMessage>.Kept] = []
        for position in kept.entries.keys.sorted() {
            guard var entry = kept.entries[position] else { continue }
            if let share = entry.share, let group = shares.group(of: share) {
                entry.options.group = shares.number(of: group)
                sessions[s].hasSharedMessages = true
            }
            if let message = entry.message {
                sessions[s].keptBytes += message.keptBytes
                journal.live(message.keptBytes)
            }
            if entry.packetID == 0 {
                guard let message = entry.message else { continue }
                let queued = QueuedMessage(
                    message: message, options: entry.options, position: position)
                sessions[s].queue.append(queued)
                sessions[s].queuedBytes += queued.cost
            } else {
                let stage: InFlightWindow<InFlightMessage>.Stage =
                    entry.stage == RecoveredState.released
                    ? .awaitingPubComp : Self.stage(entry.options.qos)
                inFlight.append(
                    .init(
                        id: entry.packetID, stage: stage, releaseOrder: entry.releaseOrder,
                        payload: InFlightMessage(
                            message: entry.message, options: entry.options, position: position)))
            }
        }
        sessions[s].window = InFlightWindow(
            restoring: inFlight, maximumSpan: Session.maximumSpan)
    }

    private mutating func restoreIncoming(_ s: UInt32, _ kept: RecoveredState.Session) {
        for packetID in kept.incomingOrder {
            guard let message = kept.incoming[packetID] else { continue }
            sessions[s].incoming.insert(packetID)
            sessions[s].recordedIncoming.insert(packetID)
            // Which it was is not recorded; the stronger promise holds for both.
            if durabilities.strongest == .power { sessions[s].powerIncoming.insert(packetID) }
            guard let message else { continue }
            heldMessages.append(
                HeldMessage(
                    turn: journal.committed, publisher: SessionID(sessions.key(at: s)),
                    packetID: packetID, message: message))
        }
    }

    private mutating func restoreLookups(
        _ s: UInt32, _ kept: RecoveredState.Session, _ now: MonotonicTime
    ) {
        for (bytes, qos, identifier) in kept.lookups {
            guard let qos = QoS(rawValue: qos),
                let filter = try? TopicFilter(
                    validating: bytes.span,
                    limits: TopicLimits(maximumLevels: .max, maximumWildcardFilters: .max),
                    sharedSubscriptions: false)
            else { continue }
            sessions[s].lookups.append(
                RetainedLookup(filter: filter, qos: qos, identifier: identifier))
        }
        if !sessions[s].lookups.isEmpty { scheduleLookup(s, now) }
    }

    /// Routes what was committed and not routed when the process before this one ended. Call it once
    /// every shard is restored.
    public mutating func routeRestored(at now: MonotonicTime) {
        releaseHeld(through: journal.committed, now)
    }
}
