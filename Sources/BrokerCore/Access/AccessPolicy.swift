import MQTT

/// All roles of a broker, made ready once and shared by its shards.
///
/// What no role allows is forbidden, and what a role of the client denies is forbidden whatever others
/// allow. A policy without roles allows nothing; `open` allows everything. `$SYS` is written by the server
/// alone, whatever a policy says.
public final class AccessPolicy: Sendable {
    public let roles: [AccessRole]
    /// Nothing was configured: everybody may do everything.
    public let isOpen: Bool
    /// Some role asks for a listener.
    let dependsOnListener: Bool
    /// One for each role.
    private let filters: [SharedFilters]

    public static let open = AccessPolicy(roles: [], isOpen: true)

    /// No broker's: whoever has their rights by it is asked again.
    static let unresolved = AccessPolicy(roles: [], isOpen: false)

    public convenience init(roles: [AccessRole]) {
        self.init(roles: roles, isOpen: false)
    }

    private init(roles: [AccessRole], isOpen: Bool) {
        self.roles = roles
        self.isOpen = isOpen
        dependsOnListener = roles.contains { !$0.listeners.isEmpty }
        let nobody = Principal(user: nil, clientID: [])
        filters = roles.map { role in
            SharedFilters(role.rules.filter(\.isFixed), for: nobody)
        }
    }

    /// What a client may do, resolved once, at its CONNECT.
    public func rights(for principal: Principal) -> Rights {
        var shared: [SharedFilters] = []
        var own: [AccessRule] = []
        for (role, filters) in zip(roles, filters) where role.includes(principal) {
            shared.append(filters)
            own += role.rules.filter { !$0.isFixed }
        }
        if !own.isEmpty { shared.append(SharedFilters(own, for: principal)) }
        return Rights(principal, policy: self, filters: shared)
    }
}

extension AccessPolicy: Equatable {
    public static func == (left: AccessPolicy, right: AccessPolicy) -> Bool {
        left === right || left.isOpen == right.isOpen && left.roles == right.roles
    }
}
