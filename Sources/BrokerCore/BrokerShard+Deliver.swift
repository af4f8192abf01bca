import MQTT

extension BrokerShard {
    /// QoS 0: straight into the output of a connected client, or not at all.
    @inline(__always)
    mutating func deliverAtMostOnce(
        to s: UInt32, _ options: DeliveryOptions, _ source: Span<UInt8>,
        _ delivery: inout Delivery
    ) {
        let c = sessions[s].connection
        guard c != Session.noConnection else { return }
        // A retained message of QoS 0 waits in the queue, maybe of the same topic.
        if sessions[s].queuedAtMostOnce > 0 { return enqueue(source, &delivery, options, s) }
        let isVersion5 = connections[c].isVersion5
        if let packet = delivery.packet,
            delivery.packetFits(options, isVersion5: isVersion5),
            connections[c].outgoingAliasMaximum == 0
        {
            guard hasRoom(c, for: packet.count) else { return }
            countOutput(packet.count)
            connections[c].output.append(options.retain ? 0x31 : 0x30)
            connections[c].output.append(
                source.extracting((packet.lowerBound + 1)..<packet.upperBound))
        } else {
            var head = PublishHead(
                options: options, isVersion5: isVersion5,
                remainingExpiry: delivery.remainingExpiry)
            planAlias(&head, delivery.view, source, c)
            let size = head.packetSize(delivery.view)
            guard hasRoom(c, for: size) else { return }
            countOutput(size)
            head.encode(delivery.view, in: source, into: &connections[c].output)
            commitAlias(head, delivery.view, source, c)
        }
        countSent(delivery.view)
        markDirty(c)
    }

    @inline(never)
    private mutating func enqueue(
        _ source: Span<UInt8>, _ delivery: inout Delivery, _ options: DeliveryOptions, _ s: UInt32
    ) {
        let message = delivery.shared(in: source, counting: meter)
        enqueue(QueuedMessage(message: message, options: options), s, delivery.now)
    }

    @inline(__always)
    private mutating func countSent(_ view: MessageView) {
        counters.publishesSent &+= 1
        counters.publishBytesSent &+= UInt64(truncatingIfNeeded: view.payload.count)
    }

    /// Whether a QoS 0 packet of this size may be appended; counts it as dropped where not.
    @inline(__always)
    private mutating func hasRoom(_ c: UInt32, for size: Int) -> Bool {
        if size <= connections[c].maximumPacketSize,
            connections[c].output.count + size <= memory.outputLimit
        {
            return true
        }
        dropAtMostOnce(c, size)
        return false
    }

    @inline(never)
    private mutating func dropAtMostOnce(_ c: UInt32, _ size: Int) {
        connections[c].droppedMessages += 1
        guard size <= connections[c].maximumPacketSize else {
            // [MQTT-3.1.2-25]: as if it had been sent.
            counters.droppedTooLarge += 1
            return
        }
        // Without the limit of all memory there would have been room.
        let isByMemory = connections[c].output.count + size <= configuration.limits.outputBytes
        if isByMemory {
            counters.droppedMemory += 1
            noteMemory()
        } else {
            counters.droppedSlowReader += 1
        }
        guard !connections[c].isSlow else { return }
        connections[c].isSlow = true
        log(
            .slowReader(
                ConnectionID(connections.key(at: c)), clientID: clientID(c),
                isByMemory: isByMemory))
    }

    /// QoS 1 and 2: under a packet identifier while the client takes it, else into the session's queue.
    mutating func deliverReliably(
        to s: UInt32, _ options: DeliveryOptions, _ source: Span<UInt8>,
        _ delivery: inout Delivery
    ) {
        let c = sessions[s].connection
        guard c != Session.noConnection, sessions[s].queue.isEmpty, canSend(s, c) else {
            return enqueue(source, &delivery, options, s)
        }
        var head = PublishHead(
            options: options, isVersion5: connections[c].isVersion5,
            remainingExpiry: delivery.remainingExpiry)
        planAlias(&head, delivery.view, source, c)
        let size = head.packetSize(delivery.view)
        guard size <= connections[c].maximumPacketSize else {
            counters.droppedTooLarge += 1  // [MQTT-3.1.2-25]
            connections[c].droppedMessages += 1
            return
        }
        countOutput(size)
        // A session that ends with its connection never sends it again, and needs no copy.
        let isNeeded = !sessions[s].isTransient || options.group != 0
        let kept = isNeeded ? delivery.shared(in: source, counting: meter) : nil
        var entry = InFlightMessage(message: kept, options: options)
        if let kept, isKept(s) {
            let packetID = sessions[s].window.nextID
            entry.position = recordInFlight(s, kept, &entry.options, packetID)
            if entry.position != 0 { promise(c) }
        }
        guard let packetID = sessions[s].window.append(entry, stage: Self.stage(options.qos))
        else { preconditionFailure("canSend looked for room") }
        countInFlight(s, kept)
        head.packetID = packetID
        if let packet = delivery.packet,
            delivery.packetFits(options, isVersion5: head.isVersion5),
            connections[c].outgoingAliasMaximum == 0
        {
            head.copy(packet, delivery.view, in: source, into: &connections[c].output)
        } else {
            head.encode(delivery.view, in: source, into: &connections[c].output)
            commitAlias(head, delivery.view, source, c)
        }
        countSent(delivery.view)
        markDirty(c)
    }

