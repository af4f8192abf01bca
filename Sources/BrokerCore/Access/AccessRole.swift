import MQTT

/// Who may do what: members and rules under a name.
public struct AccessRole: Hashable, Sendable {
    public var name: String
    /// Users that have the role.
    public var users: Set<[UInt8]> = []
    /// Every client has it, with or without a user.
    public var includesEverybody = false
    /// Clients without a user have it.
    public var includesAnonymous = false
    /// The listeners through which members must come; empty for any.
    public var listeners: Set<String> = []
    /// In the order of the configuration. None allows nothing.
    public var rules: [AccessRule] = []

    public init(_ name: String) { self.name = name }

    func includes(_ principal: Principal) -> Bool {
        guard listeners.isEmpty || listeners.contains(principal.listener) else { return false }
        if includesEverybody { return true }
        guard let user = principal.user else { return includesAnonymous }
        return users.contains(user)
    }
}

/// Filters that deny and filters that allow, ready to be asked.
struct AccessFilters: Sendable {
    var deny: [TopicFilter] = []
    var allow: [TopicFilter] = []

    mutating func add(_ filter: TopicFilter, _ effect: AccessRule.Effect) {
        switch effect {
        case .deny: deny.append(filter)
        case .allow: allow.append(filter)
        }
    }
}

/// A role's filters that are the same for all who have it: made once, shared by all.
final class SharedFilters: Sendable {
    let publish: AccessFilters
    let subscribe: AccessFilters

    init(_ rules: [AccessRule], for principal: Principal) {
        var publish = AccessFilters()
        var subscribe = AccessFilters()
        for rule in rules {
            guard let filter = rule.filter(for: principal) else { continue }
            switch rule.action {
            case .publish: publish.add(filter, rule.effect)
            case .subscribe: subscribe.add(filter, rule.effect)
            }
        }
        self.publish = publish
        self.subscribe = subscribe
    }
}
