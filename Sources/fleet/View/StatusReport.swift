import FleetModel

/// The picture of a fleet at one moment, ready to be shown.
struct StatusReport {
    enum NodeState: String {
        case online, offline
        /// It cannot be known: the link of its site is down, or it never said.
        case unknown
    }

    struct LinkRow {
        let site: Site
        /// The node on which the bridge runs.
        let node: NodeName
        let upstream: UpstreamName
        let link: Link
    }

    struct Row {
        let key: FleetView.Key
        let node: FleetView.Node
        let state: NodeState
        /// Since when the state holds, where a message says so.
        let since: Timestamp?
        /// Else the last moment that anything of the node, or of its site, bears.
        let lastSign: Timestamp?
        /// The links of the node's site.
        let links: [LinkRow]
        /// Messages that wait in the bridges of the node's site.
        let queue: Int?
    }

    let rows: [Row]
    let links: [LinkRow]
    /// What is wrong, a sentence each. Empty: all is well.
    let problems: [String]

    /// - Parameter only: leave out the other nodes, though the links of its site are looked at.
    init(_ view: FleetView, only: FleetView.Key? = nil) {
        let sites = Dictionary(grouping: view.nodes.keys, by: \.site)
        var rows: [Row] = []
        var links: [LinkRow] = []
        var problems: [String] = []
        for site in sites.keys.sorted() {
            let report = SiteReport(site, (sites[site] ?? []).sorted(), view, only)
            rows += report.rows
            links += report.links
            problems += report.problems
        }
        for topic in view.unreadable {
            problems.append("\(topic): its payload cannot be read")
        }
        if view.unreadableCount > view.unreadable.count {
            let more = view.unreadableCount - view.unreadable.count
            problems.append("\(more) more payloads cannot be read")
        }
        if rows.isEmpty { problems.append("no node is known") }
        self.rows = rows
        self.links = links
        self.problems = problems
    }
}

/// The part of a report that is about one site.
private struct SiteReport {
    private(set) var rows: [StatusReport.Row] = []
    private(set) var links: [StatusReport.LinkRow] = []
    private(set) var problems: [String] = []

    init(
        _ site: Site, _ keys: [FleetView.Key], _ view: FleetView, _ only: FleetView.Key?
    ) {
        let nodes = keys.compactMap { key in view.nodes[key].map { (key, $0) } }
        for (key, node) in nodes {
            for (upstream, link) in node.links.sorted(by: { $0.key < $1.key }) {
                links.append(
                    StatusReport.LinkRow(
                        site: site, node: key.node, upstream: upstream, link: link))
            }
        }
        // As long as one link is up, the site's own words reach us.
        let isCutOff = !links.isEmpty && links.allSatisfy { $0.link.state == .offline }
        let siteSign = nodes.compactMap { $0.1.lastSign }.max()
        let queue = Self.queue(nodes.map { $0.1 })
        for link in links where link.link.state == .offline {
            problems.append(Self.problem(link, isCutOff))
        }
        for (key, node) in nodes where only == nil || only == key {
            let (state, since) = Self.state(node, isCutOff: isCutOff, links: links)
            rows.append(
                StatusReport.Row(
                    key: key, node: node, state: state, since: since,
                    lastSign: state == .unknown ? siteSign : node.lastSign, links: links,
                    queue: queue))
            guard !isCutOff else { continue }
            problems += Self.problems(key, node, state)
        }
    }

    /// The state of a node, and since when it holds where something says so.
    private static func state(
        _ node: FleetView.Node, isCutOff: Bool, links: [StatusReport.LinkRow]
    ) -> (StatusReport.NodeState, Timestamp?) {
        if isCutOff { return (.unknown, links.compactMap { $0.link.since }.max()) }
        if let status = node.status {
            return (status.state == .online ? .online : .offline, status.since)
        }
        // A machine without an agent, such as a gateway: what runs on it speaks for it.
        let presences =
            node.services.values.map { ($0.state, $0.since) }
            + node.links.values.map { ($0.state, $0.since) }
        guard !presences.isEmpty else { return (.unknown, nil) }
        let online = presences.filter { $0.0 == .online }
        if online.isEmpty { return (.offline, presences.compactMap(\.1).max()) }
        return (.online, online.compactMap(\.1).min())
    }

    private static func problem(_ row: StatusReport.LinkRow, _ isCutOff: Bool) -> String {
        let link = "\(row.site)/\(row.node): the link to \(row.upstream) is offline"
        let why = row.link.why.map { " (\($0))" } ?? ""
        return link + why + (isCutOff ? ", so the nodes of \(row.site) cannot be known" : "")
    }

    private static func problems(
        _ key: FleetView.Key, _ node: FleetView.Node, _ state: StatusReport.NodeState
    ) -> [String] {
        var problems: [String] = []
        let name = "\(key.site)/\(key.node)"
        switch state {
        case .online: break
        case .offline:
            problems.append("\(name) is offline\(node.status?.why.map { " (\($0))" } ?? "")")
        case .unknown: problems.append("\(name) has never said whether it is online")
        }
        for (service, said) in node.services.sorted(by: { $0.key < $1.key }) {
            if said.state == .offline && state == .online {
                problems.append("\(name): the service \(service) is offline")
            }
            if let problem = said.storeProblem {
                problems.append("\(name): \(service): \(problem)")
            }
        }
        return problems
    }

    /// The messages that wait in all bridges of a site; nil where no bridge says.
    private static func queue(_ nodes: [FleetView.Node]) -> Int? {
        guard let name = try? ServiceName("bridge") else { return nil }
        let depths = nodes.compactMap { node in node.services[name]?.counter("queue") }
        return depths.isEmpty
            ? nil : depths.reduce(0) { $0.addingReportingOverflow($1).partialValue }
    }
}
