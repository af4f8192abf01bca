import Config
import FleetModel
import IO

/// Where a daemon's control socket lies and who may open it: `[control]`.
public struct ControlSettings: Hashable, Sendable {
    /// `nil`: in the folder that systemd gives the service below `/run`, else in the state folder.
    public var path: String?
    /// The socket's group; `nil`: the group `fleet` below `/run`, where this process is in it.
    public var group: String?

    public init() {}

    public init(_ reader: ConfigurationReader) {
        path = reader.path("socket")
        group = reader.string("group")
    }
}

/// What every daemon's control socket is and answers.
extension ControlServer {
    /// The group that may open control sockets, as the packages make it.
    private static let standardGroup = "fleet"

    /// Opens the socket and registers `log-level` and `reload`; `start` is the caller's.
    ///
    /// `nil` where the path of the state folder is too long for a socket's: a warning says so.
    public static func open(
        _ settings: ControlSettings, _ context: DaemonContext
    ) throws(DaemonError) -> ControlServer? {
        let folder = ControlClient.runtimeFolder
        let standard = (folder ?? context.state.path) + "/" + ControlClient.fileName
        let path = settings.path ?? standard
        if settings.path == nil, path.utf8.count > SocketAddress.maximumPathLength {
            context.log.warning(
                "no control socket: the state folder's path is too long for one",
                ["path": path, "hint": "set control.socket"])
            return nil
        }
        let server = try open(path, settings.group, isBelowRun: folder != nil, context.loop)
        server.registerCommon(context)
        return server
    }

    private static func open(
        _ path: String, _ group: String?, isBelowRun: Bool, _ loop: EventLoop
    ) throws(DaemonError) -> ControlServer {
        if group == nil, isBelowRun,
            let server = try? ControlServer(path: path, group: standardGroup, loop: loop)
        {
            return server
        }
        return try ControlServer(path: path, group: group, loop: loop)
    }

    /// Starts to answer; what accepting runs into is logged.
    public func start(_ log: Log) throws(DaemonError) {
        try start { error in log.error("cannot accept", ["error": error]) }
    }

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
            switch context.reload() {
            case .refused(let problems):
                reply.fail(DaemonError(.configuration, problems.joined(separator: "\n")))
            case .done(let remark):
                // What was handed to other threads is done by them when they answer.
                context.whenAlive {
                    reply.finish(remark.map { ["remark": .string($0)] } ?? [:])
                }
            }
        }
    }
}