    static func stage(_ qos: QoS) -> InFlightWindow<InFlightMessage>.Stage {
        qos == .exactlyOnce ? .awaitingPubRec : .awaitingPubAck
    }

    /// Whether another QoS 1 or 2 message may be sent now. [MQTT-3.3.4-9]
    @inline(__always)
    func canSend(_ s: UInt32, _ c: UInt32) -> Bool {
        let hasRoom = sessions.read(s) {
            return $0.window.outstanding < connections[c].sendQuota
                && !$0.window.isFull && !$0.window.isResending
                && $0.inFlightBytes <= memory.queueLimit
        }
        return hasRoom && connections.read(c) { $0.output.count } < memory.outputLimit
    }

    /// Puts a message behind those that wait, or drops it where the queue is full and says so.
    @discardableResult
    mutating func enqueue(
        _ entry: QueuedMessage, _ s: UInt32, _ now: MonotonicTime
    ) -> Bool {
        let cost = entry.cost
        guard hasQueueRoom(s, cost) || makeQueueRoom(s, cost, now) else {
            countQueueFull(s, cost)
            return false
        }
        memory.entries += 1
        var entry = entry
        if entry.qos == .atMostOnce {
            sessions[s].queuedAtMostOnce += 1
        } else {
            entry.position = recordQueued(s, entry.message, &entry.options)
        }
        sessions[s].queue.append(entry)
        sessions[s].queuedBytes += cost
        return true
    }

    mutating func hasQueueRoom(_ s: UInt32, _ cost: Int) -> Bool {
        sessions[s].queue.count < configuration.limits.queueMessages
            && sessions[s].queuedBytes + cost <= memory.queueLimit
            || sessions[s].isReserved
    }

    /// Makes room in a full queue by what has expired, and by its policy.
    private mutating func makeQueueRoom(_ s: UInt32, _ cost: Int, _ now: MonotonicTime) -> Bool {
        dropExpired(s, now)
        switch configuration.limits.queuePolicy {
        case .newest: break
        case .oldest:
            guard cost <= memory.queueLimit else { return false }
            while !hasQueueRoom(s, cost), let oldest = sessions[s].queue.first {
                countQueueFull(s, cost)
                takeFirstQueued(s)
                recordDropped(s, oldest)
            }
        case .disconnect:
            let c = sessions[s].connection
            guard !hasQueueRoom(s, cost), c != Session.noConnection else { break }
            // Not here: what is being routed may still look at it.
            overdue.append(ConnectionID(connections.key(at: c)))
        }
        return hasQueueRoom(s, cost)
    }

    private mutating func countQueueFull(_ s: UInt32, _ cost: Int) {
        // Without the limit of all memory there would have been room.
        let limits = configuration.limits
        let isByMemory =
            sessions[s].queue.count < limits.queueMessages
            && sessions[s].queuedBytes + cost <= limits.queueBytes
        if isByMemory {
            counters.droppedMemory += 1
            noteMemory()
        } else {
            counters.droppedQueueFull += 1
        }
        sessions[s].droppedMessages += 1
        guard !sessions[s].isFull else { return }
        sessions[s].isFull = true
        log(.queueFull(clientID: sessions[s].clientID, isByMemory: isByMemory))
    }

    /// Disconnects clients whose queues were full, where that is the policy.
    mutating func disconnectOverdue(_ now: MonotonicTime) {
        while let id = overdue.popFirst() {
            guard connections.contains(id.key), connections[id.index].phase == .connected
            else { continue }
            fail(
                id.index, .quotaExceeded, "limits.queue_policy",
                "the client is too slow: its queue is full", now)
        }
    }

    /// Makes room in a full queue: the oldest messages go if their time is over. [MQTT-3.3.2-5]
    private mutating func dropExpired(_ s: UInt32, _ now: MonotonicTime) {
        while let first = sessions[s].queue.first, first.message.isExpired(at: now) {
            takeFirstQueued(s)
            counters.droppedExpired += 1
            recordDropped(s, first)
        }
    }

