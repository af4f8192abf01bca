import MQTT

extension BrokerShard {
    struct WillFault {
        var reason: ReasonCode
        var clause: String
        var detail: String
    }

    /// The will of CONNECT. A bridge of Mosquitto has one below `$SYS/broker/connection`, where only
    /// the server writes: the bridge is welcome, the will is left out.
    static func takenWill(_ connect: Connect, _ source: Span<UInt8>) -> Will? {
        guard let will = connect.will else { return nil }
        let isServers = isServersTopic(source.extracting(will.topic.range))
        return connect.isBridge && isServers ? nil : will
    }

    /// Why a will cannot be published by a client with these rights; `nil` when it can.
    func check(
        _ will: Will, _ source: Span<UInt8>, _ rights: Rights?, _ rules: AccessRules
    ) -> WillFault? {
        if will.qos > rules.maximumQoS {
            return WillFault(
                reason: .qosNotSupported, clause: "MQTT-3.2.2-12",
                detail: "the will's QoS is above the server's maximum")
        }
        if will.retain && !rules.isRetainAvailable {
            return WillFault(
                reason: .retainNotSupported, clause: "MQTT-3.2.2-13",
                detail: "the server retains no will")
        }
        let topic = source.extracting(will.topic.range)
        if let fault = Self.topicFault(topic, configuration.limits.topics) {
            return WillFault(
                reason: .topicNameInvalid, clause: fault, detail: "the will's topic is not taken")
        }
        if Self.isServersTopic(topic) {
            return WillFault(
                reason: .notAuthorized, clause: "4.7.2",
                detail: "the will's topic belongs to the server")
        }
        if let rights, !rights.mayPublish(topic) {
            return WillFault(
                reason: .notAuthorized, clause: "access", detail: "the will's topic is not allowed")
        }
        return nil
    }

    /// Keeps the will of a connection that has begun. [MQTT-3.1.2-7]
    mutating func keep(_ will: Will, _ source: Span<UInt8>, _ s: UInt32, _ now: MonotonicTime) {
        let (arena, view) = Self.withoutDelay(will, source)
        sessions[s].will = Message(
            view, in: arena.span, at: now, publisher: view.isRetained ? rights(of: s) : nil,
            counting: meter)
        sessions[s].willDelaySeconds =
            will.properties.uint32(.willDelayInterval, in: source) ?? 0
        recordWill(s)
    }

    /// The will as a message: its properties but the delay, which is for the server alone.
    private static func withoutDelay(
        _ will: Will, _ source: Span<UInt8>
    ) -> (arena: [UInt8], view: MessageView) {
        var arena = [UInt8](copying: source.extracting(will.topic.range))
        let topic = ByteRange(0..<arena.count)
        let start = arena.count
        var expiryOffset = 0
        var properties = will.properties.makeIterator()
        var from = properties.position
        while let property = properties.next(in: source) {
            if property.identifier != .willDelayInterval {
                if property.identifier == .messageExpiryInterval { expiryOffset = arena.count + 1 }
                arena.append(contentsOf: source.extracting(from..<properties.position))
            }
            from = properties.position
        }
        let end = arena.count
        arena.append(contentsOf: source.extracting(will.payload.range))
        let expiry = will.properties.uint32(.messageExpiryInterval, in: source)
        let view = MessageView(
            topic: topic, properties: ByteRange(start..<end),
            payload: ByteRange(end..<arena.count), expiryOffset: expiryOffset,
            expiryInterval: expiry ?? 0, qos: will.qos, isRetained: will.retain)
        return (arena, view)
    }

    /// Publishes the will now and forgets it. [MQTT-3.1.2-8], [MQTT-3.1.2-10]
    mutating func publishWill(_ s: UInt32, _ now: MonotonicTime) {
        sessions[s].willDue = .distantFuture
        guard let will = sessions[s].will.take() else { return }
        let body = will.body
        let view = will.view
        guard rights(of: s).mayPublish(body.span.extracting(view.topic.range)) else {
            counters.willsRefused += 1
            recordWillCleared(s)
            return log(.willRefused(clientID: sessions[s].clientID))
        }
        counters.willsPublished += 1
        // Its age counts from now, not from CONNECT.
        let publisher = view.isRetained ? rights(of: s) : nil
        let message = Message(
            view, in: body.span, at: now, publisher: publisher, counting: meter)
        guard route(message, from: s, now) else { return recordWillCleared(s) }
        exchange.settlements.append((journal.current, .will(SessionID(sessions.key(at: s)))))
    }
}
