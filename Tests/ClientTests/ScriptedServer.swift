import IO
import MQTT
import TLS

/// A server on a loopback port that does what a test tells it, on the test's own loop.
final class ScriptedServer: EventHandler {
    let port: UInt16
    /// Called with each packet that a client sent; gives the bytes of the answer.
    var answer: (Packet) -> [UInt8] = { _ in [] }
    private(set) var accepted = 0
    private(set) var received: [PacketType] = []
    private let loop: EventLoop
    private let listener: Listener
    private var connection: Transport?
    private var decoder = PacketDecoder(receiver: .server)
    private var input = ByteBuffer()
    private var output = ByteBuffer()

    init(_ loop: EventLoop) throws {
        self.loop = loop
        listener = try Listener(.loopbackIPv4(port: 0))
        port = listener.address.port ?? 0
        try listener.start(on: loop) { [weak self] socket, _ in self?.accept(socket) }
    }

    /// Closes the connection without a word.
    func hangUp() {
        connection?.leave(loop)
        connection = nil
    }

    func send(_ bytes: [UInt8]) {
        output.append(bytes)
        write()
    }

    private func accept(_ socket: consuming FileDescriptor) {
        accepted += 1
        hangUp()
        decoder = PacketDecoder(receiver: .server)
        input.removeAll()
        output.removeAll()
        connection = Transport(plain: socket)
        try? connection?.join(loop, self)
    }

    func ready(token: UInt64, readiness: Readiness) {
        while let progress = try? connection?.read(into: &input, atMost: 4_096) {
            switch progress {
            case .bytes: decode()
            case .wouldBlock: return write()
            case .closed: return hangUp()
            }
        }
        hangUp()
    }

    private func decode() {
        var answers: [UInt8] = []
        let used = input.withSpan { bytes in
            var offset = 0
            while let next = try? decoder.decode(bytes, from: offset) {
                received.append(next.packet.type)
                answers += answer(next.packet)
                offset = next.end
            }
            return offset
        }
        input.consume(used)
        output.append(answers)
    }

    private func write() {
        while !output.isEmpty, case .bytes? = try? connection?.write(from: &output) {}
        connection?.watch(loop, hasOutput: !output.isEmpty)
    }
}

extension Transport {
    fileprivate func join(_ loop: EventLoop, _ handler: any EventHandler) throws {
        try loop.add(descriptor, interest: .readable, token: 0, handler: handler)
    }

    fileprivate func watch(_ loop: EventLoop, hasOutput: Bool) {
        try? loop.modify(descriptor, interest: interest(hasOutput: hasOutput))
    }

    fileprivate func leave(_ loop: EventLoop) { loop.remove(descriptor) }
}
