import FleetModel
import IO
import MQTT

/// A daemon's control socket: a Unix socket on which its operator asks and orders.
///
/// A client sends one line, a JSON object whose `command` names what it wants. The answer is a line for
/// each item, `{"item":{...}}`, then one with the end: `{"result":{...}}`, or `{"error":{"code":69,
/// "message":"..."}}` with an exit code. Then the connection ends. Who may open the socket may do all:
/// its file has mode 0660, and lies in a folder that only owner and group may enter.
public final class ControlServer: EventHandler {
    /// Connections at a time; the next one is closed at once.
    public static let maximumConnections = 8
    /// Bytes of a request; a longer one is refused.
    public static let maximumRequestBytes = 64 * 1024
    /// From the connection's start to its whole request; then it is closed.
    public static let requestTime = Duration.seconds(10)

    /// Does what a request asks, on the loop: items, then one end, at once or later.
    public typealias Command = (ControlRequest, ControlReply) -> Void

    public let path: String
    private let loop: EventLoop
    /// Its path goes with it.
    private var listener: Listener?
    private var commands: [String: Command] = [:]
    private var connections: [ControlConnection?] = []
    private var connectionCount = 0

    /// Binds and listens. A socket that a dead process left behind is taken over.
    public init(path: String, group: String? = nil, loop: EventLoop) throws(DaemonError) {
        self.path = path
        self.loop = loop
        guard path.utf8.count <= SocketAddress.maximumPathLength else {
            throw DaemonError(
                .configuration, "the control socket cannot have the path \(path)",
                hint: "it may have at most \(SocketAddress.maximumPathLength) bytes")
        }
        do throws(IOError) {
            let listener = try Listener(
                .unix(path), access: UnixSocketAccess(mode: 0o660, group: group))
            self.listener = listener
        } catch {
            throw DaemonError(.unavailable, "the control socket cannot be opened: \(error)")
        }
    }

    /// Adds a command; each name once.
    public func register(_ name: String, _ command: @escaping Command) {
        precondition(commands[name] == nil, "two commands have one name")
        commands[name] = command
    }

    /// Starts to answer.
    public func start(trouble: @escaping (IOError) -> Void) throws(DaemonError) {
        do throws(IOError) {
            try listener?.start(on: loop, trouble: trouble) { [weak self] socket, _ in
                self?.accept(socket)
            }
        } catch {
            throw DaemonError(.unavailable, "\(error)")
        }
    }

    /// Stops to answer, closes what is open, and removes the socket's file.
    public func stop() {
        listener?.stop()
        listener = nil
        for connection in connections { connection?.close() }
    }

    public func ready(token: UInt64, readiness: Readiness) {
        connections[Int(token)]?.ready(readiness)
    }

    private func accept(_ socket: consuming FileDescriptor) {
        guard connectionCount < Self.maximumConnections else { return }
        let slot = connections.firstIndex { $0 == nil } ?? connections.count
        if slot == connections.count { connections.append(nil) }
        let connection = ControlConnection(
            socket, loop: loop, slot: slot,
            run: { [weak self] request, reply in self?.run(request, reply) },
            gone: { [weak self] slot in
                self?.connections[slot] = nil
                self?.connectionCount -= 1
            })
        connections[slot] = connection
        connectionCount += 1
        connection.start(handler: self)
    }

    private func run(_ request: ControlRequest, _ reply: ControlReply) {
        guard let command = commands[request.command] else {
            let known = commands.keys.sorted().joined(separator: ", ")
            return reply.fail(
                DaemonError(
                    .usage, "there is no command \"\(request.command)\"",
                    hint: "there are: \(known)"))
        }
        command(request, reply)
    }
}

/// What a client of the control socket asks for.
public struct ControlRequest: Sendable {
    public var command: String
    /// All members of the request.
    public var arguments: JSONObject

    init(_ line: [UInt8]) throws(DaemonError) {
        guard let object = ControlLine.parse(line)?.object else {
            throw DaemonError(.dataError, "a request is a JSON object on one line")
        }
        guard let command = object["command"]?.string else {
            throw DaemonError(.dataError, "a request names its \"command\"")
        }
        self.command = command
        arguments = object
    }

    /// A text that the command cannot do without.
    public func required(_ name: String) throws(DaemonError) -> String {
        guard let text = arguments[name]?.string else {
            throw DaemonError(.usage, "\(command) needs \"\(name)\"")
        }
        return text
    }

    public func string(_ name: String) -> String? { arguments[name]?.string }

    public func flag(_ name: String) -> Bool { arguments[name]?.bool ?? false }
}

/// The way of an answer to the client of a control socket. What is said once the client has gone, or
/// behind the end, is dropped.
public struct ControlReply {
    let connection: ControlConnection

    /// One item of the answer.
    public func item(_ item: JSONObject) {
        connection.send("item", .object(item))
    }

    /// Adds some items, at once or later, and says whether there is anything left.
    public typealias Producer = (_ done: @escaping (_ hasMore: Bool) -> Void) -> Void

    /// Makes the answer piece by piece.
    ///
    /// `more` is called at most once a tick, and only while the client takes what was made before, so that
    /// a long list neither fills the memory nor holds up the loop. The end is `more`'s as well: it calls
    /// `finish` or `fail` when nothing is left.
    public func stream(_ more: @escaping Producer) {
        connection.produce(more)
    }

    /// Ends the answer.
    public func finish(_ result: JSONObject = [:]) {
        connection.end("result", .object(result))
    }

    /// Ends the answer with an error.
    public func fail(_ error: DaemonError) {
        connection.end(
            "error",
            .object([
                "code": .integer(Int64(error.exitCode.rawValue)),
                "message": .string(error.description),
            ]))
    }
}
