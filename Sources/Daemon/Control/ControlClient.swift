import FleetModel
import IO
import MQTT

/// The other end of a control socket: what a subcommand such as `fleet-broker clients` uses.
public enum ControlClient {
    /// Flags of every subcommand that speaks to the daemon.
    public static let flags = [
        FlagSpecification(
            "--socket", value: "PATH", help: "the daemon's control socket (control.socket)"),
        FlagSpecification(
            "--state-directory", value: "DIR", help: "the daemon's state folder: DIR/control.sock"),
        FlagSpecification("--json", help: "print one JSON object a line"),
    ]

    /// The socket that the flags name; without them, that of a daemon of this user, else that of the
    /// unit that runs this, else that of the system's.
    public static func path(_ flags: ParsedFlags, name: String) throws(DaemonError) -> String {
        if let path = flags["--socket"] { return path }
        let folder = try StateDirectory.path(flag: flags["--state-directory"], name: name)
        let own = folder + "/" + fileName
        if flags.has("--state-directory") || Files.exists(own) { return own }
        let others =
            (runtimeFolder.map { ["\($0)/\(fileName)"] } ?? []) + [
                "/run/fleet/\(name)/\(fileName)", "/var/lib/fleet/\(name)/\(fileName)",
            ]
        return others.first { Files.exists($0) } ?? own
    }

    /// The folder below `/run` that systemd names to what a unit runs, `ExecReload=` too; systemd.exec(5).
    static var runtimeFolder: String? {
        (Kernel.environment("RUNTIME_DIRECTORY")?.split(separator: ":").first).map { String($0) }
    }

    /// The socket's name in a state folder.
    public static let fileName = "control.sock"

    /// Sends a request and hands over each item of the answer; returns its result.
    ///
    /// - Parameter program: the daemon's name, for the error that says that it does not run.
    public static func call(
        _ path: String, program: String, _ command: String, _ arguments: JSONObject = [:],
        item: (JSONObject) throws(DaemonError) -> Void = { _ in }
    ) throws(DaemonError) -> JSONObject {
        var request = arguments
        request.members.insert(.init("command", .string(command)), at: 0)
        let conversation = try reaching(path, program) { () throws(IOError) in
            let conversation = try ControlConversation(path)
            try conversation.send(JSONValue.object(request).encoded() + [0x0A])
            return conversation
        }
        while true {
            let next = try reaching(path, program) { () throws(IOError) in
                try conversation.nextLine()
            }
            guard let line = next, let member = ControlLine.parse(line)?.object?.members.first
            else {
                throw DaemonError(
                    .unavailable, "\(program) at \(path) ended before its answer")
            }
            let content = member.value.object ?? [:]
            switch member.name {
            case "item": try item(content)
            case "result": return content
            case "error": throw failure(content)
            // A later version may say more.
            default: continue
            }
        }
    }

    private static func reaching<Value>(
        _ path: String, _ program: String, _ body: () throws(IOError) -> Value
    ) throws(DaemonError) -> Value {
        do throws(IOError) {
            return try body()
        } catch {
            throw unreachable(error, path, program)
        }
    }

    private static func failure(_ content: JSONObject) -> DaemonError {
        let code = content["code"]?.integer.flatMap { Int32(exactly: $0) }
        return DaemonError(
            code.map { ExitCode(rawValue: $0) } ?? .failure,
            content["message"]?.string ?? "the daemon refused")
    }

    private static func unreachable(
        _ error: IOError, _ path: String, _ program: String
    ) -> DaemonError {
        switch error.code {
        case .noSuchFile, .connectionRefused, .notADirectory:
            DaemonError(
                .unavailable, "no \(program) answers at \(path)",
                hint: "is it running? name its state folder with --state-directory DIR, or its "
                    + "control socket with --socket PATH")
        case .permissionDenied:
            DaemonError(
                .noPermission, "\(path) is not yours to open",
                hint: "run it as root, or as a user of the daemon's group")
        default: DaemonError(.inputOutput, "\(error)")
        }
    }
}

/// A connection to a control socket that waits for what it needs; for a process that does nothing else.
private final class ControlConversation: EventHandler {
    private let loop: EventLoop
    private let socket: FileDescriptor
    private var input = ByteBuffer()
    private var hasEnded = false

    init(_ path: String) throws(IOError) {
        loop = try EventLoop()
        guard path.utf8.count <= SocketAddress.maximumPathLength else {
            throw IOError("connect", .noSuchFile, subject: path)
        }
        // A Unix socket is connected at once or not at all.
        socket = try FileDescriptor.connecting(to: .unix(path)).takeSocket()
        try loop.add(socket, interest: .readable, token: 0, handler: self)
    }

    deinit { loop.remove(socket) }

    func ready(token: UInt64, readiness: Readiness) {}

    func send(_ bytes: [UInt8]) throws(IOError) {
        var output = ByteBuffer()
        output.append(bytes)
        while !output.isEmpty {
            if case .wouldBlock = try socket.write(from: &output) {
                try loop.modify(socket, interest: .writable)
                loop.turn(waitingAtMost: EventLoop.maximumWait)
            }
        }
        try loop.modify(socket, interest: .readable)
    }

    /// The next line; `nil` at the end.
    func nextLine() throws(IOError) -> [UInt8]? {
        while true {
            if let line = input.withSpan({ ControlLine.first(in: $0) }) {
                input.consume(line.count + 1)
                return line
            }
            guard !hasEnded, input.count <= ControlLine.maximumBytes else { return nil }
            switch try socket.read(into: &input, atMost: 64 * 1024) {
            case .bytes: break
            case .closed: hasEnded = true
            case .wouldBlock: loop.turn(waitingAtMost: EventLoop.maximumWait)
            }
        }
    }
}
