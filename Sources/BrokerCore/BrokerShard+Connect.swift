import MQTT

extension BrokerShard {
    /// CONNECT: who it is, whether they may, and which session it goes on with.
    mutating func take(
        _ connect: Connect, _ source: Span<UInt8>, _ c: UInt32, _ now: MonotonicTime
    ) {
        let properties = connect.properties
        guard connections[c].phase != .connected else {
            return fail(c, .protocolError, "MQTT-3.1.0-2", "a second CONNECT", now)
        }
        if moves(connect, source, c) { return }
        if connections[c].phase == .awaitingConnect {
            counters.connectsReceived += 1
            connections[c].claim = ClientClaim(connect, source)
        } else {
            // The same packet once more, behind its password check.
            counters.packetsReceived &-= 1
        }
        // Before all that may be refused: a refusal keeps to it as well. [MQTT-3.2.2-19]
        if let size = properties.uint32(.maximumPacketSize, in: source) {
            connections[c].maximumPacketSize = min(size, UInt32(WireLimits.largestPacketSize))
        }
        if redirects(c, now) { return }
        if properties.contains(.authenticationMethod),
            !beginExchange(connect, source, c, now)
        {
            return
        }
        let proven = connections[c].exchange?.user
        if let proven, let name = connect.username,
            [UInt8](copying: source.extracting(name.range)) != proven
        {
            return refuse(
                c, .badUserNameOrPassword, "MQTT-3.1.4-2",
                "the user name is not the one that has been authenticated", now)
        }
        guard connections[c].phase == .authenticated || admit(connect, source, c, now) else {
            return
        }
        let (clientID, isAssigned) = clientIdentifier(connect, source, c)
        let owner =
            proven != nil
            ? proven
            : connections[c].phase == .authenticated
                ? connect.username.map { [UInt8](copying: source.extracting($0.range)) }
                : connections[c].identity
        let principal = Principal(
            user: owner, clientID: clientID, listener: connections[c].rules.value.listener)
        let rights = resolveRights(principal)
        let will = Self.takenWill(connect, source)
        if let will, let fault = check(will, source, rights, connections[c].rules.value) {
            return refuse(c, fault.reason, fault.clause, fault.detail, now)
        }
        let known = sessionsByClientID[clientID]
        if let known, sessions[known].owner != owner {
            // Nobody takes over the session of another user by its client identifier.
            return refuse(
                c, .notAuthorized, "5.4.2", "the client identifier belongs to another user", now)
        }
        if known == nil, totalSessions >= configuration.limits.sessions {
            return refuse(c, .quotaExceeded, "limits.sessions", "there are too many sessions", now)
        }
        let expiry = sessionExpiry(connect, source)
        var answer = connAckProperties(
            connect, c, assigned: isAssigned ? clientID : nil,
            expiry: expiry.isLowered ? expiry.granted : nil)
        if properties.uint8(.requestResponseInformation, in: source) == 1 {
            addResponseInformation(c, principal, to: &answer)
        }
        guard Self.connAckSize(answer) <= connections[c].maximumPacketSize else {
            // Nothing that follows would fit either, or not for long. [MQTT-3.1.2-24]
            return refuse(
                c, .packetTooLarge, "MQTT-3.1.2-24", "the client takes no CONNACK", now)
        }
        let mark = journal.mark
        if let known { takeOver(known, now) }
        let (session, isPresent) = openSession(
            clientID, owner, known, cleanStart: connect.cleanStart, expiry.granted, now)
        connections[c].phase = .connected
        connections[c].claim = nil
        connections[c].connectedAt = now
        connections[c].session = session
        sessions[session].connection = c
        adopt(rights, session, c)
        noteConnected(session, true)
        if isPresent {
            recordAttached(session)
        } else if expiry.granted > 0 {
            recordSession(session)
        }
        awaitLookups(session, c)
        adopt(connect, source, c, now)
        connections[c].settle()
        connected.count(connect.version, 1)
        if let will { keep(will, source, session, now) }
        if journal.mark != mark { promise(c) }
        sendConnAck(c, sessionPresent: isPresent, .success, answer)
        log(
            .connected(
                ConnectionID(connections.key(at: c)),
                ConnectedClient(
                    clientID: clientID, user: owner, version: connect.version,
                    cleanStart: connect.cleanStart, sessionPresent: isPresent,
                    keepAliveSeconds: connections[c].keepAliveSeconds,
                    sessionExpirySeconds: expiry.granted)))
        if isPresent {
            sessions[session].window.beginResend()
            pump(session, now)
            if configuration.redistributesOnDisconnect { takeFromAway(session, now) }
        }
    }

