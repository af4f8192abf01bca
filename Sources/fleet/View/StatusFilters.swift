import FleetModel
import MQTT

/// What `fleet status` asks the broker for, and what it must say when not all of it came.
struct StatusFilters {
    enum Scope: Hashable {
        case fleet
        case site(Site)
        case node(Site, NodeName)
    }

    /// The services that are asked for by name where one node is.
    private static let services = ["agent", "bridge", "broker"]
    /// The groups that 128 sensors of an agent take at most.
    private static let groups = ["2", "3"]

    let all: [String]
    private let scope: Scope

    /// - Parameter values: also the last value of each sensor.
    init(_ scope: Scope, values: Bool = false) {
        self.scope = scope
        let families = FleetView.families + (values ? FleetView.valueFamilies : [])
        all = families.flatMap { family in
            switch scope {
            case .fleet: return [FleetTopic.filter(family)]
            case .site(let site): return [FleetTopic.filter(family, site: site)]
            case .node(let site, _) where family == .links:
                // Another node of the site may hold the bridge, and a node is only what its link is.
                return [FleetTopic.filter(family, site: site)]
            case .node(let site, let node):
                let filter = FleetTopic.filter(family, site: site, scope: .node(node))
                switch family {
                case .services: return Self.services.map { filter.dropLast() + $0 }
                case .stateGroups: return Self.groups.map { filter.dropLast() + $0 }
                default: return [filter]
                }
            }
        }
    }

    /// Leaves out what came besides the node that was asked for: the bridge's own node.
    func report(_ view: FleetView) -> StatusReport {
        if case .node(let site, let node) = scope {
            return StatusReport(view, only: FleetView.Key(site: site, node: node))
        }
        return StatusReport(view)
    }

    /// What could not be seen, and why, a sentence each.
    func unseen(_ harvest: Harvest) -> [String] {
        var lines = harvest.refusals.map {
            "the broker does not give \($0.filter): \($0.reasonCode.name)"
        }
        if !harvest.server.retainAvailable {
            lines.append("the broker keeps no retained messages: only what came just now is shown")
        } else if harvest.isComplete, harvest.count == 0, harvest.refusals.isEmpty {
            lines.append(nothingCame)
        }
        if !harvest.isComplete {
            lines.append("it ended before all messages had come: see --connect-timeout")
        }
        return lines
    }

    /// Good to know, and no reason to doubt: an edge broker has no links.
    func remarks(_ report: StatusReport) -> [String] {
        guard case .node(let site, _) = scope, report.links.isEmpty, !report.rows.isEmpty else {
            return []
        }
        return [
            """
            no link of \(site) is known here; a broker that gives no retained messages for filters \
            with wildcards hides it, and a node behind a link that is down then still shows online
            """
        ]
    }

    private var nothingCame: String {
        if case .node = scope {
            return "the broker has no retained message of this node, or this user may not read it"
        }
        return """
            no retained message came: nothing was published below \(FleetTopic.prefix), this user \
            may not read it, or the broker gives none for filters with wildcards, as RabbitMQ; \
            then ask for one node with --site and --node
            """
    }
}
