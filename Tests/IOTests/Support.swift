import Glibc
import IO
import MQTT
import Testing

extension EventLoop {
    /// Turns until `condition` holds; records an issue when it does not within `limit`.
    func run(
        within limit: Duration = .seconds(10), until condition: () -> Bool,
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

/// Calls closures for events, so that a test can say in place what shall happen.
final class Probe: EventHandler {
    var onReady: (UInt64, Readiness) -> Void = { _, _ in }
    private(set) var events: [(token: UInt64, readiness: Readiness)] = []

    func ready(token: UInt64, readiness: Readiness) {
        events.append((token, readiness))
        onReady(token, readiness)
    }
}

/// Two connected TCP sockets on 127.0.0.1.
final class SocketPair {
    let loop: EventLoop
    var near: FileDescriptor?
    var far: FileDescriptor?

    init(_ loop: EventLoop) throws {
        self.loop = loop
        let listener = try Listener(.loopbackIPv4(port: 0))
        let pending = try FileDescriptor.connecting(to: listener.address)
        try listener.start(on: loop) { connection, _ in self.far = consume connection }
        loop.run { far != nil }
        listener.stop()
        near = pending.takeSocket()
    }
}

func bytes(_ text: String) -> [UInt8] {
    Array(text.utf8)
}

extension ByteBuffer {
    /// The unread bytes as text.
    var text: String {
        withSpan { span in
            String(decoding: (0..<span.count).map { span[$0] }, as: UTF8.self)
        }
    }
}

/// A pause of a test's own thread between two looks at a condition.
enum Pause {
    static func briefly() { usleep(500) }
}

/// A folder that goes with its owner.
final class TemporaryFolder {
    let path: String

    init() throws {
        let number = SystemRandom.bytes(8).reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
        path = "/tmp/fleet-io-" + String(number, radix: 16)
        try Files.makeFolder(path, mode: 0o700)
    }

    deinit {
        // SAFETY: the command is lent for the call.
        _ = unsafe system("rm -r '\(path)'")
    }

    func path(_ name: String) -> String { path + "/" + name }
}
