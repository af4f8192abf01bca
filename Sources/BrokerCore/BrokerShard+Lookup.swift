import MQTT

/// A subscription's filter whose retained messages are to be sent, the QoS that it was granted, and its
/// identifier, 0 for none.
struct RetainedLookup {
    var filter: TopicFilter
    var qos: QoS
    var identifier: UInt32
}

/// Looking up the retained messages that a new subscription asks for.
extension BrokerShard {
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
        overtaken[s] = nil
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
        if let overtaken = overtaken[s] { found.removeAll { overtaken.contains($0.topic) } }
        send(found, of: lookup, to: s, now)
    }

    private mutating func send(
        _ messages: [Message], of lookup: RetainedLookup, to s: UInt32, _ now: MonotonicTime
    ) {
        let found = permitted(messages, to: s)
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

    /// A message is about to be delivered to a session that has look-ups to come: the retained message of its
    /// topic, which is older, goes first, and not again when its turn comes. [MQTT-4.6.0-5]
    ///
    /// A crash before that turn has it delivered twice: what went ahead is not recorded.
    @inline(never)
    mutating func sendOvertaken(
        by delivery: borrowing Delivery, _ source: Span<UInt8>, to s: UInt32
    ) {
        let topic = source.extracting(delivery.view.topic.range)
        // It may be the retained one itself by now: what the look-up finds then is no older.
        guard let message = retained.value(for: topic), message !== delivery.message,
            !message.isExpired(at: delivery.now),
            overtaken[s, default: []].insert([UInt8](copying: topic)).inserted
        else { return }
        for index in 0..<sessions[s].lookups.count {
            let lookup = sessions[s].lookups[index]
            if lookup.filter.matches(topic) { send([message], of: lookup, to: s, delivery.now) }
        }
    }
}
