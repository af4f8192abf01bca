import MQTT

extension BrokerShard {
    /// Calls `send` with the bytes that may leave; it returns how many did. Returns how many remain of them.
    public mutating func flush<Failure: Error>(
        _ id: ConnectionID, at now: MonotonicTime,
        _ send: (Span<UInt8>) throws(Failure) -> Int
    ) throws(Failure) -> Int {
        guard connections.contains(id.key) else { return 0 }
        let c = id.index
        let released = connections[c].releasedCount
        guard released > 0 else {
            countBuffers(c)
            return 0
        }
        let sent = try connections[c].output.withSpan { bytes throws(Failure) in
            try send(bytes.extracting(0..<released))
        }
        connections[c].output.consume(sent)
        if connections[c].traffic.isMade { connections[c].traffic.value.sentBytes += UInt64(sent) }
        counters.bytesSent &+= UInt64(sent)
        if connections[c].output.isEmpty {
            connections[c].output.releaseIfEmpty()
            connections[c].isSlow = false
        }
        if sent > 0 && connections[c].isReadingPaused { listenAgain(c, now) }
        let s = connections[c].session
        if s != Connection.noSession, !sessions[s].queue.isEmpty,
            connections[c].output.count < memory.outputLimit
        {
            pump(s, now)
        }
        countBuffers(c)
        return released - sent
    }

    /// A client that was not listened to because it left answers unread has read some.
    mutating func listenAgain(_ c: UInt32, _ now: MonotonicTime) {
        guard connections[c].phase == .connected else { return }
        // It lives, and may not be heard saying so.
        connections[c].lastReceived = now
        if connections[c].mayBeRead,
            connections[c].output.count < memory.outputLimit
        {
            resumeReading(c)
        }
    }
}
