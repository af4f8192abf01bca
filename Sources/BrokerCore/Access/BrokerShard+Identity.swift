import MQTT

/// Users whom the transport has proven, and users who change.
extension BrokerShard {
    /// The transport has proven who the client is, before its first bytes come.
    public mutating func identified(_ id: ConnectionID, user: [UInt8]) {
        guard connections.contains(id.key) else { return }
        connections[id.index].identity = user
    }

    /// Whether CONNECT may go on where the transport names the user; if not, it was refused.
    ///
    /// A user name in CONNECT must be that of the certificate or key, lest a client believes that it is
    /// somebody else; a password means nothing.
    mutating func admitIdentity(
        _ connect: Connect, _ source: Span<UInt8>, _ c: UInt32, _ now: MonotonicTime
    ) -> Bool {
        guard let identity = connections[c].identity else {
            refuse(
                c, .notAuthorized, "MQTT-3.1.4-2", "the certificate or key names no user", now)
            return false
        }
        guard let username = connect.username else { return true }
        if [UInt8](copying: source.extracting(username.range)) == identity { return true }
        refuse(
            c, .badUserNameOrPassword, "MQTT-3.1.4-2",
            "the user name is not that of the certificate or key", now)
        return false
    }

    /// What has let a client in does so no more: it is disconnected.
    ///
    /// Whoever holds a certificate that was revoked is perhaps not its owner: the will is not published.
    /// The session stays for the owner, who may have another one by now, but ends with the identity of a key.
    public mutating func credentialEnded(
        _ id: ConnectionID, _ fault: CredentialFault, at now: MonotonicTime
    ) {
        guard connections.contains(id.key) else { return }
        let c = id.index
        let s = connections[c].session
        guard s != Connection.noSession else { return end(c, .credentialEnded(fault), now) }
        if fault != .keyChanged, sessions[s].will.take() != nil { recordWillCleared(s) }
        let key = sessions.key(at: s)
        sendDisconnect(c, fault.reasonCode, fault.description)
        end(c, .credentialEnded(fault), now)
        if fault == .keyRemoved && sessions.contains(key) { endSession(s, now) }
    }

    /// Users were removed, or have another password: their clients are disconnected, and what is kept for
    /// a removed one ends. Who has proven it by a certificate or key stays.
    public mutating func usersChanged(
        removed: Set<[UInt8]>, changed: Set<[UInt8]>, at now: MonotonicTime
    ) {
        guard !removed.isEmpty || !changed.isEmpty else { return }
        for s in 0..<sessions.slotCount where sessions.isOccupied(s) {
            guard let owner = sessions[s].owner else { continue }
            let isRemoved = removed.contains(owner)
            guard isRemoved || changed.contains(owner) else { continue }
            let c = sessions[s].connection
            let hasIdentity = c != Session.noConnection && connections[c].identity != nil
            guard !hasIdentity else { continue }
            // What somebody who is gone left to be said is not said.
            if isRemoved { sessions[s].will = nil }
            let key = sessions.key(at: s)
            if c != Session.noConnection {
                let reason: ReasonCode = isRemoved ? .notAuthorized : .administrativeAction
                let cause = DisconnectCause.userChanged(reason)
                sendDisconnect(c, reason, cause.description)
                end(c, cause, now)
            }
            if isRemoved && sessions.contains(key) { endSession(s, now) }
        }
    }
}