    /// Sends what the client now takes: first what an earlier connection left open, then the queue.
    mutating func pump(_ s: UInt32, _ now: MonotonicTime) {
        guard s != Connection.noSession else { return }
        let c = sessions[s].connection
        guard c != Session.noConnection, sessions[s].backlog.isMade else { return }
        while let resend = sessions[s].window.nextResend(quota: Int(connections[c].sendQuota)) {
            self.resend(resend, s, c, now)
        }
        while let qos = sessions[s].queue.peek({ $0.qos }) {
            if qos == .atMostOnce {
                guard connections[c].output.count < memory.outputLimit else { return }
            } else {
                guard canSend(s, c) else { return }
            }
            guard let next = takeFirstQueued(s) else { return }
            sendQueued(next, s, c, now)
        }
        sessions[s].isFull = false
    }

    @discardableResult
    private mutating func takeFirstQueued(_ s: UInt32) -> QueuedMessage? {
        guard let taken = sessions[s].queue.popFirst() else { return nil }
        sessions[s].queuedBytes -= taken.cost
        memory.entries -= 1
        if taken.qos == .atMostOnce { sessions[s].queuedAtMostOnce -= 1 }
        return taken
    }

    private mutating func sendQueued(
        _ entry: QueuedMessage, _ s: UInt32, _ c: UInt32, _ now: MonotonicTime
    ) {
        let message = entry.message
        guard !message.isExpired(at: now) else {
            counters.droppedExpired += 1  // [MQTT-3.3.2-5]
            recordDropped(s, entry)
            return
        }
        guard mayStillRead(s, message) else {
            dropNotAllowed(s)
            recordDropped(s, entry)
            return
        }
        var head = PublishHead(
            options: entry.options, isVersion5: connections[c].isVersion5,
            remainingExpiry: message.remainingExpiry(at: now) ?? 0)
        let view = message.view
        let body = message.body
        planAlias(&head, view, body.span, c)
        let size = head.packetSize(view)
        guard size <= connections[c].maximumPacketSize else {
            counters.droppedTooLarge += 1  // [MQTT-3.1.2-25]
            connections[c].droppedMessages += 1
            recordDropped(s, entry)
            return
        }
        countOutput(size)
        if entry.qos != .atMostOnce {
            let isNeeded = !sessions[s].isTransient || entry.options.group != 0
            let kept = isNeeded ? message : nil
            let inFlight = InFlightMessage(
                message: kept, options: entry.options, position: entry.position)
            guard let packetID = sessions[s].window.append(inFlight, stage: Self.stage(entry.qos))
            else { preconditionFailure("canSend looked for room") }
            countInFlight(s, kept)
            head.packetID = packetID
            if entry.position != 0 {
                recordSent(s, entry, packetID)
                promise(c)
            }
        }
        head.encode(view, in: body.span, into: &connections[c].output)
        commitAlias(head, view, body.span, c)
        countSent(view)
        markDirty(c)
    }

    /// Sends again what a connection before this one left open. [MQTT-4.4.0-1]
    private mutating func resend(
        _ resend: InFlightWindow<InFlightMessage>.Resend, _ s: UInt32, _ c: UInt32,
        _ now: MonotonicTime
    ) {
        switch resend {
        case .release(let packetID):
            sendAcknowledgement(c, .pubRel, packetID, since: earlierMark(s))
        case .publish(let packetID):
            guard let entry = sessions[s].window.payload(of: packetID), let message = entry.message
            else { preconditionFailure("a persistent session keeps what it has in flight") }
            var head = PublishHead(
                options: entry.options, duplicate: true, packetID: packetID,
                isVersion5: connections[c].isVersion5,
                remainingExpiry: message.remainingExpiry(at: now) ?? 0)
            let body = message.body
            planAlias(&head, message.view, body.span, c)
            let isAllowed = mayStillRead(s, message)
            guard isAllowed, head.packetSize(message.view) <= connections[c].maximumPacketSize
            else {
                // [MQTT-3.1.2-25]: as if it had been sent and acknowledged.
                if isAllowed {
                    counters.droppedTooLarge += 1
                    connections[c].droppedMessages += 1
                } else {
                    dropNotAllowed(s)
                }
                _ = sessions[s].window.complete(packetID)
                countCompleted(s, entry)
                return recordCompleted(s, entry, packetID)
            }
            head.encode(message.view, in: body.span, into: &connections[c].output)
            commitAlias(head, message.view, body.span, c)
            countSent(message.view)
            markDirty(c)
        }
    }
}
