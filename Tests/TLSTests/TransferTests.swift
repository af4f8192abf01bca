import IO
import MQTT
import Testing

@testable import TLS

@Suite struct TransferTests {
    @Test func megabytesGoBothWaysAndArriveWhole() throws {
        let meeting = try Meeting(server: .test(), client: .test())
        let size = 3_000_000
        let pattern = (0..<size).map { UInt8(truncatingIfNeeded: $0 &* 31) }
        meeting.client.output.append(pattern)
        meeting.server.output.append(pattern)
        meeting.client.send("")
        meeting.loop.run {
            meeting.server.input.count == size && meeting.client.input.count == size
        }
        let isWhole = meeting.server.input.withSpan { span in
            (0..<size).allSatisfy { span[$0] == pattern[$0] }
        }
        #expect(isWhole)
    }

    @Test func aReaderWithASmallLimitGetsEverythingAlthoughTheSocketIsEmpty() throws {
        let meeting = try Meeting(server: .test(), client: .test())
        meeting.run()
        // One record of 16 kB, read with a limit of 4 kB: its rest must not wait for another event.
        meeting.client.send(String(repeating: "x", count: 16_000))
        meeting.loop.run { meeting.server.input.count == 16_000 }
    }

    @Test func aGoodbyeIsReadAsClosed() throws {
        let meeting = try Meeting(server: .test(), client: .test())
        meeting.run()
        meeting.client.send("last words")
        meeting.client.transport.shutDown()
        meeting.loop.run { meeting.server.isClosed }
        #expect(meeting.server.input.text == "last words")
        #expect(meeting.server.failure == nil)
    }

    @Test func aGoodbyeBehindTheLastBytesIsReadAlthoughTheSocketStaysOpen() throws {
        let meeting = try Meeting(server: .test(), client: .test())
        meeting.run()
        meeting.client.send("last words")
        // Both records wait in the server's socket, and are read at once.
        meeting.client.transport.sayGoodbye()
        meeting.loop.run { meeting.server.isClosed }
        #expect(meeting.server.input.text == "last words")
    }

    @Test func anEndWithoutGoodbyeIsReadAsClosedToo() throws {
        let meeting = try Meeting(server: .test(), client: .test())
        meeting.run()
        // Everything that TLS itself still sends has been read.
        meeting.client.send("x")
        meeting.loop.run { meeting.server.input.text == "x" }
        meeting.client.transport.descriptor.shutDownWriting()
        meeting.loop.run { meeting.server.isOver }
        #expect(meeting.server.isClosed)
    }

    @Test func aHandshakeAndDataByteByByteSucceed() throws {
        let loop = try EventLoop()
        let (near, middleNear) = try Meeting.connect(on: loop)
        let (middleFar, far) = try Meeting.connect(on: loop)
        guard let clientSocket = near.take(), let serverSocket = far.take(),
            let left = middleNear.take(), let right = middleFar.take()
        else { return }
        let drip = try Drip(loop, left, right)
        let server = try Peer(
            loop, Transport(server: serverSocket, context: TLSContext(server: .test())))
        let client = try Peer(
            loop,
            Transport(
                client: clientSocket, context: TLSContext(client: .test()), host: "localhost"),
            begins: true)
        client.send("slow")
        loop.run { server.input.text == "slow" }
        #expect(server.eventCount > 100, "the bytes came in larger pieces")
        #expect(drip.byteCount > 400)
        drip.stop()
    }

    @Test func aTransportTakesAtMost24Bytes() {
        #expect(MemoryLayout<Transport>.size == 16)
    }
}

/// Passes bytes on between two sockets, one in a tick and direction.
private final class Drip: EventHandler {
    private let loop: EventLoop
    private let left: FileDescriptor
    private let right: FileDescriptor
    private(set) var byteCount = 0

    init(
        _ loop: EventLoop, _ left: consuming FileDescriptor, _ right: consuming FileDescriptor
    ) throws {
        self.loop = loop
        self.left = left
        self.right = right
        try loop.add(self.left, interest: .readable, token: 0, handler: self)
        try loop.add(self.right, interest: .readable, token: 1, handler: self)
    }

    func ready(token: UInt64, readiness: Readiness) {
        var byte = ByteBuffer()
        do {
            let progress =
                token == 0
                ? try left.read(into: &byte, atMost: 1) : try right.read(into: &byte, atMost: 1)
            guard case .bytes = progress else { return }
            byteCount += 1
            _ = token == 0 ? try right.write(from: &byte) : try left.write(from: &byte)
        } catch {
            Issue.record(error)
        }
    }

    func stop() {
        loop.remove(left)
        loop.remove(right)
    }
}
