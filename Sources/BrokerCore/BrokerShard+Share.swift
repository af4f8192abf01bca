import MQTT

/// The member of a group that a message goes to.
struct ShareChoice: Sendable {
    var member: ShareGroups.Member
    /// The group's number.
    var group: UInt32

    func options(_ view: MessageView) -> DeliveryOptions {
        DeliveryOptions(
            qos: BrokerShard.granted(member.bits.qosBits, view.qos),
            retain: member.bits.retainAsPublished && view.isRetained,
            identifier: member.bits.identifier)
    }
}

/// Shared subscriptions (5.0, 4.8.2): one member of each group gets a message.
extension BrokerShard {
    func memberID(_ s: UInt32) -> ShareGroups.MemberID {
        ShareGroups.MemberID(shard: UInt16(truncatingIfNeeded: position.index), session: s)
    }

    /// Gives a message to one member of each group whose filter matches. Returns how many there were.
    @inline(never)
    mutating func deliverShared(
        _ source: Span<UInt8>, _ delivery: inout Delivery, from publisher: UInt32
    ) -> Int {
        matchedTopic.forget()
        var choices: [ShareChoice] = []
        swap(&choices, &shareChoices)
        let board = board
        board.withShares { groups in
            groups.tree.match(source.extracting(delivery.view.topic.range), into: &matches)
            for index in 0..<matches.matches.count {
                let group = matches.matches[index].subscriber
                if hasTaken(delivery.origin, groups.filter(of: group)) { continue }
                choices.append(takeTurn(group, &groups, source, delivery.view))
            }
        }
        for choice in choices { deliver(choice, source, &delivery, from: publisher) }
        let count = choices.count
        choices.removeAll(keepingCapacity: true)
        swap(&choices, &shareChoices)
        return count
    }

    /// With a QoS above 0 the message remembers where it came from, so that another member gets it if this
    /// one's session ends. [MQTT-4.8.2-3]
    private mutating func deliver(
        _ choice: ShareChoice, _ source: Span<UInt8>, _ delivery: inout Delivery,
        from publisher: UInt32 = Connection.noSession
    ) {
        var options = choice.options(delivery.view)
        guard choice.member.id.shard == position.index else {
            let shard = Int(choice.member.id.shard)
            if crowded.contains(shard) { awaitShard(publisher) }
            let message = delivery.shared(in: source, counting: meter)
            outboxes[shard].append(.shared(message, choice, origin: delivery.origin))
            if choice.member.isKept && options.qos != .atMostOnce {
                awaitPeers(ShardSet(only: shard))
            }
            return
        }
        if options.qos != .atMostOnce {
            options.group = choice.group
            sessions[choice.member.id.session].hasSharedMessages = true
            if let origin = delivery.origin { noteTaken(origin, choice.group) }
        }
        deliver(to: choice.member.id.session, options, source, &delivery)
    }

    /// Whether a group had got this message when the process before this one ended.
    private func hasTaken(_ origin: HeldOrigin?, _ filter: TopicFilter) -> Bool {
        guard let origin, let restored else { return false }
        return restored.takenShares.contains(TakenShare(origin: origin, filter: filter.bytes))
    }

    /// A member of a group here got a message that a shard held. Of several shards each commits for itself,
    /// so a crash may find it here while the one that held it does not know.
    private mutating func noteTaken(_ origin: HeldOrigin, _ group: UInt32) {
        guard position.count > 1, journal.isRecording, restored?.layoutChanged != true,
            let filter = board.withShares({ $0.filter(numbered: group)?.bytes })
        else { return }
        let taken = TakenShare(origin: origin, filter: filter)
        exchange.takenShares.append(taken)
        recordTaken(taken)
    }

    /// Another shard has chosen a member here; if it has gone meanwhile, it is the turn of another one.
    mutating func takeShared(
        _ message: Message, _ choice: ShareChoice, _ origin: HeldOrigin?, _ now: MonotonicTime
    ) {
        let s = choice.member.id.session
        let isMember = board.withShares { $0.holds(choice.member.id, number: choice.group) }
        guard isMember, sessions.isOccupied(s) else {
            return giveToMember(of: choice.group, message, origin, now)
        }
        guard var delivery = delivery(of: message, origin: origin, now) else { return }
        let body = message.body
        deliver(choice, body.span, &delivery)
    }

    /// Members that are asked whether they are ready, at most: a group of slow ones costs no more.
    private static var candidates: Int { 8 }

    /// The next member in turn, of those connected or of all where none is; who is behind with what it
    /// got is passed over while another is ready. Of members in other shards that is not known.
    private mutating func takeTurn(
        _ group: UInt32, _ groups: inout ShareGroups, _ source: Span<UInt8>, _ view: MessageView
    ) -> ShareChoice {
        let count = min(groups.eligibleCount(group), Self.candidates)
        let topic = source.extracting(view.topic.range)
        var step = 0
        while step < count {
            let candidate = groups.candidate(group, after: step)
            // Who may not read it does not keep it from the others.
            if isReady(candidate, view) && candidate.rights?.mayRead(topic) != false { break }
            step += 1
        }
        if step == count { step = 0 }
        let member = groups.candidate(group, after: step)
        groups.advance(group, past: step)
        return ShareChoice(member: member, group: groups.number(of: group))
    }

