import MQTT

extension BrokerShard {
    /// Keeps a retained message, or forgets the one of its topic where the payload is empty.
    /// [MQTT-3.3.1-5], [MQTT-3.3.1-6], [MQTT-3.3.1-7]
    mutating func retain(_ source: Span<UInt8>, _ delivery: inout Delivery) {
        let topic = source.extracting(delivery.view.topic.range)
        if delivery.isServers && Self.isServersTopic(topic) {
            return retainServers(source, &delivery)
        }
        // The server itself speaks to every shard.
        let isShared = position.count > 1 && !delivery.isServers
        if isShared && !acceptsStamp(topic, delivery) { return }
        guard !delivery.view.payload.isEmpty else {
            if retained.remove(topic) != nil { recordRetainedRemoved(topic) }
            return
        }
        // Of several shards the one that took it from its client has looked for room, for all of them.
        guard isShared || hasRetainedRoom(topic, delivery.view) else {
            counters.droppedRetainedFull += 1
            return log(.retainedFull)
        }
        let message = delivery.shared(in: source, counting: meter)
        retained.set(topic, message, bytes: message.cost + Self.treeCost(topic))
        // What the server says of itself is true while it runs, and no longer.
        if !delivery.isServers { recordRetained(message) }
        if message.hasExpiry { sweep(at: message.expiresAt, delivery.now) }
    }

    /// Whether a retained message cannot be kept, and its publisher can be told instead of having it
    /// routed. Before 5.0, and at QoS 0, nobody can be told.
    mutating func mustRefuseRetained(
        _ view: MessageView, _ source: Span<UInt8>, _ c: UInt32
    ) -> Bool {
        guard view.isRetained, !view.payload.isEmpty, connections.read(c, { $0.isVersion5 })
        else { return false }
        return !hasRetainedRoom(source.extracting(view.topic.range), view)
    }

    mutating func hasRetainedRoom(_ topic: Span<UInt8>, _ view: MessageView) -> Bool {
        let limits = configuration.limits
        let old = retained.value(for: topic)
        var size =
            view.topic.count + view.properties.count + view.payload.count + Message.overhead
        if old == nil { size += topic.count + Self.treeCost(topic) }
        let bytes = retained.byteCount + size - (old?.cost ?? 0)
        let count = retained.count + (old == nil ? 1 : 0)
        return bytes <= limits.retainedBytes && count <= limits.retainedMessages
    }

    /// What a topic's place in the tree may cost, in bytes: a node and a level for each of its levels, as
    /// if it shared none with others.
    static func treeCost(_ topic: Span<UInt8>) -> Int { levelCount(topic) * 96 }

    /// Sees to it that what expires at `time` goes then or soon after, also when nobody asks for it.
    private mutating func sweep(at time: MonotonicTime, _ now: MonotonicTime) {
        let due = max(time, now + Self.sweepPause)
        guard due < nextSweep else { return }
        nextSweep = due
        addDeadline(due, .sweep, 0, 0)
    }

    /// The least time between two searches for expired retained messages, which look at all of them.
    private static var sweepPause: Duration { .seconds(10) }

    /// Forgets the retained messages whose expiry interval has passed.
    mutating func sweepRetained(_ now: MonotonicTime) {
        nextSweep = .distantFuture
        var expired: [Message] = []
        var earliest = MonotonicTime.distantFuture
        retained.forEachValue { message in
            guard message.hasExpiry else { return }
            if message.isExpired(at: now) {
                expired.append(message)
            } else {
                earliest = min(earliest, message.expiresAt)
            }
        }
        for message in expired { forgetExpired(message) }
        if earliest < .distantFuture { sweep(at: earliest, now) }
    }

    mutating func forgetExpired(_ message: Message) {
        counters.droppedExpired += 1
        let topic = message.topic
        retained.remove(topic.span)
        recordRetainedRemoved(topic.span)
        retainedStamps?.forget(topic.span)
    }

    /// Whether a change of a retained topic is to be kept, and no later one is known already.
    private mutating func acceptsStamp(
        _ topic: Span<UInt8>, _ delivery: borrowing Delivery
    ) -> Bool {
        guard delivery.stamp != 0 else { return false }
        return retainedStamps?.accept(
            topic, delivery.stamp, isRemoval: delivery.view.payload.isEmpty, at: delivery.now)
            ?? true
    }
}
