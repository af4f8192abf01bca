import MQTT

/// What a turn leaves to the shell, and what waits until it is committed.
extension BrokerShard {
    /// The next thing to do, oldest first.
    public mutating func nextAction() -> BrokerAction? { actions.popFirst() }

    /// The next connection whose output has something new.
    public mutating func nextDirty() -> ConnectionID? {
        while let c = dirty.popFirst() {
            guard connections.isOccupied(c), connections[c].isDirty else { continue }
            connections[c].isDirty = false
            return ConnectionID(connections.key(at: c))
        }
        // All outputs have been flushed, and counted by that.
        memory.turnBytes = 0
        weighMemory()
        return nil
    }

    /// Whether `nextAction` or `nextDirty` have something.
    public var hasWork: Bool { !actions.isEmpty || !dirty.isEmpty }

    /// Closes the turn; `nil` when nothing in it must be made safe, or not yet (`nextDeadline` says when).
    ///
    /// What promises something stays in the outputs until `committed(_:)` names this turn.
    public mutating func endTurn(at now: MonotonicTime) -> Turn? {
        tellCounts()
        if !overdue.isEmpty { disconnectOverdue(now) }
        if rewrite != nil { rewriteSome(now) }
        let before = journal.handedOver
        let turn = journal.endTurn(at: now)
        if position.count > 1 {
            if journal.handedOver != before { openTurn(now) }
            // Others take of the room, too.
            if journal.isRecording && isStoreTight != findsStoreTight { checkStoreRoom(now) }
        }
        return turn
    }

    /// Hands over with the next `endTurn` what would wait for an interval; for an orderly end.
    public mutating func hurry() { journal.hurry() }

    /// Whether changes are not committed yet, here or where their messages went.
    public var hasUncommitted: Bool { journal.hasUncommitted }

    /// All changes up to and with `turn` are safe. QoS 2 messages are routed; what was promised leaves, once
    /// the other shards have committed what they got of it.
    public mutating func committed(_ turn: TurnNumber, at now: MonotonicTime) {
        journal.committed(turn)
        if position.count == 1 {
            complete(turn)
        } else {
            noteSettled()
            confirmMail()
            completeTurns(now)
        }
        releaseHeld(through: turn, now)
        rewriteIfWasteful()
        checkStoreRoom(now)
    }

    /// All that was done up to and with `turn` is safe, in every shard: what was promised leaves.
    mutating func complete(_ turn: TurnNumber) {
        journal.completed(turn)
        while let next = gated.first, next.turn <= turn {
            _ = gated.popFirst()
            guard connections.contains(next.connection.key) else { continue }
            let c = next.connection.index
            if connections[c].hasGates { connections[c].gates.removeAll { $0.turn <= turn } }
            markDirty(c)
        }
        settle(through: turn)
    }

    /// Routes the QoS 2 messages whose identifiers are safe.
    mutating func releaseHeld(through turn: TurnNumber, _ now: MonotonicTime) {
        while let held = heldMessages.first, held.turn <= turn {
            _ = heldMessages.popFirst()
            route(held, now)
        }
    }

    private mutating func route(_ held: HeldMessage, _ now: MonotonicTime) {
        var publisher = Connection.noSession
        // The publisher may have gone meanwhile, and another session have its place.
        if let id = held.publisher, sessions.contains(id.key) { publisher = id.key.index }
        let isAwaited = route(held.message, from: publisher, origin: held.origin, now)
        guard isAwaited else { return recordRouted(held.serial) }
        // A crash from here on may find it kept here, and not yet by another shard.
        recordTaken(held.serial, of: position.index)
        exchange.settlements.append(
            (
                journal.current,
                .routed(serial: held.serial, session: held.session, held.message)
            ))
    }

    mutating func act(_ action: BrokerAction) { actions.append(action) }

    mutating func log(_ event: BrokerEvent) { actions.append(.log(event)) }

    @inline(__always)
    mutating func markDirty(_ c: UInt32) {
        if connections[c].isDirty { return }
        connections[c].isDirty = true
        dirty.append(c)
    }

    /// Call before appending bytes that promise what this turn changed.
    @inline(__always)
    mutating func promise(_ c: UInt32, acknowledgements: Int = 0) {
        guard let turn = journal.pendingTurn else { return }
        if connections[c].hold(for: turn, acknowledgements: acknowledgements) {
            gated.append(
                GatedConnection(turn: turn, connection: ConnectionID(connections.key(at: c))))
        }
    }

    /// For an answer that says again what an earlier one said, maybe on another connection: of a session
    /// that is kept it waits for all that is recorded, of others for nothing.
    mutating func earlierMark(_ s: UInt32) -> UInt64 {
        isKept(s) ? journal.mark &- 1 : journal.mark
    }

    mutating func pauseReading(_ c: UInt32) {
        guard !connections[c].isReadingPaused else { return }
        connections[c].isReadingPaused = true
        act(.pauseReading(ConnectionID(connections.key(at: c))))
    }

    mutating func resumeReading(_ c: UInt32) {
        guard connections[c].isReadingPaused else { return }
        connections[c].isReadingPaused = false
        act(.resumeReading(ConnectionID(connections.key(at: c))))
    }
}
