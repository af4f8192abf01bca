import FleetModel
import MQTT

/// Who a bridge is: the names in its topics.
public struct BridgeIdentity: Sendable, Equatable {
    public var site: Site
    public var node: NodeName
    public var upstream: UpstreamName

    public init(site: Site, node: NodeName, upstream: UpstreamName) {
        self.site = site
        self.node = node
        self.upstream = upstream
    }

    /// `link/<upstream>`, written on the upstream only.
    public var linkTopic: FleetTopic {
        FleetTopic(site: site, node: node, channel: .link(upstream))
    }

    /// `service/bridge`, written on both sides by the bridge itself.
    ///
    /// Not through the queue: the figures of a bridge that catches up would arrive last.
    public func serviceTopic() throws(NameError) -> FleetTopic {
        FleetTopic(site: site, node: node, channel: .service(try ServiceName("bridge")))
    }

    /// What goes up when nothing else is configured: every channel of the site but `cmd`, which
    /// comes down, and `link`, which the bridge writes on the upstream itself.
    public var standardUpFilters: [String] {
        let channels = [
            "status", "info", "health", "state/#", "clock", "m/#", "event/#", "alarm/#",
            "service/#", "res/#", "senml/#",
        ]
        return channels.map { "\(FleetTopic.prefix)/\(site.text)/+/\($0)" }
    }

    /// What comes down when nothing else is configured: the commands of the site.
    public var standardDownFilters: [String] {
        ["\(FleetTopic.prefix)/\(site.text)/+/cmd/#"]
    }
}

/// Which messages a bridge does not carry, whatever the filters say.
struct TopicPolicy: Sendable {
    private let own: [[UInt8]]

    init(_ identity: BridgeIdentity) {
        let root = "\(FleetTopic.prefix)/\(identity.site.text)/\(identity.node.text)"
        own = [Array("\(root)/service/bridge".utf8), identity.linkTopic.bytes]
    }

    /// Its own topics never go up: it writes them there itself, and an old one from the edge
    /// would overwrite the present. A retained command never comes down: RETAIN is refused there.
    func carries(_ message: ArrivingMessage, on route: Route) -> Bool {
        switch route {
        case .up: !own.contains(message.topic)
        case .down:
            !own.contains(message.topic)
                && !(message.retain && TopicPolicy.isCommand(message.topic))
        }
    }

    private static func isCommand(_ topic: [UInt8]) -> Bool {
        guard topic.starts(with: "\(FleetTopic.prefix)/".utf8) else { return false }
        let levels = topic.split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false)
        return levels.count >= 5 && levels[4].elementsEqual("cmd".utf8)
    }
}
