import FleetModel
import JSON

/// What is known of a fleet: messages in, one picture out.
struct FleetView {
    struct Key: Hashable, Comparable {
        let site: Site
        let node: NodeName

        static func < (left: Key, right: Key) -> Bool {
            left.site == right.site ? left.node < right.node : left.site < right.site
        }
    }

    /// What one node, and what runs on it, has said.
    struct Node {
        var status: Status?
        var info: Info?
        var health: Health?
        /// The last values of sensors, by the group of `state/<group>`; `nil` is `state` itself.
        var states: [SensorName?: State] = [:]
        var services: [ServiceName: ServiceState] = [:]
        var links: [UpstreamName: Link] = [:]

        /// The latest moment that anything of the node bears.
        var lastSign: Timestamp? {
            let moments =
                [status?.since, health?.taken.timestamp] + services.values.map(\.since)
                + links.values.map(\.since)
            return moments.compactMap { $0 }.max()
        }

        /// The last value of each sensor, over all groups.
        var state: State? {
            let groups = states.sorted { ($0.key?.text ?? "") < ($1.key?.text ?? "") }
            return groups.isEmpty ? nil : State(sensors: groups.flatMap(\.value.sensors))
        }
    }

    /// Topics of payloads that could not be read are kept up to here; more are only counted.
    static let maximumUnreadable = 20

    private(set) var nodes: [Key: Node] = [:]
    private(set) var unreadable: [FleetTopic] = []
    private(set) var unreadableCount = 0

    /// The families of channels that a view is made of.
    static let families: [FleetTopic.Family] = [.status, .links, .info, .health, .services]
    /// Those of values, for programs; a table has no room for them.
    static let valueFamilies: [FleetTopic.Family] = [.state, .stateGroups]

    /// Takes a message in. Topics of others, and channels that say nothing here, are ignored.
    mutating func take(topic bytes: [UInt8], payload: [UInt8]) {
        guard let topic = FleetTopic(parsing: bytes), let name = topic.node else { return }
        let key = Key(site: topic.site, node: name)
        guard !payload.isEmpty else { return forget(topic, key) }
        do {
            try read(topic, key, payload)
        } catch {
            // The reason would quote the payload; the topic is what leads to its sender.
            unreadableCount += 1
            if unreadable.count < Self.maximumUnreadable { unreadable.append(topic) }
        }
    }

    private mutating func read(
        _ topic: FleetTopic, _ key: Key, _ payload: [UInt8]
    ) throws {
        switch topic.channel {
        case .status:
            nodes[key, default: Node()].status = try Status(json: JSON.parse(payload))
        case .info:
            nodes[key, default: Node()].info = try Info(json: JSON.parse(payload))
        case .health:
            nodes[key, default: Node()].health = try Health(json: JSON.parse(payload))
        case .state:
            nodes[key, default: Node()].states[.none] = try State(json: JSON.parse(payload))
        case .stateGroup(let group):
            nodes[key, default: Node()].states[group] = try State(json: JSON.parse(payload))
        case .service(let name):
            let state = try ServiceState(json: JSON.parse(payload))
            nodes[key, default: Node()].services[name] = state
        case .link(let upstream):
            nodes[key, default: Node()].links[upstream] = try Link(json: JSON.parse(payload))
        default:
            break
        }
    }

    /// An empty payload deletes what was retained.
    private mutating func forget(_ topic: FleetTopic, _ key: Key) {
        guard var node = nodes[key] else { return }
        switch topic.channel {
        case .status: node.status = nil
        case .info: node.info = nil
        case .health: node.health = nil
        case .state: node.states[.none] = nil
        case .stateGroup(let group): node.states[group] = nil
        case .service(let name): node.services[name] = nil
        case .link(let upstream): node.links[upstream] = nil
        default: return
        }
        let isEmpty =
            node.status == nil && node.info == nil && node.health == nil && node.states.isEmpty
            && node.services.isEmpty && node.links.isEmpty
        nodes[key] = isEmpty ? nil : node
    }
}
