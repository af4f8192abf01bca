import MQTT

/// Which rule decides, for people.
public struct AccessVerdict: Sendable {
    public enum Outcome: Hashable, Sendable {
        case denied
        /// A subscription that brings a part of what its filter asks for.
        case partial
        case allowed
    }

    public var outcome: Outcome
    /// The rule that decides, and its role; `nil` when there is none: nothing is configured, or no rule
    /// of the client's allows it.
    public var rule: AccessRule?
    public var role: String?
    /// The client's roles.
    public var roles: [String]
}

extension AccessPolicy {
    /// Why `principal` may or may not publish to `topic`. `$SYS` is the caller's to know about.
    public func explain(publish topic: TopicName, by principal: Principal) -> AccessVerdict {
        decide(principal, .publish) { $0.matches(topic) }
    }

    /// Why `principal` may or may not read what is published to `topic`.
    public func explain(read topic: TopicName, by principal: Principal) -> AccessVerdict {
        decide(principal, .subscribe) { $0.matches(topic) }
    }

    /// Why `principal` may or may not subscribe to `filter`.
    public func explain(subscribe filter: TopicFilter, by principal: Principal) -> AccessVerdict {
        guard !isOpen else { return decide(principal, .subscribe) { _ in true } }
        let rules = rules(of: principal, .subscribe)
        func first(
            _ effect: AccessRule.Effect, _ condition: (TopicFilter) -> Bool
        ) -> (role: String, rule: AccessRule, filter: TopicFilter)? {
            rules.first { $0.rule.effect == effect && condition($0.filter) }
        }
        let deciding: (role: String, rule: AccessRule, filter: TopicFilter)?
        switch rights(for: principal).subscription(filter) {
        case .denied:
            deciding = first(.deny) { $0.covers(filter) }
            return verdict(.denied, deciding?.rule, deciding?.role, principal)
        case .partial:
            deciding =
                first(.deny) { $0.intersects(filter) } ?? first(.allow) { $0.intersects(filter) }
            return verdict(.partial, deciding?.rule, deciding?.role, principal)
        case .allowed:
            deciding = first(.allow) { $0.covers(filter) }
            return verdict(.allowed, deciding?.rule, deciding?.role, principal)
        }
    }

    private func decide(
        _ principal: Principal, _ action: AccessRule.Action, _ matches: (TopicFilter) -> Bool
    ) -> AccessVerdict {
        guard !isOpen else { return verdict(.allowed, nil, nil, principal) }
        let matching = rules(of: principal, action).filter { matches($0.filter) }
        if let deny = matching.first(where: { $0.rule.effect == .deny }) {
            return verdict(.denied, deny.rule, deny.role, principal)
        }
        let allow = matching.first
        return verdict(allow == nil ? .denied : .allowed, allow?.rule, allow?.role, principal)
    }

    private func verdict(
        _ outcome: AccessVerdict.Outcome, _ rule: AccessRule?, _ role: String?,
        _ principal: Principal
    ) -> AccessVerdict {
        AccessVerdict(
            outcome: outcome, rule: rule, role: role,
            roles: roles.filter { $0.includes(principal) }.map(\.name))
    }

    private func rules(
        of principal: Principal, _ action: AccessRule.Action
    ) -> [(role: String, rule: AccessRule, filter: TopicFilter)] {
        roles.filter { $0.includes(principal) }.flatMap { role in
            role.rules.compactMap { rule in
                guard rule.action == action, let filter = rule.filter(for: principal) else {
                    return nil
                }
                return (role.name, rule, filter)
            }
        }
    }
}
