import MQTT

/// Shared subscriptions (5.0, 4.8.2): one member of each group gets a message.
extension BrokerShard {
    /// A group knows the members of its own shard only: with several, each would give the message to one.
    var offersShares: Bool { position.count == 1 }

    /// Gives a message to one member of each group whose filter matches. Returns how many there were.
    @inline(never)
    mutating func deliverShared(_ source: Span<UInt8>, _ delivery: inout Delivery) -> Int {
        matchedTopic.forget()
        shares.tree.match(source.extracting(delivery.view.topic.range), into: &matches)
        let groups = matches.matches.count
        for index in 0..<groups {
            deliver(toMemberOf: matches.matches[index].subscriber, source, &delivery)
        }
        return groups
    }

    /// Gives a message to the member whose turn it is. With a QoS above 0 it remembers where it came from,
    /// so that another gets it if this one's session ends. [MQTT-4.8.2-3]
    private mutating func deliver(
        toMemberOf group: UInt32, _ source: Span<UInt8>, _ delivery: inout Delivery
    ) {
        let member = takeTurn(group, source, delivery.view)
        var options = DeliveryOptions(
            qos: Self.granted(member.bits.qosBits, delivery.view.qos),
            retain: member.bits.retainAsPublished && delivery.view.isRetained,
            identifier: member.bits.identifier)
        if options.qos != .atMostOnce {
            options.group = shares.number(of: group)
            sessions[member.session].hasSharedMessages = true
        }
        deliver(to: member.session, options, source, &delivery)
    }

    /// Members that are asked whether they are ready, at most: a group of slow ones costs no more.
    private static var candidates: Int { 8 }

    /// The next member in turn, of those connected or of all where none is; who is behind with what it
    /// got is passed over while another is ready.
    private mutating func takeTurn(
        _ group: UInt32, _ source: Span<UInt8>, _ view: MessageView
    ) -> ShareGroups.Member {
        let count = min(shares.eligibleCount(group), Self.candidates)
        let topic = source.extracting(view.topic.range)
        var step = 0
        while step < count {
            let candidate = shares.candidate(group, after: step)
            let s = candidate.session
            // Who may not read it does not keep it from the others.
            if isReady(candidate, view) && (!sessions[s].checksDeliveries || mayRead(s, topic)) {
                break
            }
            step += 1
        }
        if step == count { step = 0 }
        let member = shares.candidate(group, after: step)
        shares.advance(group, past: step)
        return member
    }

    /// Whether a member can be sent a message now or, where it is away, has room for it.
    private mutating func isReady(_ member: ShareGroups.Member, _ view: MessageView) -> Bool {
        let s = member.session
        let c = sessions[s].connection
        let size = view.topic.count + view.properties.count + view.payload.count + Message.overhead
        guard c != Session.noConnection else { return hasQueueRoom(s, size) }
        guard view.qos == .atMostOnce || member.bits.qosBits == 0 else {
            return sessions[s].queue.isEmpty && canSend(s, c)
                && size <= connections[c].maximumPacketSize
        }
        return connections.read(c) { $0.output.count + size } <= memory.outputLimit
            && size <= connections[c].maximumPacketSize
    }
}

extension BrokerShard {
    /// Whether one of those who may get a message next keeps it.
    mutating func isWantedByShare(_ topic: Span<UInt8>, isDurable: Bool) -> Bool {
        var found = MatchBuffer()
        shares.tree.match(topic, into: &found)
        for index in found.matches.indices {
            let group = found.matches[index].subscriber
            for step in 0..<min(shares.eligibleCount(group), Self.candidates) {
                let member = shares.candidate(group, after: step)
                let takes = isDurable || sessions[member.session].isReserved
                if member.bits.qosBits > 0 && takes && isKept(member.session) { return true }
            }
        }
        return false
    }
}

// MARK: - A member that leaves

extension BrokerShard {
    /// Takes from a session what it got of shared subscriptions and has not acknowledged, oldest first, as
    /// far as `wanted` says so of the group's number. QoS 2 that was sent stays. [MQTT-4.8.2-4]
    mutating func takeBackShared(
        _ s: UInt32, where wanted: (_ group: UInt32) -> Bool
    ) -> [QueuedMessage] {
        guard sessions[s].hasSharedMessages else { return [] }
        var taken: [QueuedMessage] = []
        for kept in sessions[s].window.kept() where kept.stage == .awaitingPubAck {
            let entry = kept.payload
            guard entry.options.group != 0, wanted(entry.options.group),
                let message = entry.message
            else { continue }
            taken.append(QueuedMessage(message: message, options: entry.options))
            _ = sessions[s].window.complete(kept.id)
            countCompleted(s, entry)
            recordCompleted(s, entry, kept.id)
        }
        var kept = RingQueue<QueuedMessage>()
        while let entry = sessions[s].queue.popFirst() {
            if entry.options.group != 0 && wanted(entry.options.group) {
                sessions[s].queuedBytes -= entry.cost
                memory.entries -= 1
                recordDropped(s, entry)
                taken.append(entry)
            } else {
                kept.append(entry)
            }
        }
        sessions[s].queue = kept
        return taken
    }

    /// Gives messages that were taken back to other members of their groups.
    ///
    /// One whose group has ended is dropped with it.
    mutating func redistribute(_ messages: [QueuedMessage], _ now: MonotonicTime) {
        for entry in messages {
            guard let group = shares.group(numbered: entry.options.group) else {
                counters.droppedSessionEnded += 1
                continue
            }
            guard let remaining = entry.message.remainingSeconds(at: now) else {
                counters.droppedExpired += 1
                continue
            }
            var delivery = Delivery(
                view: entry.message.view, message: entry.message, remainingExpiry: remaining,
                now: now)
            let body = entry.message.body
            deliver(toMemberOf: group, body.span, &delivery)
        }
    }

    /// The session's client has gone: others of its groups that are connected get what it left.
    mutating func giveToConnected(_ s: UInt32, _ now: MonotonicTime) {
        guard sessions[s].hasSharedMessages else { return }
        var groups: Set<UInt32> = []
        for group in shares.groups(of: s) where shares.hasConnectedMember(group) {
            groups.insert(shares.number(of: group))
        }
        redistribute(takeBackShared(s) { groups.contains($0) }, now)
    }

    /// The session's client has come. Where it is the first of a group, it gets what others left.
    mutating func takeFromAway(_ s: UInt32, _ now: MonotonicTime) {
        for group in shares.groups(of: s) where shares.eligibleCount(group) == 1 {
            let number = shares.number(of: group)
            for away in shares.awayMembers(group) {
                redistribute(takeBackShared(away) { $0 == number }, now)
            }
        }
    }
}
