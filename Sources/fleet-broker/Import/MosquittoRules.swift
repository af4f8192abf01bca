import BrokerCore
import Daemon

/// A rule file of Mosquitto's (`acl_file`), as roles of ours.
struct MosquittoRules {
    /// What one kind of client may do.
    struct Role {
        enum Members: Hashable {
            case user(String)
            case anonymous
            case everybody
        }

        var members: Members
        var filters: [String: [String]] = [:]

        /// The keys of a role, in the order in which they are written.
        static let keys = ["publish", "subscribe", "deny_publish", "deny_subscribe"]
    }

    private(set) var roles: [Role] = []

    init(_ path: String, notes: inout ImportNotes) throws(DaemonError) {
        var members = Role.Members.anonymous
        for line in try MosquittoLines.read(path) {
            switch line.name {
            case "user":
                if let fault = PasswordFile.fault(inUser: line.value) {
                    notes.add(line.origin, "user", "not taken over: \(fault)")
                }
                members = .user(line.value)
            case "topic": add(line, to: members, notes: &notes)
            case "pattern": add(line, to: .everybody, notes: &notes)
            default: notes.add(line.origin, line.name, "this is no line of a rule file")
            }
        }
    }

    private mutating func add(
        _ line: MosquittoLine, to members: Role.Members, notes: inout ImportNotes
    ) {
        let (access, topic) = Self.split(line.value)
        let keys: [String] =
            switch access {
            case "read": ["subscribe"]
            case "write": ["publish"]
            case "deny": ["deny_publish", "deny_subscribe"]
            default: ["publish", "subscribe"]
            }
        if line.name == "topic", topic.contains("%u") || topic.contains("%c") {
            return notes.add(
                line.origin, "topic",
                "not taken over: %u and %c stand for themselves in a topic line, and not here")
        }
        for key in keys {
            do throws(AccessRuleError) {
                _ = try AccessRule(
                    key.hasPrefix("deny") ? .deny : .allow,
                    key.hasSuffix("publish") ? .publish : .subscribe, topic)
                append(topic, key, members)
            } catch {
                let weight = access == "deny" ? "NOT DENIED ANY MORE" : "not taken over"
                notes.add(line.origin, line.name, "\(weight): \(key) \"\(topic)\": \(error)")
            }
        }
    }

    private mutating func append(_ topic: String, _ key: String, _ members: Role.Members) {
        let index =
            roles.firstIndex { $0.members == members }
            ?? {
                roles.append(Role(members: members))
                return roles.count - 1
            }()
        if roles[index].filters[key]?.contains(topic) == true { return }
        roles[index].filters[key, default: []].append(topic)
    }

    /// The word for the access, if there is one, and the topic, which may hold spaces.
    private static func split(_ value: String) -> (access: String, topic: String) {
        let end = value.firstIndex { $0 == " " || $0 == "\t" } ?? value.endIndex
        let first = String(value[..<end])
        guard ["read", "write", "readwrite", "deny"].contains(first) else {
            return ("readwrite", value)
        }
        return (first, String(value[end...].drop { $0 == " " || $0 == "\t" }))
    }

    /// Writes the roles; `prefix` keeps those of several files apart, `listeners` ties them to some.
    func write(_ writer: inout TOMLWriter, prefix: String, listeners: [String]) {
        for role in roles {
            let name: String
            switch role.members {
            case .user(let user): name = "user-\(user)"
            case .anonymous: name = "anonymous"
            case .everybody: name = "everybody"
            }
            writer.table("[role.\(TOMLWriter.quoted(prefix + name))]")
            switch role.members {
            case .user(let user): writer.set("users", [user])
            case .anonymous: writer.set("anonymous", true)
            case .everybody: writer.set("everybody", true)
            }
            if !listeners.isEmpty { writer.set("listeners", listeners) }
            for key in Role.keys {
                if let filters = role.filters[key] { writer.set(key, filters) }
            }
        }
    }
}
