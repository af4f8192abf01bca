import MQTT

/// What the server itself publishes, and what its operator asks for.
extension BrokerShard {
    /// Publishes to this shard's subscribers, and keeps it as this shard's retained message.
    ///
    /// The shell tells every shard: nothing goes to the others. What is retained so lives in memory only;
    /// below `$SYS` it is kept apart from what users retain, and no limit of theirs counts it.
    ///
    /// - Parameter topic: a valid topic name.
    public mutating func publishAsServer(
        topic: [UInt8], payload: [UInt8], qos: QoS = .atMostOnce, retain: Bool,
        at now: MonotonicTime
    ) {
        let source = topic + payload
        let view = MessageView(
            topic: ByteRange(0..<topic.count), properties: .empty,
            payload: ByteRange(topic.count..<source.count), qos: qos, isRetained: retain)
        var delivery = Delivery(view: view, isServers: true, remainingExpiry: 0, now: now)
        routeHere(source.span, &delivery, from: Connection.noSession)
        // All shards say the same; a group gets it once.
        if position.index == 0 && board.hasShares {
            _ = deliverShared(source.span, &delivery, from: Connection.noSession)
        }
    }

    /// Keeps what the server retains below `$SYS`.
    mutating func retainServers(_ source: Span<UInt8>, _ delivery: inout Delivery) {
        let topic = source.extracting(delivery.view.topic.range)
        guard !delivery.view.payload.isEmpty else {
            serversRetained.remove(topic)
            return
        }
        let message = delivery.shared(in: source, counting: meter)
        serversRetained.set(topic, message, bytes: message.cost)
    }

    /// Ends the connection of a client; false where there is none.
    ///
    /// Its session stays as long as it would have, and its will is published.
    public mutating func disconnect(clientID: [UInt8], at now: MonotonicTime) -> Bool {
        guard let s = sessionsByClientID[clientID], sessions[s].isConnected else { return false }
        let c = sessions[s].connection
        sendDisconnect(c, .administrativeAction, "disconnected by an operator")
        end(c, .byOperator, now)
        return true
    }

    /// Forgets the retained message of a topic, in the store too; false where there is none.
    public mutating func removeRetained(topic: [UInt8]) -> Bool {
        guard retained.remove(topic.span) != nil else { return false }
        recordRetainedRemoved(topic.span)
        return true
    }
}
