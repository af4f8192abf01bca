import MQTT

/// A subscription's filter whose retained messages are to be sent, the QoS that it was granted, and its
/// identifier, 0 for none.
struct RetainedLookup {
    var filter: TopicFilter
    var qos: QoS
    var identifier: UInt32
}

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

    /// Gives a new subscription the retained messages that it asks for, now or, where that takes long,
    /// in a tick of its own. [MQTT-3.3.1-9]
    ///
    /// A wildcard may visit every retained topic. A client that asks for a thousand of them gets them one
    /// after the other, and is not listened to meanwhile: others are. When its connection ends first, a
    /// session that is kept gets them all the same: it has the subscription.
    mutating func sendRetained(
        _ lookup: RetainedLookup, _ c: UInt32, _ now: MonotonicTime
    ) {
        let isCheap =
            !lookup.filter.hasWildcard || retained.nodeCount <= Self.cheapNodes
            || Self.isServersTopic(lookup.filter.bytes.span)
        let s = connections[c].session
        if isCheap && sessions[s].lookups.isEmpty { return sendRetained(lookup, to: s, now) }
        sessions[s].lookups.append(lookup)
        recordLookup(s, lookup)
        if sessions[s].lookups.count == 1 {
            awaitLookups(s, c)
            scheduleLookup(s, now)
        }
    }

    /// Takes nothing more from a client whose session has look-ups to come.
    mutating func awaitLookups(_ s: UInt32, _ c: UInt32) {
        guard !sessions[s].lookups.isEmpty else { return }
        connections[c].awaitsLookups = true
        pauseReading(c)
    }

    /// Topics' levels that a look-up may visit on the spot.
    private static var cheapNodes: Int { 1_000 }
    /// Time for others between two look-ups of one session.
    private static var lookupPause: Duration { .milliseconds(1) }

    mutating func scheduleLookup(_ s: UInt32, _ now: MonotonicTime) {
        let key = sessions.key(at: s)
        addDeadline(now + Self.lookupPause, .lookup, key.index, key.generation)
    }

    /// Does the session's next look-up, and listens to its client again behind the last.
    mutating func lookUpNext(_ s: UInt32, _ now: MonotonicTime) {
        guard let lookup = sessions[s].lookups.popFirst() else { return }
        recordLookupDone(s)
        sendRetained(lookup, to: s, now)
        let c = sessions[s].connection
        // It may have said that it lives; nobody listened.
        if c != Session.noConnection { connections[c].lastReceived = now }
        guard sessions[s].lookups.isEmpty else { return scheduleLookup(s, now) }
        guard c != Session.noConnection else { return }
        connections[c].awaitsLookups = false
        takeInput(c, now)
        if connections[c].mayBeRead { resumeReading(c) }
    }

    private mutating func sendRetained(
        _ lookup: RetainedLookup, to s: UInt32, _ now: MonotonicTime
    ) {
        var found: [Message] = []
        var expired: [Message] = []
        func sort(_ message: Message) -> Bool {
            if message.isExpired(at: now) {
                expired.append(message)
            } else {
                found.append(message)
            }
            return true
        }
        if Self.isServersTopic(lookup.filter.bytes.span) {
            serversRetained.forEach(matching: lookup.filter) { _, message in sort(message) }
        } else {
            retained.forEach(matching: lookup.filter) { _, message in sort(message) }
        }
        for message in expired { forgetExpired(message) }
        found = permitted(found, to: s)
        let isConnected = sessions[s].connection != Session.noConnection
        for (index, message) in found.enumerated() {
            let qos = min(lookup.qos, message.qos)
            if qos == .atMostOnce && !isConnected { continue }
            // [MQTT-3.3.1-8]: RETAIN is set on what a subscription brings.
            let options = DeliveryOptions(qos: qos, retain: true, identifier: lookup.identifier)
            let entry = QueuedMessage(message: message, options: options)
            guard enqueue(entry, s, now) else {
                counters.droppedQueueFull += UInt64(found.count - index - 1)
                break
            }
        }
        pump(s, now)
    }

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

    private mutating func forgetExpired(_ message: Message) {
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
