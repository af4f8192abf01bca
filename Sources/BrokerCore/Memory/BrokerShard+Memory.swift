import MQTT

/// `limits.memory`: what clients make the broker hold, all of them together.
extension BrokerShard {
    /// Counts what a connection's buffers take.
    @inline(__always)
    mutating func countBuffers(_ c: UInt32) {
        let bytes = UInt32(
            clamping: connections[c].input.capacity &+ connections[c].output.capacity)
        if bytes != connections[c].countedBuffers { countBuffers(c, bytes) }
    }

    @inline(never)
    private mutating func countBuffers(_ c: UInt32, _ bytes: UInt32) {
        memory.bufferBytes += Int(bytes) - Int(connections[c].countedBuffers)
        connections[c].countedBuffers = bytes
    }

    /// The connection has gone, with its buffers.
    mutating func forgetBuffers(_ c: UInt32) { countBuffers(c, 0) }

    /// Bytes were put into an output. A turn in which very many are has its limits looked at meanwhile.
    @inline(__always)
    mutating func countOutput(_ bytes: Int) {
        memory.turnBytes &+= bytes
        if memory.turnBytes > memory.turnLimit { weighMemory() }
    }

    /// Adds up what all shards use, and sets by it what one client may have.
    @inline(never)
    mutating func weighMemory() {
        let own = memory.ownBytes
        if own != memory.toldBytes {
            board.meter(of: position).add(own - memory.toldBytes)
            memory.toldBytes = own
        }
        memory.weigh(board.usedBytes, configuration.limits)
    }

    /// A message is in flight that was not.
    @inline(__always)
    mutating func countInFlight(_ s: UInt32, _ message: Message?) {
        memory.entries &+= 1
        if let message { sessions[s].inFlightBytes &+= message.cost }
    }

    /// A message is not in flight any more.
    @inline(__always)
    mutating func countCompleted(_ s: UInt32, _ entry: InFlightMessage) {
        memory.entries &-= 1
        if let message = entry.message { sessions[s].inFlightBytes &-= message.cost }
    }

    /// A client has sent a part of a packet. With nothing free, one that is large is too much.
    mutating func checkInput(_ c: UInt32, _ now: MonotonicTime) {
        countBuffers(c)
        guard memory.isExhausted, connections[c].phase == .connected,
            connections[c].input.count > MemoryUse.freeInput, !connections[c].holdsInput
        else { return }
        noteMemory()
        fail(
            c, .quotaExceeded, "limits.memory", "there is no memory for so large a packet", now)
    }

    mutating func noteMemory() {
        guard memory.isNews() else { return }
        log(.memoryReached(used: memory.used, limit: configuration.limits.memoryBytes))
    }

    /// Whether somebody would have to hold a message of QoS 1 or 2: it waits for a session, or for its
    /// acknowledgement by one that is kept.
    mutating func mustBeHeld(_ view: MessageView, _ source: Span<UInt8>) -> Bool {
        guard view.qos != .atMostOnce else { return false }
        // What goes to other shards is an object, or waits there.
        if position.count > 1 || view.isRetained && !view.payload.isEmpty { return true }
        let topic = source.extracting(view.topic.range)
        if board.hasShares {
            var found = MatchBuffer()
            board.withShares { $0.tree.match(topic, into: &found) }
            if !found.isEmpty { return true }
        }
        return isWantedReliably(topic) { shard, s in !shard.passesThrough(s) }
    }

    /// Whether a message goes straight into the output of a session's client, and is not kept.
    private mutating func passesThrough(_ s: UInt32) -> Bool {
        let c = sessions[s].connection
        return c != Session.noConnection && sessions.read(s) { $0.isTransient }
            && sessions[s].queue.isEmpty && canSend(s, c)
    }
}