    /// Whether CONNECT may go on now; if not, it was refused or waits for its password check.
    private mutating func admit(
        _ connect: Connect, _ source: Span<UInt8>, _ c: UInt32, _ now: MonotonicTime
    ) -> Bool {
        let rules = connections[c].rules.value
        if rules.takesIdentity { return admitIdentity(connect, source, c, now) }
        guard let username = connect.username else {
            if rules.allowsAnonymous { return true }
            refuse(c, .notAuthorized, "MQTT-3.1.4-2", "a user name is needed", now)
            return false
        }
        guard rules.checksPasswords else {
            if rules.allowsAnonymous { return true }
            refuse(c, .notAuthorized, "MQTT-3.1.4-2", "no users are configured", now)
            return false
        }
        connections[c].phase = .authenticating
        let password = connect.password.map { [UInt8](copying: source.extracting($0.range)) }
        pauseReading(c)
        act(
            .authenticate(
                ConnectionID(connections.key(at: c)),
                user: [UInt8](copying: source.extracting(username.range)),
                password: password ?? []))
        return false
    }

    /// The identifier of the client, or one made for it. [MQTT-3.1.3-6]
    private func clientIdentifier(
        _ connect: Connect, _ source: Span<UInt8>, _ c: UInt32
    ) -> (clientID: [UInt8], isAssigned: Bool) {
        guard connect.clientID.isEmpty else {
            return ([UInt8](copying: source.extracting(connect.clientID.range)), false)
        }
        var nonce = connections.read(c) { $0.nonce }
        while true {
            var text = String(nonce, radix: 16)
            text = "auto-" + String(repeating: "0", count: 16 - text.count) + text
            let clientID = Array(text.utf8)
            // Nobody has it [MQTT-3.2.2-16], and it belongs to this shard.
            if sessionsByClientID[clientID] == nil,
                ShardPosition.shard(ofClientID: clientID.span, count: position.count)
                    == position.index
            {
                return (clientID, true)
            }
            nonce &+= 0x9E37_79B9_7F4A_7C15
        }
    }

    /// What the connection's properties say about how to talk to this client.
    private mutating func adopt(
        _ connect: Connect, _ source: Span<UInt8>, _ c: UInt32, _ now: MonotonicTime
    ) {
        let properties = connect.properties
        let limits = configuration.limits
        connections[c].isBridge = connect.isBridge
        connections[c].hasPublishTerms = connections[c].rules.value.limitsPublishing
        connections[c].wantsProblemInformation =
            properties.uint8(.requestProblemInformation, in: source) != 0
        let receiveMaximum = Int(properties.uint16(.receiveMaximum, in: source) ?? .max)
        connections[c].sendQuota = Int32(clamping: min(limits.inFlight, receiveMaximum))
        let aliasMaximum = Int(properties.uint16(.topicAliasMaximum, in: source) ?? 0)
        connections[c].outgoingAliasMaximum = UInt16(
            clamping: min(aliasMaximum, limits.topicAliases))
        connections[c].keepAliveSeconds = connect.keepAlive
        if connect.version == .v5_0, let lowered = loweredKeepAlive(connect) {
            connections[c].keepAliveSeconds = lowered
        }
        connections[c].lastReceived = now
        if let deadline = keepAliveDeadline(c) {
            setConnectionDeadline(c, deadline)
        } else {
            deadlines.abandon(connections[c].deadline)
            connections[c].deadline = .distantFuture
        }
    }

    /// The keep-alive that the server sets in place of the client's. [MQTT-3.2.2-21]
    private func loweredKeepAlive(_ connect: Connect) -> UInt16? {
        guard let maximum = configuration.maximumKeepAliveSeconds,
            connect.keepAlive == 0 || connect.keepAlive > maximum
        else { return nil }
        return maximum
    }

    /// How long the session outlives its connection, in seconds, and whether the client asked for more.
    private func sessionExpiry(
        _ connect: Connect, _ source: Span<UInt8>
    ) -> (granted: UInt32, isLowered: Bool) {
        guard connect.version == .v5_0 else {
            if connect.cleanStart { return (0, false) }
            return (configuration.sessionExpirySecondsBefore5 ?? Session.never, false)
        }
        let wanted = connect.properties.uint32(.sessionExpiryInterval, in: source) ?? 0
        let granted = min(wanted, configuration.maximumSessionExpirySeconds ?? Session.never)
        return (granted, granted < wanted)
    }

