import ArgumentParser
import FleetModel
import IO
import MQTT

/// `fleet status`
struct StatusCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "status",
        abstract: "Show every node: its state, version, load, temperature, link and queue.",
        usage: "fleet status [<options>]",
        discussion: """
            Nodes behind a link that is down are unknown: their own words cannot cross it. \
            '~' before a time says: since then or a little later.

            Exit status: 0 if all is well, 1 if something is wrong in the fleet, \
            2 if the command was used wrongly or could not connect.
            """)

    enum Format: String, CaseIterable, ExpressibleByArgument {
        case table, wide, json
    }

    @OptionGroup var connection: ConnectionOptions

    @Option(name: [.short, .long], help: "How to print.")
    var output = Format.table

    @Option(help: ArgumentHelp("Only this site.", valueName: "name"))
    var site: String?

    @Option(
        help: ArgumentHelp(
            "Only this node of the site; asks for its topics one by one.", valueName: "name"))
    var node: String?

    func validate() throws {
        if node != nil, site == nil { throw ValidationError("--node needs --site") }
        _ = try scope()
    }

    func run() throws {
        try FleetProgram.run { (output) throws(FleetError) in try report(to: output) }
    }

    private func report(to output: Output) throws(FleetError) -> FleetExit {
        let settings = try BrokerSettings(connection, .process)
        let filters = StatusFilters(try scope(), values: self.output == .json)
        var view = FleetView()
        var broker = LocalBroker(settings.url)
        // Measured in a table, a message lost is a cell missing; at QoS 0 none waits for another.
        let harvest = Harvest(
            filters.all, asides: broker.filters, qos: .atMostOnce, limit: settings.connectTimeout
        ) {
            if broker.take(topic: $0.topic, payload: $0.payload) { return }
            view.take(topic: $0.topic, payload: $0.payload)
        }
        try Conversation.run(settings, output, harvest)
        let report = filters.report(view)
        let end = try show(report, filters.unseen(harvest), to: output)
        for remark in filters.remarks(report) + broker.remarks { output.note(remark) }
        return end
    }

    func show(
        _ report: StatusReport, _ unseen: [String], to output: Output
    ) throws(FleetError) -> FleetExit {
        switch self.output {
        case .json:
            try output.writeJSON(report.json(unseen: unseen).encoded())
        case .table, .wide:
            if !report.rows.isEmpty { try output.write(report.table(wide: self.output == .wide)) }
            for problem in report.problems { output.note(problem) }
            for line in unseen { output.note(line) }
        }
        return report.problems.isEmpty && unseen.isEmpty ? .fine : .wrong
    }

    private func scope() throws(FleetError) -> StatusFilters.Scope {
        do throws(FleetModel.NameError) {
            guard let site else { return .fleet }
            guard let node else { return .site(try Site(site)) }
            return .node(try Site(site), try NodeName(node))
        } catch {
            throw FleetError("\(error)")
        }
    }
}
