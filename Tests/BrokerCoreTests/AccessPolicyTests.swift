import MQTT
import Testing

@testable import BrokerCore

/// The rules alone: who may publish and read what, and which rule says so.
struct AccessPolicyTests {
    static func role(
        _ name: String, users: [String] = [], everybody: Bool = false, anonymous: Bool = false,
        listeners: Set<String> = [], publish: [String] = [], subscribe: [String] = [],
        denyPublish: [String] = [], denySubscribe: [String] = []
    ) throws -> AccessRole {
        var role = AccessRole(name)
        role.users = Set(users.map { Array($0.utf8) })
        role.includesEverybody = everybody
        role.includesAnonymous = anonymous
        role.listeners = listeners
        role.rules =
            try publish.map { try AccessRule(.allow, .publish, $0) }
            + subscribe.map { try AccessRule(.allow, .subscribe, $0) }
            + denyPublish.map { try AccessRule(.deny, .publish, $0) }
            + denySubscribe.map { try AccessRule(.deny, .subscribe, $0) }
        return role
    }

    private func rights(
        _ roles: [AccessRole], user: String? = nil, client: String = "c", listener: String = ""
    ) -> Rights {
        AccessPolicy(roles: roles).rights(
            for: Principal(
                user: user.map { Array($0.utf8) }, clientID: Array(client.utf8), listener: listener)
        )
    }

    private func subscription(
        _ rights: Rights, _ filter: String
    ) throws -> Rights.Subscription {
        rights.subscription(try TopicFilter(filter))
    }

    @Test func `without rules everything is allowed`() throws {
        let rights = AccessPolicy.open.rights(for: Principal(user: nil, clientID: []))
        #expect(rights.mayPublish("a/b") && rights.mayRead("$SYS/broker/uptime"))
        #expect(try subscription(rights, "#") == .allowed)
    }

    @Test func `an empty set of rules is closed`() throws {
        for roles in [[], [try Self.role("r", everybody: true)]] {
            let rights = rights(roles, user: "alice")
            #expect(!rights.mayPublish("a") && !rights.mayRead("a"))
            #expect(try subscription(rights, "a") == .denied)
        }
    }

    @Test func `what is denied is denied whatever another role allows`() throws {
        let roles = [
            try Self.role("all", everybody: true, publish: ["#"], subscribe: ["#"]),
            try Self.role(
                "kept out", users: ["alice"], denyPublish: ["secret/#"],
                denySubscribe: ["secret/#"]),
        ]
        let alice = rights(roles, user: "alice")
        #expect(!alice.mayPublish("secret") && !alice.mayPublish("secret/a"))
        #expect(alice.mayPublish("secrets") && alice.mayPublish("a"))
        #expect(try subscription(alice, "secret/+") == .denied)
        #expect(try subscription(alice, "#") == .partial)
        #expect(!alice.mayRead("secret/a") && alice.mayRead("a"))
        #expect(rights(roles, user: "bob").mayPublish("secret/a"))
        #expect(try subscription(rights(roles, user: "bob"), "#") == .allowed)
    }

    @Test func `publishing and subscribing are two rights`() throws {
        let writer = rights([try Self.role("w", users: ["w"], publish: ["a/#"])], user: "w")
        #expect(writer.mayPublish("a/b") && !writer.mayRead("a/b"))
        #expect(try subscription(writer, "a/b") == .denied)
    }

    @Test func `a role is for its users, for everybody or for the anonymous`() throws {
        let roles = [
            try Self.role("users", users: ["alice", "bob"], publish: ["users"]),
            try Self.role("everybody", everybody: true, publish: ["everybody"]),
            try Self.role("anonymous", anonymous: true, publish: ["anonymous"]),
        ]
        func topics(_ user: String?) -> [String] {
            let rights = rights(roles, user: user)
            return ["users", "everybody", "anonymous"].filter { rights.mayPublish($0) }
        }
        #expect(topics("alice") == ["users", "everybody"])
        #expect(topics("carol") == ["everybody"])
        #expect(topics(nil) == ["everybody", "anonymous"])
        #expect(topics("") == ["everybody"])
    }

