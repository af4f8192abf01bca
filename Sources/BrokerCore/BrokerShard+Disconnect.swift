import MQTT

extension BrokerShard {
    /// DISCONNECT from the client. [MQTT-3.14.4-1], [MQTT-3.14.4-3]
    mutating func take(
        _ disconnect: Disconnect, _ source: Span<UInt8>, _ c: UInt32, _ now: MonotonicTime
    ) {
        let s = connections[c].session
        if let wanted = disconnect.properties.uint32(.sessionExpiryInterval, in: source) {
            if sessions[s].isTransient && wanted > 0 {
                return fail(
                    c, .protocolError, "3.14.2.2.2",
                    "a session expiry that CONNECT had set to zero", now)
            }
            setExpiry(s, min(wanted, configuration.maximumSessionExpirySeconds ?? Session.never))
        }
        let cause: DisconnectCause =
            disconnect.reasonCode == .normalDisconnection ? .byClient : .byClientWithWill
        end(c, cause, now)
    }

    /// Ends a connection for a reason of the transport's, such as a broken frame around its bytes.
    ///
    /// What is in its output leaves; then comes `closed`, as always.
    public mutating func close(
        _ id: ConnectionID, _ cause: DisconnectCause, at now: MonotonicTime
    ) {
        guard connections.contains(id.key) else { return }
        end(id.index, cause, now)
    }

    /// CONNECT is answered with an error, and the connection ends. [MQTT-3.2.2-7]
    mutating func refuse(
        _ c: UInt32, _ reason: ReasonCode, _ clause: String, _ detail: String,
        _ now: MonotonicTime
    ) {
        refuse(c, reason, .fault(reason, clause: clause, detail: detail), detail, now)
    }

    mutating func refuse(
        _ c: UInt32, _ reason: ReasonCode, _ cause: DisconnectCause, _ detail: String,
        server: [UInt8] = [], _ now: MonotonicTime
    ) {
        counters.connectionsRefused += 1
        let writer =
            connections[c].isVersion5 ? farewell(c, detail, server: server) : PropertyWriter()
        sendConnAck(c, sessionPresent: false, reason, writer)
        end(c, cause, now)
    }

    /// A connected client is thrown out for what it sent. [MQTT-4.13.2-1]
    mutating func fail(
        _ c: UInt32, _ reason: ReasonCode, _ clause: String, _ detail: String,
        _ now: MonotonicTime
    ) {
        sendDisconnect(c, reason, detail)
        end(c, .fault(reason, clause: clause, detail: detail), now)
    }

    /// Ends a connection: its session is left alone or ends too, its will is published or waits.
    ///
    /// What is in its output leaves; nothing is taken from it any more.
    mutating func end(
        _ c: UInt32, _ cause: DisconnectCause, _ now: MonotonicTime, keepsSession: Bool = false
    ) {
        guard connections[c].phase != .closing else { return }
        let wasConnected = connections[c].phase == .connected
        connections[c].phase = .closing
        deadlines.abandon(connections[c].deadline)
        connections[c].deadline = .distantFuture
        if connections[c].hasInput { connections[c].input.removeAll() }
        countConnecting(c, now)
        let id = ConnectionID(connections.key(at: c))
        act(.close(id))
        guard wasConnected else {
            let claim = connections[c].claim
            connections[c].claim = nil
            return log(
                .refused(id, clientID: claim?.clientID ?? [], user: claim?.user, cause))
        }
        connected.count(connections[c].version, -1)
        let s = connections[c].session
        sessions[s].droppedMessages += connections[c].droppedMessages
        log(
            .disconnected(
                id, clientID: sessions[s].clientID, user: sessions[s].owner, cause,
                droppedMessages: sessions[s].droppedMessages))
        connections[c].session = Connection.noSession
        sessions[s].connection = Session.noConnection
        noteConnected(s, false)
        settleWill(s, cause, now)
        if !keepsSession { settleSession(s, now) }
    }

    /// The connection of a session has ended: its will is published now, later or never.
    private mutating func settleWill(_ s: UInt32, _ cause: DisconnectCause, _ now: MonotonicTime) {
        guard cause.publishesWill else {
            if sessions[s].will.take() != nil { recordWillCleared(s) }
            return
        }
        if sessions[s].willDelaySeconds == 0 || sessions[s].isTransient && cause != .takenOver {
            publishWill(s, now)
        } else if sessions[s].will != nil {
            sessions[s].willDue = now + .seconds(Int(sessions[s].willDelaySeconds))
        }
    }

    /// The connection of a session has ended: the session ends with it, or its time begins to run.
    private mutating func settleSession(_ s: UInt32, _ now: MonotonicTime) {
        if sessions[s].isTransient { return endSession(s, now) }
        sessions[s].detachedAt = now
        recordDetached(s)
        if configuration.redistributesOnDisconnect { giveToConnected(s, now) }
        if sessions[s].expirySeconds != Session.never {
            sessions[s].expiresAt = now + .seconds(Int(sessions[s].expirySeconds))
        }
        scheduleSession(s)
    }

    func clientID(_ c: UInt32) -> [UInt8] {
        let s = connections[c].session
        return s == Connection.noSession ? [] : sessions[s].clientID
    }
}
