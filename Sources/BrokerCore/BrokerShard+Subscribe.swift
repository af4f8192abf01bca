import MQTT

extension BrokerShard {
    /// SUBSCRIBE: each filter is taken or refused for itself. [MQTT-3.8.4-1] to [MQTT-3.8.4-7]
    mutating func take(
        _ subscribe: Subscribe, _ source: Span<UInt8>, _ c: UInt32, _ now: MonotonicTime
    ) {
        guard fitsAnswer(c, codes: subscribe.filterCount) else {
            return failForAnswer(c, now)
        }
        let mark = journal.mark
        var codes: [UInt8] = []
        codes.reserveCapacity(subscribe.filterCount)
        var wanted: [RetainedLookup] = []
        var detail = ""
        let identifier =
            subscribe.properties.variableByteInteger(.subscriptionIdentifier, in: source) ?? 0
        var requests = subscribe.makeIterator()
        let maximumQoS = connections[c].rules.value.maximumQoS
        while let request = requests.next(in: source) {
            // Whatever QoS is asked for is taken, and what there is of it granted. [MQTT-3.2.2-10]
            let options = request.options.lowered(to: maximumQoS)
            // A packet that repeats its filters asks for no more look-ups than one that does not.
            let result =
                codes.count < configuration.limits.subscriptions
                ? take(request.filter, options, source, identifier: identifier, c) : Self.tooMany
            codes.append(code(result.reason, c))
            if result.reason.isError {
                if !isConcealed(result.reason) { detail = result.detail }
                log(
                    .subscriptionRefused(
                        ConnectionID(connections.key(at: c)), clientID: clientID(c),
                        filter: Self.shown(source.extracting(request.filter.range)),
                        result.reason))
            } else if let filter = result.sendsRetained {
                wanted.append(
                    RetainedLookup(filter: filter, qos: options.qos, identifier: identifier))
            }
        }
        sendCodes(c, .subAck, subscribe.packetID, codes, detail: detail, since: mark)
        for lookup in wanted { sendRetained(lookup, c, now) }
        if configuration.redistributesOnDisconnect {
            takeFromAway(connections[c].session, now)
        }
    }

    private struct SubscriptionResult {
        var reason: ReasonCode
        var detail = ""
        /// The filter, if its retained messages are to be sent.
        var sendsRetained: TopicFilter?
    }

    private static var tooMany: SubscriptionResult {
        SubscriptionResult(
            reason: .quotaExceeded, detail: "the client holds too many subscriptions")
    }

    private mutating func take(
        _ range: ByteRange, _ options: SubscriptionOptions, _ source: Span<UInt8>,
        identifier: UInt32, _ c: UInt32
    ) -> SubscriptionResult {
        let isVersion5 = connections[c].isVersion5
        let filter: TopicFilter
        do throws(TopicError) {
            filter = try TopicFilter(
                validating: source.extracting(range.range),
                limits: configuration.limits.topics,
                sharedSubscriptions: isVersion5 || configuration.sharedSubscriptionsBefore5)
        } catch {
            return SubscriptionResult(reason: .topicFilterInvalid, detail: error.detail)
        }
        let bits = SubscriptionBits(
            options, identifier: identifier, isBridge: connections[c].isBridge)
        return subscribe(filter, bits, options, c)
    }

    private mutating func subscribe(
        _ filter: TopicFilter, _ bits: SubscriptionBits, _ options: SubscriptionOptions,
        _ c: UInt32
    ) -> SubscriptionResult {
        let s = connections[c].session
        guard maySubscribe(filter, s) else {
            return SubscriptionResult(
                reason: .notAuthorized, detail: "the filter asks for what is not allowed")
        }
        let isKnown = holds(filter, s)
        guard isKnown || hasRoom(for: filter, s), insert(filter, bits, s) else {
            return Self.tooMany
        }
        recordSubscribed(s, filter, bits.rawValue)
        // [MQTT-3.3.1-9] to [MQTT-3.3.1-11]; never for a shared one (4.8.2)
        let sends =
            switch options.retainHandling {
            case _ where filter.isShared: false
            case .sendAtSubscribe: true
            case .sendIfNew: !isKnown
            case .doNotSend: false
            }
        return SubscriptionResult(
            reason: ReasonCode(rawValue: options.qos.rawValue),
            sendsRetained: sends ? filter : nil)
    }

    private func holds(_ filter: TopicFilter, _ s: UInt32) -> Bool {
        filter.isShared
            ? membership(filter, s) != nil
            : subscriptions.options(filter, subscriber: s) != nil
    }

