import Daemon
import FleetModel

/// The subcommands that speak to the broker that runs, by its control socket.
enum ControlCommands {
    static let specifications = [
        specification("status", "how the broker does"),
        specification("clients", "the clients that are connected"),
        specification("sessions", "the sessions, those of clients that are away too"),
        specification(
            "subscriptions", "the subscriptions of a client", operands: [client]),
        specification(
            "queue", "the messages that wait for a client", operands: [client],
            flags: [payload]),
        specification("kick", "end a client's connection; its session stays", operands: [client]),
        specification(
            "retained", "the retained messages",
            operands: [
                OperandSpecification(
                    "FILTER", help: "a topic filter, such as 'barn/#'; without it, all",
                    isOptional: true)
            ],
            flags: [
                payload, FlagSpecification("--delete", help: "delete them; FILTER must be given"),
            ]),
    ]

    private static let client = OperandSpecification("CLIENT", help: "the client's identifier")
    private static let payload = FlagSpecification("--payload", help: "show payloads too")

    private static func specification(
        _ name: String, _ summary: String, operands: [OperandSpecification] = [],
        flags: [FlagSpecification] = []
    ) -> SubcommandSpecification {
        SubcommandSpecification(
            name, summary: summary, operands: operands, flags: flags + ControlClient.flags)
    }

    /// `nil` where the subcommand is none of these.
    static func run(_ name: String, _ flags: ParsedFlags) throws(DaemonError) -> ExitCode? {
        switch name {
        case "status": try status(flags)
        case "clients": try table(flags, name, [:], ClientRow.titles, ClientRow.cells)
        case "sessions": try table(flags, name, [:], SessionRow.titles, SessionRow.cells)
        case "subscriptions":
            try table(flags, name, clientArgument(flags), ["FILTER", "QOS"]) { row in
                [text(row, "filter"), number(row, "qos")]
            }
        case "queue":
            var arguments = clientArgument(flags)
            arguments["payload"] = .bool(flags.has("--payload"))
            try messages(flags, name, arguments)
        case "retained": try retained(flags)
        case "kick": try order(flags, name, clientArgument(flags), "disconnected")
        default: return nil
        }
        return .success
    }

    private static func clientArgument(_ flags: ParsedFlags) -> JSONObject {
        ["client": .string(flags.operands[0])]
    }

    private static func call(
        _ flags: ParsedFlags, _ command: String, _ arguments: JSONObject,
        item: (JSONObject) throws(DaemonError) -> Void = { _ in }
    ) throws(DaemonError) -> JSONObject {
        let path = try ControlClient.path(flags, name: "broker")
        return try ControlClient.call(
            path, program: "fleet-broker", command, arguments, item: item)
    }

    /// Something is done; with `--json` the result is printed, else `done`.
    private static func order(
        _ flags: ParsedFlags, _ command: String, _ arguments: JSONObject, _ done: String
    ) throws(DaemonError) {
        let result = try call(flags, command, arguments)
        print(flags.has("--json") ? line(result) : done)
    }

    /// Rows as JSON, each when it comes, or as a table at the end.
    private static func table(
        _ flags: ParsedFlags, _ command: String, _ arguments: JSONObject, _ titles: [String],
        _ cells: (JSONObject) -> [String]
    ) throws(DaemonError) {
        var table = ControlTable(titles)
        let isJSON = flags.has("--json")
        _ = try call(flags, command, arguments) { row throws(DaemonError) in
            if isJSON { print(line(row)) } else { table.add(cells(row)) }
        }
        if !isJSON { print(table.text, terminator: "") }
    }

    private static func messages(
        _ flags: ParsedFlags, _ command: String, _ arguments: JSONObject
    ) throws(DaemonError) {
        let withPayload = flags.has("--payload")
        let titles = ["TOPIC", "QOS", "BYTES", "AGE", "EXPIRES"] + (withPayload ? ["PAYLOAD"] : [])
        try table(flags, command, arguments, titles) { row in
            let cells = [
                text(row, "topic"), number(row, "qos"), number(row, "bytes"),
                span(row, "age_seconds"), span(row, "expires_in_seconds"),
            ]
            guard withPayload else { return cells }
            let base64 = row["payload_base64"]?.string.map { "base64:" + $0 }
            return cells + [row["payload"]?.string ?? base64 ?? ""]
        }
    }

