import MQTT

extension BrokerShard {
    /// Traps when the shard contradicts itself; for tests and the simulation.
    public func checkInvariants() {
        connections.checkInvariants()
        sessions.checkInvariants()
        deadlines.checkInvariants()
        subscriptions.checkInvariants()
        checkShares()
        retained.checkInvariants()
        precondition(sessionsByClientID.count == sessions.count, "a session without a name")
        for s in 0..<sessions.slotCount where sessions.isOccupied(s) { checkSession(s) }
        var connecting = 0
        for c in 0..<connections.slotCount where connections.isOccupied(c) {
            let s = connections[c].session
            precondition(
                (connections[c].phase == .connected) == (s != Connection.noSession),
                "a connected client has a session, others have none")
            if s != Connection.noSession {
                precondition(sessions[s].connection == c, "session and connection disagree")
                precondition(
                    connections[c].awaitsLookups == sessions.read(s) { !$0.lookups.isEmpty },
                    "a client awaits other look-ups than its session")
            }
            precondition(connections.read(c) { $0.releasedCount } >= 0)
            connecting += connections.read(c) { $0.countedBytes }
        }
        if let keptInterest {
            var kept = 0
            for s in 0..<sessions.slotCount where sessions.isOccupied(s) {
                if sessions[s].isRecorded { kept += subscriptions.filterCount(of: s) }
            }
            precondition(keptInterest.count == kept, "subscriptions that are kept are miscounted")
        }
        precondition(connecting == connectingBytes, "bytes of undone CONNECTs are miscounted")
        checkMemory()
        precondition(
            overtaken.keys.allSatisfy { s in
                sessions.isOccupied(s) && sessions.read(s) { !$0.lookups.isEmpty }
            }, "a session without look-ups was overtaken")
    }

    private func checkMemory() {
        var buffers = 0
        for c in 0..<connections.slotCount where connections.isOccupied(c) {
            buffers += Int(connections[c].countedBuffers)
        }
        precondition(buffers == memory.bufferBytes, "bytes of buffers are miscounted")
        var entries = 0
        for s in 0..<sessions.slotCount where sessions.isOccupied(s) {
            entries += sessions.read(s) { $0.pendingMessages }
            let isRight = sessions.read(s) { session in
                let bytes = session.window.kept().reduce(0) { $0 + ($1.payload.message?.cost ?? 0) }
                return bytes == session.inFlightBytes
            }
            precondition(isRight, "bytes in flight are miscounted")
        }
        precondition(entries == memory.entries, "held messages are miscounted")
    }

    private func checkShares() {
        var connected: Set<UInt32> = []
        for s in 0..<sessions.slotCount where sessions.isOccupied(s) {
            if sessions[s].connection != Session.noConnection { connected.insert(s) }
        }
        let shard = position.index
        board.withShares { groups in
            groups.checkInvariants { $0.shard == shard ? connected.contains($0.session) : nil }
        }
    }

    private func checkSession(_ s: UInt32) {
        sessions.read(s) { $0.window.checkInvariants() }
        precondition(sessionsByClientID[sessions[s].clientID] == s, "misnamed session")
        var bytes = 0
        var atMostOnce = 0
        for index in 0..<sessions.read(s, { $0.queue.count }) {
            let entry = sessions.read(s) { $0.queue[index] }
            bytes += entry.cost
            if entry.qos == .atMostOnce { atMostOnce += 1 }
        }
        precondition(bytes == sessions.read(s) { $0.queuedBytes }, "queued bytes are miscounted")
        precondition(atMostOnce == sessions.read(s) { $0.queuedAtMostOnce }, "QoS 0 is miscounted")
        precondition(bytes <= configuration.limits.queueBytes, "the queue is too large")
        precondition(
            sessions.read(s) { $0.isConnected || !$0.isTransient },
            "a transient session outlived its connection")
    }
}
