import MQTT

/// A connection on its way to the shard of its client identifier: what was read of it and not used.
public struct MovedConnection: Sendable {
    let rules: AccessRules
    let identity: [UInt8]?
    let nonce: UInt64
    /// When it is closed if its CONNECT has not been taken by then.
    let deadline: MonotonicTime
    /// CONNECT, and what came behind it.
    let input: [UInt8]
}

/// CONNECT is taken by the shard that the client identifier names. The shard that reads it looks at the
/// client identifier, and at nothing else of it.
extension BrokerShard {
    /// Whether CONNECT is for another shard; the shell is asked to move the connection there.
    mutating func moves(_ connect: Connect, _ source: Span<UInt8>, _ c: UInt32) -> Bool {
        // An empty identifier is made here, and one that is for this shard.
        guard position.count > 1, !connect.clientID.isEmpty else { return false }
        let target = ShardPosition.shard(
            ofClientID: source.extracting(connect.clientID.range), count: position.count)
        guard target != position.index else { return false }
        // Taken again there.
        counters.packetsReceived &-= 1
        move(c, to: target)
        return true
    }

    /// Has a connection served by another shard, where its CONNECT may find that a third one is its own.
    public mutating func relocate(_ id: ConnectionID, to shard: Int) {
        guard connections.contains(id.key), connections[id.index].phase == .awaitingConnect,
            shard != position.index
        else { return }
        move(id.index, to: shard)
    }

    private mutating func move(_ c: UInt32, to shard: Int) {
        connections[c].phase = .moving
        pauseReading(c)
        act(.move(ConnectionID(connections.key(at: c)), shard: shard))
    }

    /// Gives up a connection that `BrokerAction.move` named; `nil` when it has ended meanwhile.
    public mutating func release(_ id: ConnectionID) -> MovedConnection? {
        guard connections.contains(id.key), connections[id.index].phase == .moving else {
            return nil
        }
        let c = id.index
        connectingBytes -= connections[c].countedBytes
        forgetBuffers(c)
        let connection = connections.remove(c)
        deadlines.abandon(connection.deadline)
        tellCounts()
        return MovedConnection(
            rules: connection.rules.value, identity: connection.identity, nonce: connection.nonce,
            deadline: connection.deadline,
            input: connection.input.withSpan { [UInt8](copying: $0) })
    }

    /// Takes over a connection that another shard released. Its CONNECT is taken by `takeMoved(_:at:)`,
    /// once the shell knows the connection by its new name.
    public mutating func adopt(
        _ moved: MovedConnection, at now: MonotonicTime
    ) -> ConnectionID {
        var connection = Connection(
            rules: share(moved.rules), nonce: moved.nonce, limits: wireLimits(for: moved.rules),
            now: now)
        connection.identity = moved.identity
        connection.input.append(moved.input.span)
        let key = connections.insert(connection)
        countBuffers(key.index)
        setConnectionDeadline(key.index, moved.deadline)
        tellCounts()
        return ConnectionID(key)
    }

    /// Goes on with what a connection brought along.
    public mutating func takeMoved(_ id: ConnectionID, at now: MonotonicTime) {
        guard connections.contains(id.key) else { return }
        let c = id.index
        takeInput(c, now)
        if connections[c].phase != .connected || connections[c].countedBytes > 0 {
            countConnecting(c, now)
        }
    }
}