    /// Whether a session may hold one more filter, shared or not.
    private func hasRoom(for filter: TopicFilter, _ s: UInt32) -> Bool {
        let limits = configuration.limits
        var held = subscriptions.filterCount(of: s)
        var wildcards = subscriptions.wildcardFilterCount(of: s)
        if board.hasShares {
            let id = memberID(s)
            let shared = board.withShares { groups in
                (groups.filterCount(of: id), groups.wildcardFilterCount(of: id))
            }
            held += shared.0
            wildcards += shared.1
        }
        return held < limits.subscriptions
            && (!filter.hasWildcard || wildcards < limits.topics.maximumWildcardFilters)
    }

    mutating func insert(
        _ filter: TopicFilter, _ bits: SubscriptionBits, _ s: UInt32
    ) -> Bool {
        guard filter.isShared else {
            let result = subscriptions.insert(filter, subscriber: s, options: bits.rawValue)
            if result == .added && sessions[s].isRecorded { noteKept(filter) }
            return result != .refused
        }
        let isConnected = sessions[s].connection != Session.noConnection
        let member = member(s, bits, of: filter)
        return board.withShares { $0.join(filter, member, isConnected: isConnected) }
    }

    func membership(_ filter: TopicFilter, _ s: UInt32) -> ShareGroups.Member? {
        let id = memberID(s)
        return board.hasShares ? board.withShares { $0.membership(filter, id) } : nil
    }

    /// The session's client has come or gone.
    func noteConnected(_ s: UInt32, _ isConnected: Bool) {
        guard board.hasShares else { return }
        let id = memberID(s)
        board.withShares { $0.setConnected(id, isConnected) }
    }

    func leaveAllGroups(_ s: UInt32) {
        guard board.hasShares else { return }
        let id = memberID(s)
        board.withShares { $0.leaveAll(id) }
    }

    /// Ends a subscription; false where the session does not hold it.
    mutating func remove(_ filter: TopicFilter, _ s: UInt32) -> Bool {
        if filter.isShared {
            let id = memberID(s)
            return board.withShares { $0.leave(filter, member: id) }
        }
        guard subscriptions.remove(filter, subscriber: s) else { return false }
        if sessions[s].isRecorded { unnoteKept(filter) }
        return true
    }

    /// Before 5.0 there is one code for "refused". [MQTT-3.9.3-2] of 3.1.1
    private func code(_ reason: ReasonCode, _ c: UInt32) -> UInt8 {
        let isVersion5 = connections.read(c) { $0.isVersion5 }
        return reason.isError && (!isVersion5 || isConcealed(reason)) ? 0x80 : reason.rawValue
    }

    private func isConcealed(_ reason: ReasonCode) -> Bool {
        configuration.concealsRefusals && reason == .notAuthorized
    }

    /// UNSUBSCRIBE. [MQTT-3.10.4-1] to [MQTT-3.10.4-6]
    mutating func take(
        _ unsubscribe: Unsubscribe, _ source: Span<UInt8>, _ c: UInt32, _ now: MonotonicTime
    ) {
        let s = connections[c].session
        guard fitsAnswer(c, codes: unsubscribe.filterCount) else {
            return failForAnswer(c, now)
        }
        let mark = journal.mark
        var codes: [UInt8] = []
        var filters = unsubscribe.makeIterator()
        while let range = filters.next(in: source) {
            codes.append(removeSubscription(source.extracting(range.range), s, c).rawValue)
        }
        sendCodes(c, .unsubAck, unsubscribe.packetID, codes, detail: "", since: mark)
    }

    /// An answer that the client does not take cannot be sent, nor may it be left out: it is told so.
    private mutating func failForAnswer(_ c: UInt32, _ now: MonotonicTime) {
        fail(
            c, .packetTooLarge, "MQTT-3.1.2-24",
            "the answer is larger than the client's maximum packet size", now)
    }

    private mutating func removeSubscription(
        _ bytes: Span<UInt8>, _ s: UInt32, _ c: UInt32
    ) -> ReasonCode {
        let filter: TopicFilter
        do throws(TopicError) {
            filter = try TopicFilter(
                validating: bytes, limits: configuration.limits.topics,
                sharedSubscriptions: connections[c].isVersion5
                    || configuration.sharedSubscriptionsBefore5)
        } catch {
            return .topicFilterInvalid
        }
        guard remove(filter, s) else { return .noSubscriptionExisted }
        recordUnsubscribed(s, filter.bytes)
        return .success
    }
}
