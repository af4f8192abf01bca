import Glibc
import IO
import MQTT
import TLS
import Testing

extension EventLoop {
    /// Turns until `condition` holds; records an issue when it does not within `limit`.
    func run(
        within limit: Duration = .seconds(20), until condition: () -> Bool,
        sourceLocation: SourceLocation = #_sourceLocation
    ) {
        let deadline = SystemClock.monotonic() + limit
        while !condition() {
            let now = SystemClock.monotonic()
            guard now < deadline else {
                Issue.record("nothing came within \(limit)", sourceLocation: sourceLocation)
                return
            }
            turn(waitingAtMost: min(deadline - now, .milliseconds(50)))
        }
    }
}

/// A shell around a `Transport` that follows its rule: read, write what is left, set the interest.
final class Peer: EventHandler {
    let loop: EventLoop
    var transport: Transport
    var input = ByteBuffer()
    var output = ByteBuffer()
    var isClosed = false
    var failure: TransportError?
    private(set) var eventCount = 0
    private var isWatched = true

    init(_ loop: EventLoop, _ transport: consuming Transport, begins: Bool = false) throws {
        self.loop = loop
        self.transport = transport
        try loop.add(self.transport.descriptor, interest: .readable, token: 0, handler: self)
        if begins {
            attempt { peer throws(TransportError) in _ = try peer.transport.handshake() }
            update()
        }
    }

    var isEstablished: Bool { transport.isEstablished }
    var kind: TLSError.Kind? {
        if case .tls(let error) = failure { error.kind } else { nil }
    }
    var isOver: Bool { isClosed || failure != nil }

    func send(_ text: String) {
        output.append(Array(text.utf8))
        attempt { peer throws(TransportError) in try peer.flush() }
        update()
    }

    func ready(token: UInt64, readiness: Readiness) {
        eventCount += 1
        attempt { peer throws(TransportError) in
            if try peer.transport.read(into: &peer.input, atMost: 4_096) == .closed {
                peer.isClosed = true
            }
            try peer.flush()
        }
        update()
    }

    func stop() {
        if isWatched { loop.remove(transport.descriptor) }
        isWatched = false
    }

    private func flush() throws(TransportError) {
        while case .bytes = try transport.write(from: &output) {}
    }

    private func attempt(_ body: (Peer) throws(TransportError) -> Void) {
        do throws(TransportError) {
            try body(self)
        } catch {
            failure = error
        }
    }

    private func update() {
        guard isWatched else { return }
        if isOver { return stop() }
        do {
            try loop.modify(
                transport.descriptor, interest: transport.interest(hasOutput: !output.isEmpty))
        } catch {
            Issue.record(error)
        }
    }
}

extension ByteBuffer {
    /// The unread bytes as text.
    var text: String {
        withSpan { span in
            String(decoding: (0..<span.count).map { span[$0] }, as: UTF8.self)
        }
    }
}

/// A server and a client on one loop, connected over 127.0.0.1, before their first words.
final class Meeting {
    let loop: EventLoop
    let server: Peer
    let client: Peer

    init(
        server: TLSServerConfiguration, client: TLSClientConfiguration, host: String = "localhost"
    ) throws {
        loop = try EventLoop()
        let (near, far) = try Self.connect(on: loop)
        guard let nearSocket = near.take(), let farSocket = far.take() else { throw NoSocket() }
        self.server = try Peer(
            loop, Transport(server: farSocket, context: TLSContext(server: server)))
        self.client = try Peer(
            loop, Transport(client: nearSocket, context: TLSContext(client: client), host: host),
            begins: true)
    }

    /// Turns until both sides know how it ended.
    func run() {
        loop.run {
            (server.isEstablished && client.isEstablished) || (server.isOver && client.isOver)
        }
    }

    /// Turns until one side has failed, and the other had the chance to hear of it.
    func runUntilRefused() {
        loop.run { server.isOver || client.isOver }
        // An alert is on its way when one side has failed.
        for _ in 0..<20 where !(server.isOver && client.isOver) {
            loop.turn(waitingAtMost: .milliseconds(10))
        }
    }

    static func connect(on loop: EventLoop) throws -> (near: Socket, far: Socket) {
        let listener = try Listener(.loopbackIPv4(port: 0))
        let far = Socket()
        try listener.start(on: loop) { connection, _ in far.descriptor = consume connection }
        let near = Socket()
        near.descriptor = try FileDescriptor.connecting(to: listener.address).takeSocket()
        loop.run { far.descriptor != nil }
        listener.stop()
        return (near, far)
    }
}

struct NoSocket: Error {}

/// A descriptor that a closure can fill.
final class Socket {
    var descriptor: FileDescriptor?

    func take() -> FileDescriptor? { descriptor.take() }
}

extension TLSServerConfiguration {
    static func test(_ name: String = "server", clientCA: String? = nil) -> Self {
        let files = Certificates.shared
        return Self(
            certificateFile: files.path(name + ".pem"), keyFile: files.path(name + ".key"),
            clientCAFile: clientCA.map { files.path($0) })
    }
}

extension TLSClientConfiguration {
    static func test(certificate: String? = nil, ca: String? = "ca.pem") -> Self {
        let files = Certificates.shared
        var configuration = Self(caFile: ca.map { files.path($0) })
        if let certificate {
            configuration.certificateFile = files.path(certificate + ".pem")
            configuration.keyFile = files.path(certificate + ".key")
        }
        return configuration
    }
}
