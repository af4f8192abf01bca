import MQTT

/// What a shard must know while it routes what was held when the process before it ended.
struct RestoredShard {
    /// The shard of the store that each session comes from, by its index; only where messages were held.
    var origins: [UInt32: UInt16] = [:]
    let taken: [UInt16: [UInt16: UInt64]]
    let takenShares: Set<TakenShare>
    /// Messages of groups, whose numbers are not known before all members are there.
    var shared: [(session: UInt32, position: UInt64, filter: [UInt8])] = []
    let shardCount: Int
    let layoutChanged: Bool

    /// Whether a shard of the store had routed this message when the process ended.
    func hasTaken(_ origin: HeldOrigin, _ shard: UInt16) -> Bool {
        let serial = taken[shard]?[UInt16(truncatingIfNeeded: origin.shard)] ?? 0
        return serial >= origin.serial
    }

    /// The messages of groups have their numbers.
    mutating func forgetShared() { shared.removeAll(keepingCapacity: false) }
}

extension BrokerShard {
    /// Goes on with what a store held: an empty shard becomes the one that wrote it.
    ///
    /// Takes what belongs here out of `state`. Clients that were connected have lost their connection now. Once
    /// every shard is restored, each is told to route what was held (`routeRestored`), mail is exchanged until
    /// there is none, and `finishRestoring` is called. Where `state.needsNewStore(shards:)`, the shell has
    /// `rewriteWhole` called before that, and commits what it leaves in place of the old turns.
    ///
    /// - Returns: how many messages wait in the sessions.
    @discardableResult
    public mutating func restore(_ state: inout RecoveredState, at now: MonotonicTime) -> Int {
        precondition(sessions.isEmpty && retained.count == 0, "only an empty shard is restored")
        guard journal.isRecording else { return 0 }
        let mine = UInt16(truncatingIfNeeded: position.index)
        let isSame = state.shardCount == position.count && !state.isSalvaged
        restored = RestoredShard(
            taken: state.taken, takenShares: state.allTakenShares, shardCount: state.shardCount,
            layoutChanged: !isSame)
        journal.resume(
            after: state.lastTurns[mine] ?? TurnNumber(rawValue: 0),
            storedBytes: state.bytes[mine] ?? 0)
        if isSame {
            for (shard, serial) in state.taken[mine] ?? [:] where shard < position.count {
                exchange.peers[Int(shard)].taken = serial
            }
            exchange.takenShares = (state.takenShares[mine] ?? []).sorted { left, right in
                (left.origin.shard, left.origin.serial) < (right.origin.shard, right.origin.serial)
            }
        }
        exchange.lastSerial = state.lastSerial
        if state.isEmpty { recordLayout() }
        let held = takeHeld(&state, isSame)
        let notesOrigins = state.holdsAny
        retained = state.retained
        nextSweep = min(nextSweep, state.nextExpiry)
        if nextSweep < .distantFuture { addDeadline(nextSweep, .sweep, 0, 0) }
        board.adopt(state.meter)
        var messages = 0
        for name in state.sessions.keys.sorted() {
            guard let clientID = state.sessions[name]?.clientID,
                ShardPosition.shard(ofClientID: clientID.span, count: position.count)
                    == position.index,
                let session = state.sessions.removeValue(forKey: name)
            else { continue }
            if let earlier = sessionsByClientID[clientID] {
                // It was to end once its will was safe, and had been followed by another.
                sessions[earlier].expirySeconds = 0
            }
            let number = isSame ? name.number : nextSessionNumber
            messages += restore(session, number, now)
            nextSessionNumber = max(nextSessionNumber, number + 1)
            guard notesOrigins, let s = sessionsByClientID[clientID] else { continue }
            restored?.origins[s] = name.shard
        }
        for held in held { restore(held) }
        return messages
    }

    /// A QoS 2 message that was held, and whose it was.
    private struct TakenHeld {
        var name: RecoveredState.Name
        var message: RecoveredState.Held
        var clientID: [UInt8]?
    }