    private static func retained(_ flags: ParsedFlags) throws(DaemonError) {
        var arguments: JSONObject = [:]
        if let filter = flags.operands.first { arguments["filter"] = .string(filter) }
        arguments["payload"] = .bool(flags.has("--payload"))
        guard flags.has("--delete") else { return try messages(flags, "retained", arguments) }
        guard !flags.operands.isEmpty else {
            throw DaemonError(
                .usage, "--delete needs a FILTER", hint: "'#' deletes all of them")
        }
        arguments["delete"] = .bool(true)
        let isJSON = flags.has("--json")
        let result = try call(flags, "retained", arguments) { row throws(DaemonError) in
            print(isJSON ? line(row) : ControlTable.harmless(text(row, "topic")))
        }
        if !isJSON { print("deleted: \(number(result, "deleted"))") }
    }

    private static func status(_ flags: ParsedFlags) throws(DaemonError) {
        let result = try call(flags, "status", [:])
        guard !flags.has("--json") else { return print(line(result)) }
        var table = ControlTable(["", ""])
        for (title, value) in StatusRows.rows(result) { table.add([title, value]) }
        print(table.body, terminator: "")
    }

    private static func line(_ object: JSONObject) -> String {
        String(decoding: JSONValue.object(object).encoded(), as: UTF8.self)
    }
}

// MARK: - Cells

private func text(_ row: JSONObject, _ name: String) -> String { row[name]?.string ?? "-" }

private func number(_ row: JSONObject, _ name: String) -> String {
    row[name]?.integer.map { "\($0)" } ?? "-"
}

private func span(_ row: JSONObject, _ name: String) -> String {
    row[name]?.integer.map(ControlFigures.span) ?? "-"
}

private func size(_ row: JSONObject, _ name: String) -> String {
    row[name]?.integer.map(ControlFigures.size) ?? "-"
}

private enum ClientRow {
    static let titles = [
        "CLIENT", "USER", "ADDRESS", "VERSION", "CONNECTED", "SILENT", "SUBSCRIPTIONS", "QUEUE",
        "IN FLIGHT", "DROPPED",
    ]

    static func cells(_ row: JSONObject) -> [String] {
        [
            text(row, "client"), text(row, "user"), text(row, "address"), text(row, "version"),
            span(row, "connected_seconds"), span(row, "silent_seconds"),
            number(row, "subscriptions"), number(row, "queue"), number(row, "in_flight"),
            number(row, "dropped"),
        ]
    }
}

private enum SessionRow {
    static let titles = [
        "CLIENT", "USER", "STATE", "EXPIRES", "SUBSCRIPTIONS", "QUEUE", "SIZE", "OLDEST",
        "IN FLIGHT", "DROPPED",
    ]

    static func cells(_ row: JSONObject) -> [String] {
        [
            text(row, "client"), text(row, "user"),
            row["connected"]?.bool == true ? "connected" : "away", expiry(row),
            number(row, "subscriptions"), number(row, "queue"), size(row, "queue_bytes"),
            span(row, "oldest_seconds"), number(row, "in_flight"), number(row, "dropped"),
        ]
    }

    /// How long the session still has, or would have without its connection.
    private static func expiry(_ row: JSONObject) -> String {
        if row["expires_in_seconds"] != nil { return "in " + span(row, "expires_in_seconds") }
        return row["expiry_seconds"]?.integer.map(ControlFigures.span) ?? "never"
    }
}

private enum StatusRows {
    static func rows(_ status: JSONObject) -> [(String, String)] {
        let dropped = status["dropped"]?.object?.members ?? []
        let losses = dropped.filter { $0.value.integer != 0 }.map {
            "\($0.name) \($0.value.integer ?? 0)"
        }
        let listeners = (status["listeners"]?.array ?? []).compactMap { listener in
            listener.object.map { text($0, "protocol") + "://" + text($0, "address") }
        }
        return [
            ("version", text(status, "version")), ("uptime", span(status, "uptime_seconds")),
            ("listeners", listeners.joined(separator: ", ")),
            ("clients", number(status, "clients")), ("sessions", number(status, "sessions")),
            ("subscriptions", number(status, "subscriptions")),
            ("retained", "\(number(status, "retained")) (\(size(status, "retained_bytes")))"),
            ("queued", "\(number(status, "queue")) (\(size(status, "queue_bytes")))"),
            ("oldest", span(status, "oldest_seconds")),
            ("held", "\(size(status, "held_bytes")) of \(size(status, "held_limit"))"),
            ("in flight", number(status, "in_flight")),
            ("received", number(status, "received")), ("sent", number(status, "sent")),
            ("dropped", losses.isEmpty ? "0" : losses.joined(separator: ", ")),
            ("store", text(status, "store")), ("memory", size(status, "memory_bytes")),
            ("log level", text(status, "log_level")),
        ]
    }
}
