import MQTT

/// What a shard shows of itself. Large tables are shown page by page, so that a look at them does not
/// hold up the loop: each call takes the place to begin at and returns the place to go on from.
extension BrokerShard {
    /// The figures that cost nothing to have.
    public var figures: ShardFigures {
        ShardFigures(
            counters: counters, connections: connections.count, connected: connected,
            sessions: sessions.count, subscriptions: subscriptions.count,
            sharedSubscriptions: sharedSubscriptionCount,
            retainedMessages: retained.count, retainedBytes: retained.byteCount,
            memoryBytes: board.usedBytes, memoryLimit: configuration.limits.memoryBytes)
    }

    /// Adds what sessions hold, those at `start` and the next ones; returns where to go on, `nil` at the
    /// end.
    public func survey(from start: UInt32, limit: UInt32, into survey: inout SessionSurvey)
        -> UInt32?
    {
        let end = start.addingReportingOverflow(limit)
        let stop = end.overflow ? sessions.slotCount : min(end.partialValue, sessions.slotCount)
        for s in start..<max(start, stop) where sessions.isOccupied(s) {
            sessions.read(s) { survey.add($0) }
        }
        return stop < sessions.slotCount ? stop : nil
    }

    /// Shows sessions in the order of their places; the same way.
    public func sessions(
        from start: UInt32, limit: UInt32, _ body: (SessionInfo) -> Void
    ) -> UInt32? {
        let end = start.addingReportingOverflow(limit)
        let stop = end.overflow ? sessions.slotCount : min(end.partialValue, sessions.slotCount)
        for s in start..<max(start, stop) where sessions.isOccupied(s) { body(info(s)) }
        return stop < sessions.slotCount ? stop : nil
    }

    /// The session of a client; `nil` where there is none.
    public func session(clientID: [UInt8]) -> SessionInfo? {
        sessionsByClientID[clientID].map { info($0) }
    }

    private func info(_ s: UInt32) -> SessionInfo {
        let c = sessions[s].connection
        let connection = c == Session.noConnection ? nil : connectionInfo(c)
        let subscriptionCount = filters(of: s).count
        return sessions.read(s) { session in
            SessionInfo(
                clientID: session.clientID, user: session.owner, connection: connection,
                expirySeconds: session.expirySeconds == Session.never
                    ? nil : session.expirySeconds,
                expiresAt: session.expiresAt == .distantFuture ? nil : session.expiresAt,
                subscriptions: subscriptionCount, queuedMessages: session.queue.count,
                queuedBytes: session.queuedBytes, inFlight: session.window.count,
                incoming: session.incoming.count, hasWill: session.will != nil,
                droppedMessages: session.droppedMessages,
                oldestQueued: session.queue.first?.message.receivedAt)
        }
    }

    private func connectionInfo(_ c: UInt32) -> ConnectionInfo {
        let id = ConnectionID(connections.key(at: c))
        return connections.read(c) { connection in
            ConnectionInfo(
                id: id, version: connection.version,
                keepAliveSeconds: connection.keepAliveSeconds,
                connectedAt: connection.connectedAt, lastReceived: connection.lastReceived,
                waitingBytes: connection.output.count, isBridge: connection.isBridge,
                droppedMessages: connection.droppedMessages)
        }
    }

    /// Calls `body` with each filter of a client's subscriptions and the QoS granted.
    public func forEachSubscription(
        clientID: [UInt8], _ body: (_ filter: [UInt8], _ qos: QoS) -> Void
    ) {
        guard let s = sessionsByClientID[clientID] else { return }
        subscriptions.forEachFilter(of: s) { filter, options in
            let qos = QoS(rawValue: SubscriptionBits(rawValue: options).qosBits) ?? .atMostOnce
            body([UInt8](copying: filter), qos)
        }
    }

    /// Shows what waits in a client's queue, oldest first; messages that leave meanwhile make later ones
    /// be missed.
    public func queue(
        clientID: [UInt8], from start: Int, limit: Int, at now: MonotonicTime,
        _ body: (MessageInfo) -> Void
    ) -> Int? {
        guard let s = sessionsByClientID[clientID] else { return nil }
        let count = sessions.read(s) { $0.queue.count }
        let stop = min(count, start + limit)
        for index in start..<max(start, stop) {
            let entry = sessions.read(s) { $0.queue[index] }
            body(MessageInfo(entry.message, qos: entry.qos, retain: entry.options.retain, at: now))
        }
        return stop < count ? stop : nil
    }

    /// Shows retained messages that `filter` asks for, in no order that means anything; at most `limit`
    /// places are looked at.
    public func retained(
        matching filter: TopicFilter, from start: Int, limit: Int, at now: MonotonicTime,
        _ body: (MessageInfo) -> Void
    ) -> Int? {
        retained.forEachValue(from: start, limit: limit) { message in
            let bytes = message.body
            guard filter.matches(bytes.span.extracting(2..<message.propertiesStart)),
                !message.isExpired(at: now)
            else { return }
            body(MessageInfo(message, qos: message.qos, retain: true, at: now))
        }
    }
}