    /// What was held by publishers that belong here. Of those that have ended, what this shard held itself; of
    /// another layout, all that is left is the first shard's.
    private func takeHeld(_ state: inout RecoveredState, _ isSame: Bool) -> [TakenHeld] {
        var taken: [TakenHeld] = []
        for name in state.held.keys.sorted() {
            guard let held = state.held[name] else { continue }
            let session = RecoveredState.Name(shard: name.shard, number: held.session)
            let clientID = state.sessions[session]?.clientID
            let home =
                isSame
                ? Int(name.shard)
                : clientID.map { ShardPosition.shard(ofClientID: $0.span, count: position.count) }
                    ?? position.index
            guard home == position.index else { continue }
            state.held[name] = nil
            taken.append(TakenHeld(name: name, message: held, clientID: clientID))
        }
        return taken
    }

    private mutating func restore(_ held: TakenHeld) {
        var publisher: SessionID?
        if let clientID = held.clientID, let s = sessionsByClientID[clientID] {
            publisher = SessionID(sessions.key(at: s))
        }
        heldMessages.append(
            HeldMessage(
                turn: journal.committed, serial: held.name.number,
                session: held.message.session, publisher: publisher,
                message: held.message.message,
                origin: HeldOrigin(shard: Int(held.name.shard), serial: held.name.number)))
    }

    private mutating func restore(
        _ kept: RecoveredState.Session, _ number: UInt64, _ now: MonotonicTime
    ) -> Int {
        var session = Session(
            number: number, clientID: kept.clientID, owner: kept.owner,
            expirySeconds: kept.expirySeconds)
        session.isRecorded = true
        session.listener = listenerNames.number(of: kept.listener)
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
        guard
            let filter = try? TopicFilter(
                validating: bytes.span, limits: limits, sharedSubscriptions: isShared)
        else { return }
        _ = insert(filter, SubscriptionBits(rawValue: options), s)
    }

    private mutating func restoreEntries(_ s: UInt32, _ kept: RecoveredState.Session) {
        var inFlight: [InFlightWindow<InFlightMessage>.Kept] = []
        for position in kept.entries.keys.sorted() {
            guard let entry = kept.entries[position] else { continue }
            if let share = entry.share { restored?.shared.append((s, position, share)) }
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
                memory.entries += 1
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
        // Not all of them, where the records contradict each other.
        for kept in sessions[s].window.kept() { countInFlight(s, kept.payload.message) }
    }

    private mutating func restoreIncoming(_ s: UInt32, _ kept: RecoveredState.Session) {
        for packetID in kept.incoming.sorted() {
            sessions[s].incoming.insert(packetID)
            sessions[s].recordedIncoming.insert(packetID)
            // Which it was is not recorded; the stronger promise holds for both.
            if durabilities.strongest == .power { sessions[s].powerIncoming.insert(packetID) }
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

    /// Routes what was committed and not routed when the process before this one ended, and ends the sessions
    /// that were to end with their connections. Call it once every shard is restored.
    public mutating func routeRestored(at now: MonotonicTime) {
        guard journal.isRecording else { return }
        restoreShares()
        for s in 0..<sessions.slotCount where sessions.isOccupied(s) {
            if sessions[s].isTransient { endSession(s, now) }
        }
        releaseHeld(through: journal.committed, now)
        tellCounts()
    }

    /// What was held is routed, in all shards: nothing is told from what comes now.
    public mutating func finishRestoring() { restored = nil }

    /// Routes a message that may have been routed already, as far as it has not been.
    mutating func routeRestored(
        _ source: Span<UInt8>, _ delivery: inout Delivery, from publisher: UInt32
    ) {
        guard let restored, let origin = delivery.origin else {
            _ = routeHere(source, &delivery, from: publisher)
            return
        }
        let topic = source.extracting(delivery.view.topic.range)
        if delivery.view.isRetained {
            let owner = ShardPosition.shard(ofTopic: topic, count: restored.shardCount)
            if !restored.hasTaken(origin, UInt16(owner)) { retain(source, &delivery) }
        }
        matchedTopic.forget()
        subscriptions.match(topic, into: &matches)
        matches.removeAll { match in
            restored.origins[match.subscriber].map { restored.hasTaken(origin, $0) } == true
        }
        _ = deliverMatches(source, &delivery, from: publisher)
    }
}
