/// A topic of the fleet protocol, version 1: `fleet/v1/<site>/<node>/<channel>/...`.
public struct FleetTopic: Hashable, Sendable, CustomStringConvertible {
    /// Whom a topic speaks of.
    public enum Scope: Hashable, Sendable {
        case node(NodeName)
        /// `_site`: facts of the whole site.
        case site
        /// `_all`: all nodes of the site, in commands.
        case allNodes

        var text: String {
            switch self {
            case .node(let name): name.text
            case .site: "_site"
            case .allNodes: "_all"
            }
        }
    }

    /// What a topic carries.
    public enum Channel: Hashable, Sendable {
        case status, info, health, state, clock
        case stateGroup(SensorName)
        case link(UpstreamName)
        case measurement(SensorName)
        case event(InputName)
        case alarm(SensorName, RuleName)
        case service(ServiceName)
        case command(Verb, RequestID)
        case response(Verb, RequestID)

        /// The levels below the node.
        public var text: String {
            switch self {
            case .status: "status"
            case .info: "info"
            case .health: "health"
            case .state: "state"
            case .clock: "clock"
            case .stateGroup(let group): "state/\(group.text)"
            case .link(let upstream): "link/\(upstream.text)"
            case .measurement(let sensor): "m/\(sensor.text)"
            case .event(let input): "event/\(input.text)"
            case .alarm(let sensor, let rule): "alarm/\(sensor.text)/\(rule.text)"
            case .service(let service): "service/\(service.text)"
            case .command(let verb, let id): "cmd/\(verb.text)/\(id.text)"
            case .response(let verb, let id): "res/\(verb.text)/\(id.text)"
            }
        }
    }

    public let site: Site
    public let scope: Scope
    public let channel: Channel

    /// The two levels before the site.
    public static let prefix = "fleet/v1"

    public init(site: Site, scope: Scope, channel: Channel) {
        self.site = site
        self.scope = scope
        self.channel = channel
    }

    public init(site: Site, node: NodeName, channel: Channel) {
        self.init(site: site, scope: .node(node), channel: channel)
    }

    /// The node, where the topic speaks of one.
    public var node: NodeName? {
        if case .node(let name) = scope { name } else { nil }
    }

    public var text: String { "\(Self.prefix)/\(site.text)/\(scope.text)/\(channel.text)" }
    /// The topic name's UTF-8 bytes.
    public var bytes: [UInt8] { Array(text.utf8) }
    public var description: String { text }
}

extension FleetTopic {
    /// Reads a topic name; `nil` for topics of others and for channels that this version does not
    /// know, which readers ignore.
    public init?(parsing bytes: Span<UInt8>) {
        self.init(parsing: String(lossy: bytes))
    }

    public init?(parsing bytes: [UInt8]) {
        self.init(parsing: bytes.span)
    }

    public init?(parsing text: String) {
        let levels = text.split(separator: "/", omittingEmptySubsequences: false)
        guard levels.count >= 5, levels[0] == "fleet", levels[1] == "v1",
            let site = try? Site(levels[2]), let scope = Scope(level: levels[3]),
            let channel = Channel(levels: levels[4...])
        else { return nil }
        self.init(site: site, scope: scope, channel: channel)
    }
}

extension FleetTopic.Scope {
    fileprivate init?(level: Substring) {
        switch level {
        case "_site": self = .site
        case "_all": self = .allNodes
        default:
            guard let name = try? NodeName(level) else { return nil }
            self = .node(name)
        }
    }
}

extension FleetTopic.Channel {
    fileprivate init?(levels: ArraySlice<Substring>) {
        let levels = Array(levels)
        do {
            switch (levels[0], levels.count) {
            case ("status", 1): self = .status
            case ("info", 1): self = .info
            case ("health", 1): self = .health
            case ("state", 1): self = .state
            case ("clock", 1): self = .clock
            case ("state", 2): self = .stateGroup(try SensorName(levels[1]))
            case ("link", 2): self = .link(try UpstreamName(levels[1]))
            case ("m", 2): self = .measurement(try SensorName(levels[1]))
            case ("event", 2): self = .event(try InputName(levels[1]))
            case ("service", 2): self = .service(try ServiceName(levels[1]))
            case ("alarm", 3): self = .alarm(try SensorName(levels[1]), try RuleName(levels[2]))
            case ("cmd", 3): self = .command(try Verb(levels[1]), try RequestID(levels[2]))
            case ("res", 3): self = .response(try Verb(levels[1]), try RequestID(levels[2]))
            default: return nil
            }
        } catch {
            return nil
        }
    }
}
