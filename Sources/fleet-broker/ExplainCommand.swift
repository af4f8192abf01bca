import BrokerCore
import Config
import Daemon
import MQTT

/// `fleet-broker explain`: whether somebody may publish or subscribe, and which rule says so.
enum ExplainCommand {
    static let specification = SubcommandSpecification(
        "explain", summary: "say whether a client may publish or subscribe, and which rule decides",
        operands: [
            OperandSpecification("ACTION", help: "publish or subscribe"),
            OperandSpecification("TOPIC", help: "a topic; to subscribe, a topic filter"),
        ],
        flags: [
            FlagSpecification(
                "--config", value: "FILE",
                help: "the broker's configuration; \(standardConfiguration) without it"),
            FlagSpecification("--user", value: "USER", help: "the user; nobody without it"),
            FlagSpecification("--client", value: "ID", help: "the client identifier"),
            FlagSpecification(
                "--listener", value: "NAME", help: "the listener: its name, or its address"),
        ])

    static let standardConfiguration = "/etc/fleet/broker.toml"

    /// Ends with 0 when it is allowed, at least in part, and with 1 when it is denied.
    static func run(_ flags: ParsedFlags) throws -> ExitCode {
        guard let action = AccessRule.Action(rawValue: flags.operands[0]) else {
            throw DaemonError(.usage, "the first argument is publish or subscribe")
        }
        let policy = try readPolicy(flags["--config"] ?? standardConfiguration)
        let principal = Principal(
            user: flags["--user"].map { Array($0.utf8) },
            clientID: Array((flags["--client"] ?? "").utf8), listener: flags["--listener"] ?? "")
        let text = flags.operands[1]
        let verdict = try judge(policy, action, text, principal)
        print(sentence(verdict, action, text, flags["--user"]))
        for line in reasons(verdict, policy, action, text) { print(line) }
        return verdict.outcome == .denied ? .failure : .success
    }

    private static func readPolicy(_ path: String) throws -> AccessPolicy {
        let reader = ConfigurationReader(try ConfigurationDocument.load(path))
        _ = reader.table("log").choice("level", default: LogLevel.info)
        let settings = BrokerSettings(reader)
        try reader.finish()
        return settings.broker.access
    }

    private static func judge(
        _ policy: AccessPolicy, _ action: AccessRule.Action, _ text: String,
        _ principal: Principal
    ) throws -> AccessVerdict {
        do throws(TopicError) {
            let limits = TopicLimits(maximumLevels: 65_535)
            switch action {
            case .publish:
                let topic = try TopicName(text, limits: limits)
                var verdict = policy.explain(publish: topic, by: principal)
                if isServers(text) {
                    verdict.outcome = .denied
                    verdict.rule = nil
                }
                return verdict
            case .subscribe:
                return policy.explain(
                    subscribe: try TopicFilter(text, limits: limits), by: principal)
            }
        } catch {
            throw DaemonError(.usage, "\(error.detail)")
        }
    }

    private static func isServers(_ topic: String) -> Bool {
        topic == "$SYS" || topic.hasPrefix("$SYS/")
    }

    private static func sentence(
        _ verdict: AccessVerdict, _ action: AccessRule.Action, _ topic: String, _ user: String?
    ) -> String {
        let who = user ?? "a client without a user"
        return switch verdict.outcome {
        case .allowed: "allowed: \(who) may \(action.rawValue) to \(topic)"
        case .partial:
            "allowed in part: \(who) may subscribe to \(topic), and gets what is allowed of it"
        case .denied: "denied: \(who) may not \(action.rawValue) to \(topic)"
        }
    }

    private static func reasons(
        _ verdict: AccessVerdict, _ policy: AccessPolicy, _ action: AccessRule.Action,
        _ topic: String
    ) -> [String] {
        if policy.isOpen { return ["no roles are configured: everything is allowed"] }
        let roles = verdict.roles.isEmpty ? "none" : verdict.roles.joined(separator: ", ")
        guard let rule = verdict.rule, let role = verdict.role else {
            let why =
                action == .publish && isServers(topic)
                ? "only the server publishes to $SYS and below it" : "no rule allows it"
            return [why, "roles: \(roles)"]
        }
        let key = (rule.effect == .deny ? "deny_" : "") + rule.action.rawValue
        return [
            "rule: \(rule.origin): \(key) \"\(rule.text)\" of role \(role)", "roles: \(roles)",
        ]
    }
}
