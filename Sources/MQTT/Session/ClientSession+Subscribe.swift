// Subscriptions: remembered, and renewed whenever the server has no session.
extension ClientSession {
    /// Asks for the filters, now or as soon as there is a connection, and again whenever the server
    /// lost the session; each time `subscribed` with this token says what the server granted.
    ///
    /// A filter that is no valid one, or of a kind that the server does not have, is answered with
    /// its reason code and not sent.
    public mutating func subscribe(
        _ items: [SubscriptionRequestItem], token: UInt64, at now: MonotonicTime
    ) {
        guard !items.isEmpty else {
            return events.append(.subscribed(token: token, reasonCodes: []))
        }
        subscriptions.add(items, token: token)
        pump(at: now)
    }

    /// Ends the subscriptions to the filters; `unsubscribed` with this token follows.
    public mutating func unsubscribe(_ filters: [String], token: UInt64, at now: MonotonicTime) {
        guard !filters.isEmpty else {
            return events.append(.unsubscribed(token: token, reasonCodes: []))
        }
        let filters = filters.map { Array($0.utf8) }
        guard filters.allSatisfy(Self.isValidFilter) else {
            let codes = filters.map {
                Self.isValidFilter($0) ? ReasonCode.noSubscriptionExisted : .topicFilterInvalid
            }
            return events.append(.unsubscribed(token: token, reasonCodes: codes))
        }
        subscriptions.remove(filters, token: token)
        pump(at: now)
    }

    mutating func sendSubscriptions() {
        guard !subscriptions.isSettled else { return }
        for removal in subscriptions.removals where removal.progress == .due { send(removal) }
        for group in subscriptions.groups where group.progress == .due { send(group) }
    }

    private mutating func send(_ group: ClientSubscriptions.Group) {
        var answers = group.items.map { refusal(of: $0.filter) }
        var arena: [UInt8] = []
        for (item, answer) in zip(group.items, answers) where answer == nil {
            let is5 = version == .v5_0
            // No local on a shared subscription is a protocol error [MQTT-3.8.3-4].
            let isShared = item.filter.starts(with: "$share/".utf8)
            Subscribe.append(
                filter: item.filter.span,
                options: SubscriptionOptions(
                    qos: item.qos, noLocal: is5 && item.noLocal && !isShared,
                    retainAsPublished: is5 && item.retainAsPublished,
                    retainHandling: is5 ? item.retainHandling : .sendAtSubscribe),
                to: &arena)
        }
        // Type, length, packet identifier, no properties: 8 bytes at most.
        if let maximum = server.maximumPacketSize, arena.count + 8 > maximum {
            answers = answers.map { $0 ?? .packetTooLarge }
        }
        let filterCount = answers.count { $0 == nil }
        guard filterCount > 0 else {
            subscriptions.setGroup(group.id, .done)
            return events.append(
                .subscribed(token: group.token, reasonCodes: answers.compactMap { $0 }))
        }
        let entry = InFlight.subscribe(group: group.id, token: group.token, answers: answers)
        guard let id = window.append(entry, stage: .awaitingSubAck) else { return }
        controlIDs.append(id)
        subscriptions.setGroup(group.id, .sent)
        Subscribe(
            packetID: id, properties: .none, filters: ByteRange(0..<arena.count),
            filterCount: filterCount
        ).encode(from: arena.span, version: version, into: &output)
    }

    private mutating func send(_ removal: ClientSubscriptions.Removal) {
        var arena: [UInt8] = []
        for filter in removal.filters { Unsubscribe.append(filter: filter.span, to: &arena) }
        if let maximum = server.maximumPacketSize, arena.count + 8 > maximum {
            subscriptions.setRemoval(removal.id, .done)
            let codes = removal.filters.map { _ in ReasonCode.packetTooLarge }
            return events.append(.unsubscribed(token: removal.token, reasonCodes: codes))
        }
        let entry = InFlight.unsubscribe(
            request: removal.id, token: removal.token, filterCount: removal.filters.count)
        guard let id = window.append(entry, stage: .awaitingUnsubAck) else { return }
        controlIDs.append(id)
        subscriptions.setRemoval(removal.id, .sent)
        Unsubscribe(
            packetID: id, properties: .none, filters: ByteRange(0..<arena.count),
            filterCount: removal.filters.count
        ).encode(from: arena.span, version: version, into: &output)
    }

    /// Why the filter is not even sent; `nil`: it is.
    private func refusal(of filter: [UInt8]) -> ReasonCode? {
        guard Self.isValidFilter(filter) else { return .topicFilterInvalid }
        if !server.sharedSubscriptionAvailable && filter.starts(with: "$share/".utf8) {
            return .sharedSubscriptionsNotSupported
        }
        if !server.wildcardSubscriptionAvailable
            && TextScan(filter.span).contains(.wildcard)
        {
            return .wildcardSubscriptionsNotSupported
        }
        return nil
    }

    private static func isValidFilter(_ filter: [UInt8]) -> Bool {
        guard isMQTTString(filter) else { return false }
        do throws(TopicError) {
            _ = try TopicFilter(
                validating: filter.span, limits: .client, sharedSubscriptions: true)
            return true
        } catch {
            return false
        }
    }

    // MARK: Answers

    mutating func subAckReceived(_ packet: SubAck, in source: Span<UInt8>) throws(WireError) {
        guard
            case .subscribe(let group, let token, var answers) =
                window.payload(of: packet.packetID)
        else { throw unexpectedAnswer("MQTT-3.8.4-2") }
        guard packet.reasonCodes.count == answers.count(where: { $0 == nil }) else {
            throw wrongCount("MQTT-3.8.4-6")
        }
        finishControl(packet.packetID)
        var next = packet.reasonCodes.lowerBound
        for index in answers.indices where answers[index] == nil {
            answers[index] = ReasonCode(rawValue: source[next])
            next += 1
        }
        subscriptions.setGroup(group, .done)
        events.append(.subscribed(token: token, reasonCodes: answers.compactMap { $0 }))
    }

    mutating func unsubAckReceived(_ packet: UnsubAck, in source: Span<UInt8>) throws(WireError) {
        guard
            case .unsubscribe(let request, let token, let filterCount) =
                window.payload(of: packet.packetID)
        else { throw unexpectedAnswer("MQTT-3.10.4-4") }
        // 3.x answers without reason codes.
        var codes = [ReasonCode](repeating: .success, count: filterCount)
        if version == .v5_0 {
            guard packet.reasonCodes.count == filterCount else { throw wrongCount("MQTT-3.11.3-1") }
            codes = packet.reasonCodes.range.map { ReasonCode(rawValue: source[$0]) }
        }
        finishControl(packet.packetID)
        subscriptions.setRemoval(request, .done)
        events.append(.unsubscribed(token: token, reasonCodes: codes))
    }

    private mutating func finishControl(_ id: UInt16) {
        _ = window.complete(id)
        controlIDs.removeAll { $0 == id }
    }

    private func unexpectedAnswer(_ clause: StaticString) -> WireError {
        WireError(
            reasonCode: .protocolError, clause: clause,
            detail: "an answer to a packet identifier that asked for nothing of the kind")
    }

    private func wrongCount(_ clause: StaticString) -> WireError {
        WireError(
            reasonCode: .protocolError, clause: clause,
            detail: "an answer with another number of reason codes than filters were asked for")
    }
}
