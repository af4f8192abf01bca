import MQTT

extension BrokerShard {
    /// When `advance(to:)` has something to do; `nil` when it never has.
    public var nextDeadline: MonotonicTime? {
        guard let due = journal.due else { return deadlines.earliest }
        return min(due, deadlines.earliest ?? due)
    }

    /// Does what is due at `now`: connections that are silent, wills, sessions that expire.
    public mutating func advance(to now: MonotonicTime) {
        while let due = deadlines.popDue(at: now) {
            switch due.subject {
            case .connection:
                let key = Slab<Connection>.Key(index: due.index, generation: due.generation)
                guard connections.contains(key), connections[due.index].deadline == due.time
                else { continue }
                connections[due.index].deadline = .distantFuture
                connectionIsDue(due.index, now)
            case .session:
                let key = Slab<Session>.Key(index: due.index, generation: due.generation)
                guard sessions.contains(key), sessions[due.index].deadline == due.time
                else { continue }
                sessions[due.index].deadline = .distantFuture
                sessionIsDue(due.index, now)
            case .lookup:
                let key = Slab<Session>.Key(index: due.index, generation: due.generation)
                if sessions.contains(key) { lookUpNext(due.index, now) }
            case .publishRate:
                let key = Slab<Connection>.Key(index: due.index, generation: due.generation)
                if connections.contains(key) { endWait(due.index, now) }
            case .sweep:
                if due.time == nextSweep { sweepRetained(now) }
            case .room: roomIsDue(now)
            }
        }
    }

    private mutating func connectionIsDue(_ c: UInt32, _ now: MonotonicTime) {
        switch connections[c].phase {
        case .awaitingConnect, .moving, .authenticating, .authenticated, .exchanging:
            end(c, .noConnectInTime, now)
        case .connected where connections[c].awaitsRoom || connections[c].awaitsCommit:
            waitIsDue(c, now)
        case .connected:
            // Nobody listens to a client that waits: it may have said that it lives.
            if connections[c].awaitsRate { connections[c].lastReceived = now }
            guard let deadline = keepAliveDeadline(c) else { return }
            guard deadline <= now else { return setConnectionDeadline(c, deadline) }
            // [MQTT-3.1.2-22]
            sendDisconnect(c, .keepAliveTimeout, "nothing came for one and a half keep-alives")
            end(c, .keepAliveTimeout, now)
        case .closing: break
        }
    }

    /// Nobody listens to it, so that its keep-alive says nothing.
    private mutating func waitIsDue(_ c: UInt32, _ now: MonotonicTime) {
        guard connections[c].awaitsRoom else {
            connections[c].lastReceived = now
            if let deadline = keepAliveDeadline(c) { setConnectionDeadline(c, deadline) }
            return
        }
        guard connections[c].waitsUntil <= now else {
            return setConnectionDeadline(c, connections[c].waitsUntil)
        }
        let cause: DisconnectCause =
            isStoreTight
            ? .fault(
                .quotaExceeded, clause: "store.size, store.free_disk_floor",
                detail: "the store has had no room for too long")
            : .fault(
                .quotaExceeded, clause: "limits.memory",
                detail: "there has been no memory for its messages for too long")
        end(c, cause, now)
    }

    func keepAliveDeadline(_ c: UInt32) -> MonotonicTime? {
        KeepAlive.serverDeadline(
            keepAliveSeconds: connections[c].keepAliveSeconds,
            lastReceived: connections[c].lastReceived)
    }

    private mutating func sessionIsDue(_ s: UInt32, _ now: MonotonicTime) {
        if sessions[s].willDue <= now { publishWill(s, now) }
        guard sessions[s].expiresAt <= now else { return scheduleSession(s) }
        counters.sessionsExpired += 1
        log(
            .sessionExpired(
                clientID: sessions[s].clientID,
                droppedMessages: UInt64(sessions[s].pendingMessages)))
        endSession(s, now)
    }

    mutating func setConnectionDeadline(_ c: UInt32, _ time: MonotonicTime) {
        deadlines.abandon(connections[c].deadline)
        connections[c].deadline = time
        let key = connections.key(at: c)
        addDeadline(time, .connection, key.index, key.generation)
    }

    /// Notes the session's next deadline: its will or its end.
    mutating func scheduleSession(_ s: UInt32) {
        let time = min(sessions[s].willDue, sessions[s].expiresAt)
        guard time != sessions[s].deadline else { return }
        deadlines.abandon(sessions[s].deadline)
        sessions[s].deadline = time
        let key = sessions.key(at: s)
        if time < .distantFuture { addDeadline(time, .session, key.index, key.generation) }
    }

    mutating func addDeadline(
        _ time: MonotonicTime, _ subject: DeadlineSubject, _ index: UInt32, _ generation: UInt32
    ) {
        deadlines.add(
            Deadlines.Entry(time: time, index: index, generation: generation, subject: subject))
        if deadlines.isMostlyStale
            || deadlines.count > 64 + 2 * (connections.count + sessions.count)
        {
            forgetStaleDeadlines()
        }
    }

    /// Each CONNECT leaves the deadline by which it had to come, and each end of a connection its keep-alive.
    private mutating func forgetStaleDeadlines() {
        var heap = Deadlines()
        swap(&heap, &deadlines)
        heap.keep { entry in
            switch entry.subject {
            case .connection:
                let key = Slab<Connection>.Key(index: entry.index, generation: entry.generation)
                return connections.contains(key) && connections[entry.index].deadline == entry.time
            case .session:
                let key = Slab<Session>.Key(index: entry.index, generation: entry.generation)
                return sessions.contains(key) && sessions[entry.index].deadline == entry.time
            case .lookup:
                let key = Slab<Session>.Key(index: entry.index, generation: entry.generation)
                return sessions.contains(key) && sessions.read(entry.index) { !$0.lookups.isEmpty }
            case .publishRate:
                let key = Slab<Connection>.Key(index: entry.index, generation: entry.generation)
                return connections.contains(key) && connections[entry.index].awaitsRate
            case .sweep:
                return entry.time == nextSweep
            case .room: return true
            }
        }
        swap(&heap, &deadlines)
    }
}