    /// What CONNACK says: what this server does not offer, and what it set itself. [MQTT-3.2.0-1]
    private func connAckProperties(
        _ connect: Connect, _ c: UInt32, assigned: [UInt8]?, expiry: UInt32?
    ) -> PropertyWriter {
        var writer = PropertyWriter()
        guard connect.version == .v5_0 else { return writer }
        let limits = configuration.limits
        if let expiry { writer.add(.sessionExpiryInterval, uint32: expiry) }
        writer.add(.receiveMaximum, uint16: UInt16(clamping: limits.receiveMaximum))
        // That of its listener, as it was when the connection began.
        writer.add(
            .maximumPacketSize,
            uint32: UInt32(clamping: connections[c].decoder.limits.maximumPacketSize))
        if let assigned { writer.add(.assignedClientIdentifier, bytes: assigned.span) }
        add(termsOf: connections[c].rules.value, to: &writer)
        if limits.topicAliases > 0 {
            writer.add(.topicAliasMaximum, uint16: UInt16(clamping: limits.topicAliases))
        }
        if connections.read(c, { $0.exchange != nil }) { add(exchangeOf: c, to: &writer) }
        if let seconds = loweredKeepAlive(connect) {
            writer.add(.serverKeepAlive, uint16: seconds)
        }
        return writer
    }
}

// MARK: - Sessions

extension BrokerShard {
    /// Another connection comes with the client identifier of a session: the old one goes.
    /// [MQTT-3.1.4-3]
    private mutating func takeOver(_ s: UInt32, _ now: MonotonicTime) {
        let old = sessions[s].connection
        guard old != Session.noConnection else { return }
        counters.sessionsTakenOver += 1
        sendDisconnect(old, .sessionTakenOver, "another connection took the session over")
        end(old, .takenOver, now, keepsSession: true)
    }

    /// The session that CONNECT asks for: the one that is known, or a new one. [MQTT-3.1.2-4],
    /// [MQTT-3.1.2-5], [MQTT-3.2.2-2], [MQTT-3.2.2-3]
    private mutating func openSession(
        _ clientID: [UInt8], _ owner: [UInt8]?, _ known: UInt32?, cleanStart: Bool,
        _ expirySeconds: UInt32, _ now: MonotonicTime
    ) -> (session: UInt32, isPresent: Bool) {
        if let known {
            if !cleanStart && !sessions[known].isTransient {
                resume(known, expirySeconds)
                return (known, true)
            }
            endSession(known, now)
        }
        let key = sessions.insert(
            Session(
                number: nextSessionNumber, clientID: clientID, owner: owner,
                expirySeconds: expirySeconds))
        nextSessionNumber += 1
        sessions[key.index].isReserved = isReserved(clientID, owner)
        sessionsByClientID[clientID] = key.index
        return (key.index, false)
    }

    func isReserved(_ clientID: [UInt8], _ user: [UInt8]?) -> Bool {
        configuration.reserved.contains { $0.names(clientID: clientID, user: user) }
    }

    private mutating func resume(_ s: UInt32, _ expirySeconds: UInt32) {
        // A will that waits for its delay is not sent when the session goes on in time.
        // [MQTT-3.1.3-9]
        if sessions[s].will.take() != nil { recordWillCleared(s) }
        sessions[s].willDue = .distantFuture
        sessions[s].expiresAt = .distantFuture
        scheduleSession(s)
        setExpiry(s, expirySeconds)
    }

    mutating func setExpiry(_ s: UInt32, _ seconds: UInt32) {
        guard sessions[s].expirySeconds != seconds else { return }
        recordExpiry(s, seconds)
        sessions[s].expirySeconds = seconds
    }

    /// Forgets a session and all that it holds.
    mutating func endSession(_ s: UInt32, _ now: MonotonicTime) {
        // The will is sent when the session ends, if its delay has not passed. [MQTT-3.1.2-8]
        let awaits = exchange.awaits
        if sessions[s].willDue < .distantFuture { publishWill(s, now) }
        if keptInterest != nil && sessions[s].isRecorded {
            for filter in filters(of: s) where !filter.isShared { unnoteKept(filter) }
        }
        subscriptions.removeAll(s)
        leaveAllGroups(s)
        redistribute(takeBackShared(s) { _ in true }, now)
        memory.entries -= sessions[s].pendingMessages
        counters.droppedSessionEnded += UInt64(sessions[s].pendingMessages)
        if exchange.awaits == awaits {
            recordSessionEnd(s)
        } else {
            recordSessionEndLater(s)
        }
        if !overtaken.isEmpty { overtaken[s] = nil }
        let clientID = sessions[s].clientID
        if sessionsByClientID[clientID] == s { sessionsByClientID[clientID] = nil }
        deadlines.abandon(sessions[s].deadline)
        _ = sessions.remove(s)
    }
}
