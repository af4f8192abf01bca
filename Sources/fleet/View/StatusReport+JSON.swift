import FleetModel

extension StatusReport {
    /// The report for programs. Fields are only ever added.
    func json(unseen: [String]) -> JSONValue {
        var object = JSONObject()
        object.members.append(.init("nodes", .array(rows.map(\.json))))
        object.members.append(.init("links", .array(links.map(\.json))))
        object.members.append(.init("problems", .array(problems.map { .string($0) })))
        object.members.append(.init("unseen", .array(unseen.map { .string($0) })))
        return .object(object)
    }
}

extension StatusReport.LinkRow {
    fileprivate var json: JSONValue {
        var object = JSONObject([
            .init("site", .string(site.text)), .init("node", .string(node.text)),
            .init("upstream", .string(upstream.text)),
        ])
        object.members += link.json.object?.members ?? []
        return .object(object)
    }
}

extension StatusReport.Row {
    fileprivate var json: JSONValue {
        var object = JSONObject([
            .init("site", .string(key.site.text)), .init("node", .string(key.node.text)),
            .init("state", .string(state.rawValue)),
        ])
        func add(_ name: String, _ value: JSONValue?) {
            if let value { object.members.append(.init(name, value)) }
        }
        add("since", since.map { .string($0.description) })
        add("last_sign", lastSign.map { .string($0.description) })
        add("queue", queue.map { .integer(Int64($0)) })
        add("status", node.status?.json)
        add("info", node.info?.json)
        add("health", node.health?.json)
        add("sensors", node.state?.json)
        let services = node.services.sorted { $0.key < $1.key }
        if !services.isEmpty {
            add("services", .object(JSONObject(services.map { .init($0.key.text, $0.value.json) })))
        }
        return .object(object)
    }
}