    @Test func `a role may ask for a listener`() throws {
        let roles = [
            try Self.role(
                "inside", users: ["alice"], listeners: ["127.0.0.1:1883"], publish: ["#"])
        ]
        #expect(
            rights(roles, user: "alice", listener: "127.0.0.1:1883").mayPublish("a"))
        #expect(!rights(roles, user: "alice", listener: "0.0.0.0:8883").mayPublish("a"))
        #expect(!rights(roles, user: "alice").mayPublish("a"))
    }

    @Test func `placeholders stand for the user and the client`() throws {
        let roles = [
            try Self.role("own", everybody: true, publish: ["u/%u/#"], subscribe: ["c/%c/+"])
        ]
        let rights = rights(roles, user: "alice", client: "sensor-1")
        #expect(rights.mayPublish("u/alice/t") && !rights.mayPublish("u/bob/t"))
        #expect(rights.mayRead("c/sensor-1/t") && !rights.mayRead("c/sensor-2/t"))
        #expect(!rights.mayPublish("u/%u/t") && !rights.mayPublish("u/+/t"))
    }

    @Test(arguments: [
        "+", "#", "a/b", "%u", "%c", "a%", "", "a\u{0}", "a+b", "/", "$SYS", "$share", "+/+",
    ])
    func `a name with a wildcard, a separator, a percent sign or nothing fills no level`(
        _ name: String
    ) throws {
        let roles = [
            try Self.role(
                "own", everybody: true, publish: ["%u/t", "c/%c/t"],
                subscribe: ["u/%u/#", "%c/#", "%c"])
        ]
        let rights = rights(roles, user: name, client: name)
        for topic in [
            "\(name)/t", "c/\(name)/t", "u/\(name)/t", "alice/t", "c/x/t", "u/x/t", "u", "x", "/t",
            "c//t", "u//t", "$SYS/t", "$SYS",
        ] {
            #expect(!rights.mayPublish(topic), "\(topic)")
            #expect(!rights.mayRead(topic), "\(topic)")
        }
        for filter in ["#", "+/t", "u/+/t", "$SYS/#", "u/#", "c/+/t"] {
            #expect(try subscription(rights, filter) == .denied, "\(filter)")
        }
    }

    @Test(arguments: ["+", "a/b", "%u", "", "#", "$x"])
    func `such a name opens nothing that a placeholder denies`(_ name: String) throws {
        let roles = [
            try Self.role(
                "r", everybody: true, publish: ["#"], subscribe: ["#"],
                denyPublish: ["private/%u/#"], denySubscribe: ["private/%c"])
        ]
        let rights = rights(roles, user: name, client: name)
        #expect(!rights.mayPublish("private/x/t") && !rights.mayRead("private/x"))
        #expect(rights.mayPublish("public/x"))
        let anonymous = self.rights(roles, client: name)
        #expect(!anonymous.mayPublish("private/x/t"))
    }

    @Test func `wildcards leave out what belongs to the server`() throws {
        let roles = [
            try Self.role("all", users: ["a"], publish: ["#", "+/#"], subscribe: ["#", "+/+"]),
            try Self.role("server", users: ["b"], subscribe: ["$SYS/#"]),
        ]
        let plain = rights(roles, user: "a")
        #expect(!plain.mayRead("$SYS/broker/uptime") && !plain.mayRead("$x"))
        #expect(try subscription(plain, "$SYS/#") == .denied)
        let monitor = rights(roles, user: "b")
        #expect(try subscription(monitor, "$SYS/broker/+") == .allowed)
        #expect(try subscription(monitor, "#") == .denied)
    }

    @Test func `a filter that reaches further than allowed is looked at message by message`() throws
    {
        let roles = [
            try Self.role(
                "r", users: ["a"], subscribe: ["a/+/x", "a/+/y"], denySubscribe: ["a/n/#"])
        ]
        let rights = rights(roles, user: "a")
        #expect(try subscription(rights, "a/+/x") == .partial)
        #expect(try subscription(rights, "a/m/x") == .allowed)
        #expect(try subscription(rights, "#") == .partial)
        #expect(try subscription(rights, "a/n/+") == .denied)
        #expect(try subscription(rights, "b/#") == .denied)
        #expect(try subscription(rights, "$share/g/a/m/x") == .allowed)
        #expect(try subscription(rights, "$share/g/b") == .denied)
        #expect(rights.mayRead("a/m/y") && !rights.mayRead("a/m/z"))
        #expect(!rights.mayRead("a/n/x"))
    }

    @Test(arguments: [
        ("a/#/b", "no topic filter"), ("a+", "no topic filter"), ("", "no topic filter"),
        ("$share/g/a", "without $share/"), ("$SYS/x", "only the server"),
        ("a%u/b", "fill its level"),
        ("a/%cx", "fill its level"), ("%u%c", "fill its level"), ("a\u{0}", "no topic filter"),
    ])
    func `a wrong filter is refused, and why`(_ filter: String, _ reason: String) {
        #expect(
            throws: AccessRuleError.self, "\(filter)",
            performing: { try AccessRule(.allow, .publish, filter) })
        do throws(AccessRuleError) {
            _ = try AccessRule(.allow, .publish, filter)
        } catch {
            #expect("\(error)".contains(reason))
        }
    }

    @Test func `a percent sign elsewhere is a character like others`() throws {
        let roles = [try Self.role("r", everybody: true, publish: ["load/50%/%x"])]
        #expect(rights(roles).mayPublish("load/50%/%x"))
    }

    @Test func `the rule that decides is named`() throws {
        var role = AccessRole("sensor")
        role.users = [Array("s1".utf8)]
        role.rules = [
            try AccessRule(.allow, .publish, "site/%u/#", origin: "broker.toml:3"),
            try AccessRule(.deny, .publish, "site/+/config", origin: "broker.toml:4"),
            try AccessRule(.allow, .subscribe, "cmd/%u/#", origin: "broker.toml:5"),
            try AccessRule(.deny, .subscribe, "cmd/+/secret", origin: "broker.toml:6"),
        ]
        let policy = AccessPolicy(roles: [role])
        let s1 = Principal(user: Array("s1".utf8), clientID: [])
        func publish(_ topic: String) throws -> [String] {
            text(policy.explain(publish: try TopicName(topic), by: s1))
        }
        func subscribe(_ filter: String) throws -> [String] {
            text(policy.explain(subscribe: try TopicFilter(filter), by: s1))
        }
        #expect(try publish("site/s1/t") == ["allowed", "sensor", "broker.toml:3"])
        #expect(try publish("site/s1/config") == ["denied", "sensor", "broker.toml:4"])
        #expect(try publish("site/s2/t") == ["denied"])
        #expect(try subscribe("cmd/s1/a") == ["allowed", "sensor", "broker.toml:5"])
        #expect(try subscribe("cmd/s1/secret") == ["denied", "sensor", "broker.toml:6"])
        #expect(try subscribe("cmd/#") == ["partial", "sensor", "broker.toml:6"])
        #expect(try subscribe("x") == ["denied"])
        let read = policy.explain(read: try TopicName("cmd/s1/secret"), by: s1)
        #expect(text(read) == ["denied", "sensor", "broker.toml:6"] && read.roles == ["sensor"])
    }

    private func text(_ verdict: AccessVerdict) -> [String] {
        ["\(verdict.outcome)", verdict.role, verdict.rule?.origin].compactMap { $0 }
    }
}

extension Rights {
    fileprivate func mayPublish(_ topic: String) -> Bool {
        let bytes = Array(topic.utf8)
        return mayPublish(bytes.span)
    }

    fileprivate func mayRead(_ topic: String) -> Bool {
        let bytes = Array(topic.utf8)
        return mayRead(bytes.span)
    }
}
