import FleetModel

/// What every daemon's control socket answers.
extension ControlServer {
    /// Registers `log-level` and `reload`.
    public func registerCommon(_ context: DaemonContext) {
        register("log-level") { request, reply in
            let text = request.string("level") ?? ""
            guard let level = LogLevel(rawValue: text) else {
                let known = LogLevel.allCases.map(\.rawValue).joined(separator: ", ")
                return reply.fail(
                    DaemonError(
                        .usage, "there is no log level \"\(text)\"", hint: "there are: \(known)"))
            }
            context.log.level = level
            context.log.notice("log level changed", ["to": level.rawValue])
            reply.finish(["level": .string(level.rawValue)])
        }
        register("reload") { _, reply in
            let problems = context.reload()
            guard problems.isEmpty else {
                return reply.fail(
                    DaemonError(.configuration, problems.joined(separator: "\n")))
            }
            reply.finish()
        }
    }
}
