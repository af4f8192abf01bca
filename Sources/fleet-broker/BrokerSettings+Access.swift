import BrokerCore
import Config
import Daemon

/// `[role.NAME]`: who may publish and subscribe to what.
extension BrokerSettings {
    /// What roles may call the listeners.
    var listenerNames: [String] {
        listeners.isEmpty
            ? ["127.0.0.1:\(Self.defaultPort)", "[::1]:\(Self.defaultPort)"]
            : listeners.map(\.label)
    }

    /// The users of the password file; `nil` without one.
    ///
    /// - Parameter secret: makes the salts of users who are not in it.
    func readUsers(secret: () -> [UInt8]) throws(DaemonError) -> UserTable? {
        guard let passwordFile else { return nil }
        return try UserTable(path: passwordFile, secret: secret())
    }

    /// Without a table `role` everything is allowed; with an empty one, nothing.
    static func readAccess(
        _ reader: ConfigurationReader, listeners: [String]
    ) -> AccessPolicy {
        guard reader.has("role") else { return .open }
        return AccessPolicy(
            roles: reader.namedTables("role").map { readRole($0.name, $0.table, listeners) })
    }

    private static func readRole(
        _ name: String, _ reader: ConfigurationReader, _ listeners: [String]
    ) -> AccessRole {
        var role = AccessRole(name)
        let users = reader.parsedList("users", default: []) { text in
            if let fault = PasswordFile.fault(inUser: text) { throw ConfigurationProblem(fault) }
            return Array(text.utf8)
        }
        role.users = Set(users)
        role.includesEverybody = reader.boolean("everybody", default: false)
        role.includesAnonymous = reader.boolean("anonymous", default: false)
        role.listeners = readListenerNames(reader, listeners)
        func read(
            _ key: String, _ effect: AccessRule.Effect, _ action: AccessRule.Action
        ) -> [AccessRule] {
            reader.locatedList(key) { text, origin in
                try AccessRule(effect, action, text, origin: "\(origin)")
            }
        }
        role.rules =
            read("publish", .allow, .publish) + read("subscribe", .allow, .subscribe)
            + read("deny_publish", .deny, .publish) + read("deny_subscribe", .deny, .subscribe)
        return role
    }

    /// `listeners` of a table that is for some of them; empty for all.
    static func readListenerNames(
        _ reader: ConfigurationReader, _ listeners: [String]
    ) -> Set<String> {
        let names = reader.parsedList("listeners", default: []) { text in
            guard listeners.contains(text) else {
                let known = listeners.map { "\"\($0)\"" }.joined(separator: ", ")
                throw ConfigurationProblem(
                    "no [[listener]] is called \"\(text)\"",
                    hint: "a listener's name, or its address where it has none: \(known)")
            }
            return text
        }
        return Set(names)
    }
}
