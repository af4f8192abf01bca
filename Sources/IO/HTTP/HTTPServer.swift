import MQTT

/// A small HTTP/1.1 server on a loop, for documents that are made when they are asked for.
///
/// Each connection has one request at a time: while an answer is made, or has not left, nothing more is
/// read from it.
public final class HTTPServer: EventHandler {
    /// Makes the answer to a request and hands it over once, at once or later, on the loop.
    public typealias Answer = (HTTPRequest, @escaping (HTTPResponse) -> Void) -> Void

    /// The address that it has, with the port that the kernel chose for 0.
    public var address: SocketAddress { listener.address }

    private let listener: Listener
    let limits: HTTPLimits
    private var loop: EventLoop?
    private var answer: Answer?
    private var connections: [HTTPConnection?] = []
    private var connectionCount = 0

    /// Binds and listens.
    public init(_ address: SocketAddress, limits: HTTPLimits = HTTPLimits()) throws(IOError) {
        listener = try Listener(address)
        self.limits = limits
    }

    /// Starts to accept; `trouble` gets what accepting ran into, at most twice a second.
    public func start(
        on loop: EventLoop, trouble: @escaping (IOError) -> Void = { _ in },
        answer: @escaping Answer
    ) throws(IOError) {
        self.loop = loop
        self.answer = answer
        try listener.start(on: loop, trouble: trouble) { [weak self] socket, _ in
            self?.accept(socket)
        }
    }

    /// Stops to accept, and closes every connection at once.
    public func stop() {
        listener.stop()
        for connection in connections { connection?.close() }
        answer = nil
    }

    public func ready(token: UInt64, readiness: Readiness) {
        connections[Int(token)]?.ready(readiness)
    }

    private func accept(_ socket: consuming FileDescriptor) {
        guard let loop else { return }
        guard connectionCount < limits.connections else { return Self.refuse(socket) }
        let slot = connections.firstIndex { $0 == nil } ?? connections.count
        if slot == connections.count { connections.append(nil) }
        let connection = HTTPConnection(
            socket, loop: loop, limits: limits, slot: slot,
            answer: { [weak self] request, reply in
                guard let self, let answer = self.answer else { return }
                answer(request, reply)
            },
            gone: { [weak self] slot in
                self?.connections[slot] = nil
                self?.connectionCount -= 1
            })
        connections[slot] = connection
        connectionCount += 1
        connection.start(handler: self)
    }

    /// As much as one write takes: who is too many costs nothing more.
    private static func refuse(_ socket: borrowing FileDescriptor) {
        var output = ByteBuffer()
        HTTPResponse(.serviceUnavailable, "too many connections").encode(
            to: nil, closes: true, unixSeconds: SystemClock.unixMilliseconds() / 1000,
            into: &output)
        _ = try? socket.write(from: &output)
        socket.shutDownWriting()
    }
}
