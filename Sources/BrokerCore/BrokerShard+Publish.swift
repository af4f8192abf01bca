import MQTT

extension BrokerShard {
    /// PUBLISH from a client: whether it is taken, where it goes, and what is answered.
    @inline(__always)
    mutating func take(
        _ publish: Publish, _ packet: ByteRange, _ source: Span<UInt8>, _ c: UInt32,
        _ now: MonotonicTime
    ) {
        counters.publishesReceived &+= 1
        counters.publishBytesReceived &+= UInt64(truncatingIfNeeded: publish.payload.count)
        if publish.properties.contains(.topicAlias) { return takeAliased(publish, source, c, now) }
        takeNamed(publish, packet, source, c, now)
    }

    /// PUBLISH that names its topic; `packet` is where all of it lies, if it may leave as it came.
    @inline(__always)
    mutating func takeNamed(
        _ publish: Publish, _ packet: ByteRange?, _ source: Span<UInt8>, _ c: UInt32,
        _ now: MonotonicTime
    ) {
        if connections[c].hasPublishTerms, failsTerms(publish, c, now) { return }
        let topic = source.extracting(publish.topic.range)
        if !takenTopic.isRepeated(topic, at: 0), isRefused(topic, publish, c, now) { return }
        if connections[c].isRestricted, !mayPublish(topic, c) {
            return refuse(
                publish, topic, .notAuthorized, "access", "the topic is not allowed", c, now)
        }
        var delivery = Delivery(
            view: MessageView(
                topic: publish.topic, properties: publish.properties.region,
                payload: publish.payload, qos: publish.qos, isRetained: publish.retain),
            remainingExpiry: 0, now: now)
        if publish.properties.contains(.messageExpiryInterval) {
            noteExpiry(publish.properties, source, &delivery)
        }
        if publish.retain { delivery.publisher = rights(of: connections[c].session) }
        if isStoreTight || memory.isTight, !isRepeated(publish, c),
            lacksRoom(for: delivery.view, source, from: connections[c].session)
        {
            return refuseForRoom(publish, c, now)
        }
        delivery.packet = packet
        delivery.packetIsVersion5 = connections[c].isVersion5
        switch publish.qos {
        case .atMostOnce:
            route(source, &delivery, from: connections[c].session)
        case .atLeastOnce: takeAtLeastOnce(publish, source, &delivery, c)
        case .exactlyOnce: takeExactlyOnce(publish, source, &delivery, c)
        }
    }

    /// Refuses what is published to a topic that nobody may publish to.
    @inline(never)
    private mutating func isRefused(
        _ topic: Span<UInt8>, _ publish: Publish, _ c: UInt32, _ now: MonotonicTime
    ) -> Bool {
        if let fault = Self.topicFault(topic, configuration.limits.topics) {
            refuse(publish, topic, .topicNameInvalid, fault, "the topic is not taken", c, now)
        } else if Self.isServersTopic(topic) {
            refuse(
                publish, topic, .notAuthorized, "4.7.2", "the topic belongs to the server", c, now)
        } else {
            return false
        }
        takenTopic.forget()
        return true
    }

    private mutating func takeAtLeastOnce(
        _ publish: Publish, _ source: Span<UInt8>, _ delivery: inout Delivery, _ c: UInt32
    ) {
        guard let packetID = publish.packetID else { preconditionFailure("QoS 1 has one") }
        if exceedsReceiveMaximum(c) { return failForReceiveMaximum(c, delivery.now) }
        if mustRefuseRetained(delivery.view, source, c) {
            return sendRefusal(c, .pubAck, packetID, .quotaExceeded, Self.noRetainedRoom)
        }
        let mark = journal.mark
        let taken = route(source, &delivery, from: connections[c].session)
        sendAcknowledgement(
            c, .pubAck, packetID, taken == 0 ? .noMatchingSubscribers : .success,
            since: mark)
        if journal.mark != mark { waitForCommit(c) }
    }

    /// QoS 2 is routed at PUBLISH, and its identifier kept until PUBREL: what comes again under it is
    /// answered and not routed again. [MQTT-4.3.3-10], [MQTT-4.3.3-12]
    private mutating func takeExactlyOnce(
        _ publish: Publish, _ source: Span<UInt8>, _ delivery: inout Delivery, _ c: UInt32
    ) {
        guard let packetID = publish.packetID else { preconditionFailure("QoS 2 has one") }
        let s = connections[c].session
        if sessions[s].incoming.contains(packetID) {
            counters.duplicatesReceived += 1
            return sendAcknowledgement(c, .pubRec, packetID, since: earlierMark(s))
        }
        if exceedsReceiveMaximum(c) { return failForReceiveMaximum(c, delivery.now) }
        if mustRefuseRetained(delivery.view, source, c) {
            return sendRefusal(c, .pubRec, packetID, .quotaExceeded, Self.noRetainedRoom)
        }
        sessions[s].incoming.insert(packetID)
        connections[c].openIncoming += 1
        let mark = journal.mark
        guard isKept(s),
            let serial = recordIncoming(s, delivery.shared(in: source, counting: meter), packetID)
        else {
            let taken = route(source, &delivery, from: s)
            return sendAcknowledgement(
                c, .pubRec, packetID, taken == 0 ? .noMatchingSubscribers : .success,
                since: mark)
        }
        // Routed once the identifier is safe: until then a crash would have the client send it again,
        // and nobody would know that it had been routed.
        heldMessages.append(
            HeldMessage(
                turn: journal.current, serial: serial, session: sessions[s].number,
                publisher: SessionID(sessions.key(at: s)),
                message: delivery.shared(in: source, counting: meter),
                origin: HeldOrigin(shard: position.index, serial: serial)))
        sendAcknowledgement(c, .pubRec, packetID, since: mark)
        waitForCommit(c)
    }

