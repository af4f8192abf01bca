import MQTT

/// What one client may do under one policy.
public final class Rights: Sendable {
    public let principal: Principal
    let policy: AccessPolicy
    private let filters: [SharedFilters]

    /// How far a subscription's filter may reach.
    public enum Subscription: Hashable, Sendable {
        case denied
        /// Some of what it asks for is not allowed: each delivery is looked at.
        case partial
        case allowed
    }

    init(_ principal: Principal, policy: AccessPolicy, filters: [SharedFilters]) {
        self.principal = principal
        self.policy = policy
        self.filters = filters
    }

    /// Those of somebody of whom a store tells: what they may do now is asked when it matters.
    init(unresolved principal: Principal) {
        self.principal = principal
        policy = .unresolved
        filters = []
    }

    /// Whether a message may be published to `topic`, a valid name.
    public func mayPublish(_ topic: Span<UInt8>) -> Bool {
        if policy.isOpen { return true }
        for group in filters {
            for filter in group.publish.deny where filter.matches(topic) { return false }
        }
        for group in filters {
            for filter in group.publish.allow where filter.matches(topic) { return true }
        }
        return false
    }

    /// Whether a message to `topic` may be delivered.
    public func mayRead(_ topic: Span<UInt8>) -> Bool {
        if policy.isOpen { return true }
        for group in filters {
            for filter in group.subscribe.deny where filter.matches(topic) { return false }
        }
        for group in filters {
            for filter in group.subscribe.allow where filter.matches(topic) { return true }
        }
        return false
    }

    /// Whether a subscription to `filter` is taken. Of a shared one the filter behind the group counts.
    ///
    /// A filter that asks for more than is allowed, such as `#`, brings what is allowed of it.
    public func subscription(_ filter: TopicFilter) -> Subscription {
        if policy.isOpen { return .allowed }
        var overlapsDeny = false
        for group in filters {
            for denied in group.subscribe.deny {
                if denied.covers(filter) { return .denied }
                overlapsDeny = overlapsDeny || denied.intersects(filter)
            }
        }
        var overlapsAllow = false
        for group in filters {
            for allowed in group.subscribe.allow {
                if !overlapsDeny && allowed.covers(filter) { return .allowed }
                overlapsAllow = overlapsAllow || allowed.intersects(filter)
            }
        }
        return overlapsAllow ? .partial : .denied
    }
}