    /// Whether a member can be sent a message now or, where it is away, has room for it.
    private mutating func isReady(_ member: ShareGroups.Member, _ view: MessageView) -> Bool {
        guard member.id.shard == position.index else { return true }
        let s = member.id.session
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
        guard board.hasShares else { return false }
        var found = MatchBuffer()
        let candidates = board.withShares { groups in
            groups.tree.match(topic, into: &found)
            return found.matches.flatMap { match in
                (0..<min(groups.eligibleCount(match.subscriber), Self.candidates)).map {
                    groups.candidate(match.subscriber, after: $0)
                }
            }
        }
        for member in candidates where member.bits.qosBits > 0 && member.isKept {
            let isHere = member.id.shard == position.index
            if isDurable || isHere && sessions[member.id.session].isReserved { return true }
        }
        return false
    }

    /// A session as a member of a group, as it subscribed.
    mutating func member(
        _ s: UInt32, _ bits: SubscriptionBits, of filter: TopicFilter
    ) -> ShareGroups.Member {
        let rights = sessions[s].rights
        let isLimited = rights?.subscription(filter) == .partial
        return ShareGroups.Member(
            id: memberID(s), bits: bits, isKept: sessions[s].isRecorded,
            rights: isLimited ? rights : nil)
    }

    /// Rules have changed: what the session's groups know of it is renewed.
    mutating func reviewMemberships(_ s: UInt32) {
        guard board.hasShares else { return }
        let id = memberID(s)
        let held = board.withShares { groups in
            groups.filters(of: id).compactMap { filter in
                groups.membership(filter, id).map { (filter, $0.bits) }
            }
        }
        for (filter, bits) in held { _ = insert(filter, bits, s) }
    }
}

// MARK: - A member that leaves

extension BrokerShard {
    /// Takes from a session what it got of shared subscriptions and has not acknowledged, oldest first, as
    /// far as `wanted` says so of the group's number. QoS 2 that was sent stays. [MQTT-4.8.2-4]
    ///
    /// Nothing of that is recorded: whoever gives the messages on does so, once they are safe elsewhere.
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
            taken.append(
                QueuedMessage(message: message, options: entry.options, position: entry.position))
            _ = sessions[s].window.complete(kept.id)
            countCompleted(s, entry)
        }
        var kept = RingQueue<QueuedMessage>()
        while let entry = sessions[s].queue.popFirst() {
            if entry.options.group != 0 && wanted(entry.options.group) {
                sessions[s].queuedBytes -= entry.cost
                memory.entries -= 1
                taken.append(entry)
            } else {
                kept.append(entry)
            }
        }
        sessions[s].queue = kept
        for entry in taken where entry.position != 0 { forget(s, entry.message) }
        return taken
    }

    /// Gives messages that were taken back to other members of their groups.
    ///
    /// One whose group has ended is dropped with it.
    mutating func redistribute(_ messages: [QueuedMessage], _ now: MonotonicTime) {
        for entry in messages { giveToMember(of: entry.options.group, entry.message, nil, now) }
    }

    private mutating func giveToMember(
        of number: UInt32, _ message: Message, _ origin: HeldOrigin?, _ now: MonotonicTime
    ) {
        guard var delivery = delivery(of: message, origin: origin, now) else { return }
        let body = message.body
        let board = board
        let choice = board.withShares { groups in
            groups.group(numbered: number).map {
                takeTurn($0, &groups, body.span, delivery.view)
            }
        }
        guard let choice else {
            counters.droppedSessionEnded += 1
            return
        }
        deliver(choice, body.span, &delivery)
    }

    /// Gives what a session that goes on got of these groups to other members.
    private mutating func giveAway(
        _ s: UInt32, _ now: MonotonicTime, where wanted: (_ group: UInt32) -> Bool
    ) {
        let taken = takeBackShared(s, where: wanted)
        guard !taken.isEmpty else { return }
        let number = sessions[s].number
        let positions = taken.map(\.position).filter { $0 != 0 }
        let awaits = exchange.awaits
        redistribute(taken, now)
        if exchange.awaits == awaits {
            for position in positions { recordDropped(position, ofSession: number) }
        } else {
            exchange.settlements.append(
                (journal.current, .left(session: number, positions: positions)))
        }
    }

    /// The session's client has gone: others of its groups that are connected get what it left.
    mutating func giveToConnected(_ s: UInt32, _ now: MonotonicTime) {
        guard sessions[s].hasSharedMessages else { return }
        let id = memberID(s)
        let groups = board.withShares { groups in
            Set(
                groups.groups(of: id).filter { groups.hasConnectedMember($0) }
                    .map { groups.number(of: $0) })
        }
        giveAway(s, now) { groups.contains($0) }
    }

    /// The session's client has come. Where it is the first of a group, it gets what others left.
    mutating func takeFromAway(_ s: UInt32, _ now: MonotonicTime) {
        guard board.hasShares else { return }
        let id = memberID(s)
        let away = board.withShares { groups in
            groups.groups(of: id).filter { groups.eligibleCount($0) == 1 }.flatMap { group in
                groups.awayMembers(group).map { (member: $0, number: groups.number(of: group)) }
            }
        }
        for (member, number) in away {
            if member.shard == position.index {
                giveAway(member.session, now) { $0 == number }
            } else {
                outboxes[Int(member.shard)].append(.wanted(member, group: number))
            }
        }
    }

    /// A member in another shard is the first whose client is there: what this one left goes on.
    mutating func giveAway(
        _ member: ShareGroups.MemberID, group number: UInt32, _ now: MonotonicTime
    ) {
        guard sessions.isOccupied(member.session), !sessions[member.session].isConnected,
            board.withShares({ $0.holds(member, number: number) })
        else { return }
        giveAway(member.session, now) { $0 == number }
    }
}