    /// Whether it is a QoS 2 message that was taken already.
    private mutating func isRepeated(_ publish: Publish, _ c: UInt32) -> Bool {
        guard publish.qos == .exactlyOnce, let packetID = publish.packetID else { return false }
        return sessions[connections[c].session].incoming.contains(packetID)
    }

    /// Notes where the expiry interval stands and how long it is.
    private func noteExpiry(
        _ properties: Properties, _ source: Span<UInt8>, _ delivery: inout Delivery
    ) {
        var iterator = properties.makeIterator()
        while let property = iterator.next(in: source) {
            guard property.identifier == .messageExpiryInterval,
                case .integer(let seconds) = property.value
            else { continue }
            delivery.view.expiryOffset = iterator.position - 4
            delivery.view.expiryInterval = seconds
            delivery.remainingExpiry = seconds
        }
    }

    /// Whether a 5.0 client has sent more than Receive Maximum allows. [MQTT-3.3.4-7]
    ///
    /// Only those of this connection count (3.1.2.11.3): what a client that lost its state left open
    /// would otherwise keep it out for ever. Before 5.0 there is no such rule; packet identifiers are
    /// the limit.
    ///
    /// `mutating`, as others on this way are: a function that is not is handed a copy of the whole shard.
    private mutating func exceedsReceiveMaximum(_ c: UInt32) -> Bool {
        guard connections.read(c, { $0.isVersion5 }) else { return false }
        let open = connections.read(c) { Int($0.openIncoming) + $0.heldAcknowledgements }
        return open >= configuration.limits.receiveMaximum
    }

    private mutating func failForReceiveMaximum(_ c: UInt32, _ now: MonotonicTime) {
        fail(
            c, .receiveMaximumExceeded, "MQTT-3.3.4-8",
            "more QoS 1 and 2 messages in flight than receive maximum allows", now)
    }

    /// A PUBLISH that is not taken: 5.0 clients are told, and stay where they can be told.
    private mutating func refuse(
        _ publish: Publish, _ topic: Span<UInt8>, _ reason: ReasonCode, _ clause: String,
        _ detail: String, _ c: UInt32, _ now: MonotonicTime
    ) {
        counters.publishesRefused += 1
        let isVersion5 = connections[c].isVersion5
        if reason == .topicNameInvalid && (!isVersion5 || publish.qos == .atMostOnce) {
            return fail(c, reason, clause, detail, now)
        }
        log(
            .publishRefused(
                ConnectionID(connections.key(at: c)), clientID: clientID(c),
                topic: Self.shown(topic), reason))
        guard let packetID = publish.packetID else { return }
        // Before 5.0 a refused message is acknowledged all the same. [MQTT-3.3.5-2] of 3.1.1
        let kind: PacketType = publish.qos == .atLeastOnce ? .pubAck : .pubRec
        if kind == .pubRec && !isVersion5 {
            let s = connections[c].session
            if !sessions[s].incoming.contains(packetID) { sessions[s].incoming.insert(packetID) }
        }
        sendRefusal(c, kind, packetID, reason, detail)
    }

    private static var noRetainedRoom: String { "there is no room for more retained messages" }

    /// The beginning of a topic or filter for people, with three points where it is cut.
    static func shown(_ topic: Span<UInt8>) -> [UInt8] {
        guard topic.count > shownTopic else { return [UInt8](copying: topic) }
        var end = shownTopic
        // Not within a character.
        while end > 0 && topic[end] & 0xC0 == 0x80 { end -= 1 }
        return [UInt8](copying: topic.extracting(0..<end)) + Array("...".utf8)
    }

    private static var shownTopic: Int { 200 }

    /// The clause that a topic name breaks; `nil` for none. The decoder has checked its characters.
    static func topicFault(_ topic: Span<UInt8>, _ limits: TopicLimits) -> String? {
        if levelCount(topic) > limits.maximumLevels { return "limits.topic_levels" }
        if topic.count > limits.maximumLength { return "limits.topic_length" }
        return nil
    }

    @inline(__always)
    static func levelCount(_ topic: Span<UInt8>) -> Int {
        var levels = 1
        for index in topic.indices where topic[index] == UInt8(ascii: "/") { levels &+= 1 }
        return levels
    }

    /// Whether only the server may publish to it: `$SYS` and what is below it.
    @inline(__always)
    static func isServersTopic(_ topic: Span<UInt8>) -> Bool {
        guard topic.count >= 4, topic[0] == UInt8(ascii: "$") else { return false }
        return topic[1] == UInt8(ascii: "S") && topic[2] == UInt8(ascii: "Y")
            && topic[3] == UInt8(ascii: "S") && (topic.count == 4 || topic[4] == UInt8(ascii: "/"))
    }
}
