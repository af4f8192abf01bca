import MQTT

/// A configuration that changes while the shard serves.
extension BrokerShard {
    /// Takes over a new configuration: limits for what comes, rules for what is there too.
    ///
    /// Subscriptions that are not allowed any more end at once; what waits for a session is looked at when
    /// it is sent; retained messages, when they are asked for. Durability stays as it was at the start, and
    /// packet sizes are those of the time when the connection began.
    public mutating func reconfigure(_ new: BrokerConfiguration, at now: MonotonicTime) {
        let hasNewRules = new.access != configuration.access
        let durability = configuration.durability
        let journal = configuration.journal
        let access = hasNewRules ? new.access : configuration.access
        let isRedirectedAnew = new.redirection != configuration.redirection
        configuration = new
        configuration.durability = durability
        configuration.journal = journal
        configuration.access = access
        wireLimits = Self.wireLimits(new.limits)
        weighMemory()
        subscriptions.limits = new.limits.topics
        takenTopic.forget()
        if isRedirectedAnew { redirectConnected(now) }
        guard hasNewRules else { return }
        for s in 0..<sessions.slotCount where sessions.isOccupied(s) { reviewRights(s) }
    }

    static func wireLimits(_ limits: BrokerLimits) -> WireLimits {
        WireLimits(
            maximumPacketSize: limits.packetBytes, maximumProperties: limits.userProperties)
    }

    /// Those of a listener with these rules.
    func wireLimits(for rules: AccessRules) -> WireLimits {
        guard let packetBytes = rules.packetBytes else { return wireLimits }
        var limits = configuration.limits
        limits.packetBytes = packetBytes
        return Self.wireLimits(limits)
    }

    /// Resolves a session's rights again and ends what they do not cover.
    mutating func reviewRights(_ s: UInt32) {
        sessions[s].rights = resolveRights(principal(of: s))
        let c = sessions[s].connection
        if c != Session.noConnection {
            connections[c].isRestricted = sessions[s].rights != nil
            connections[c].allow([])
        }
        reviewSubscriptions(s)
    }

    /// Ends the subscriptions that the session's rights do not cover, and notes whether what the others
    /// bring, and what waits, must be looked at.
    mutating func reviewSubscriptions(_ s: UInt32) {
        guard let rights = sessions[s].rights, !rights.policy.isOpen else {
            sessions[s].checksDeliveries = false
            return
        }
        sessions[s].checksDeliveries = sessions.read(s) { $0.pendingMessages > 0 }
        var denied: [TopicFilter] = []
        for filter in filters(of: s) {
            switch rights.subscription(filter) {
            case .denied: denied.append(filter)
            case .partial: sessions[s].checksDeliveries = true
            case .allowed: break
            }
        }
        reviewMemberships(s)
        guard !denied.isEmpty else { return }
        for filter in denied { endSubscription(filter, s) }
        log(.rightsRevoked(clientID: sessions[s].clientID, subscriptions: denied.count))
    }

    func filters(of s: UInt32) -> [TopicFilter] {
        let id = memberID(s)
        var filters = board.hasShares ? board.withShares { $0.filters(of: id) } : []
        subscriptions.forEachFilter(of: s) { bytes, _ in
            do throws(TopicError) {
                filters.append(
                    try TopicFilter(
                        validating: bytes, limits: TopicLimits(maximumLevels: .max),
                        sharedSubscriptions: false))
            } catch {
                preconditionFailure("the tree holds filters only")
            }
        }
        return filters
    }

    private mutating func endSubscription(_ filter: TopicFilter, _ s: UInt32) {
        guard remove(filter, s) else { return }
        recordUnsubscribed(s, filter.bytes)
    }
}
