import Client
import IO
import MQTT
import Testing

@Suite("Client against servers that misbehave", .serialized)
struct ScriptedServerTests {
    private static let accepted311: [UInt8] = [0x20, 2, 0, 0]
    private static let accepted5: [UInt8] = [0x20, 3, 0, 0, 0]

    @Test("A server that takes the connection and never answers is given up, and tried again")
    func mute() throws {
        let loop = try EventLoop()
        let server = try ScriptedServer(loop)
        let client = try ClientUnderTest("mqtt://127.0.0.1:\(server.port)", loop: loop) {
            $0.session.connectTimeout = .milliseconds(50)
        }
        try loop.wait(for: "two attempts") { client.failures.count >= 2 && server.accepted >= 2 }
        #expect(client.failures.allSatisfy { $0.kind == .timeout })
        #expect("\(client.failures[0])".contains("CONNECT"))
        #expect(client.pauses.allSatisfy { $0 != nil })
    }

    @Test("A server that falls silent later is given up after keep-alive and ping time-out")
    func blackHole() throws {
        let loop = try EventLoop()
        let server = try ScriptedServer(loop)
        server.answer = { if case .connect = $0 { Self.accepted5 } else { [] } }
        let client = try ClientUnderTest("mqtt://127.0.0.1:\(server.port)", loop: loop) {
            $0.session.keepAliveSeconds = 1
            $0.session.pingResponseTimeout = .milliseconds(50)
        }
        try loop.wait(for: "the end") { !client.failures.isEmpty }
        #expect(client.connections.count >= 1)
        #expect(client.failures[0].kind == .timeout)
        #expect(server.received.contains(.pingReq))
    }

    @Test("A server of 3.1.1 only: automatic connects at once, exactly 5.0 says what to set")
    func fallback() throws {
        let loop = try EventLoop()
        let server = try ScriptedServer(loop)
        server.answer = { packet in
            guard case .connect(let connect) = packet else { return [] }
            return connect.version == .v5_0 ? [0x20, 2, 0, 1] : Self.accepted311
        }
        let url = "mqtt://127.0.0.1:\(server.port)"
        let exact = try ClientUnderTest(url, loop: loop)
        try loop.wait(for: "the refusal") { !exact.failures.isEmpty }
        #expect(exact.failures[0].kind == .unsupportedVersion)
        #expect("\(exact.failures[0])".contains("set the version to 3.1.1"))
        exact.die()

        let automatic = try ClientUnderTest(url, loop: loop) {
            $0.session.version = .automatic
            $0.backoff = Backoff.Limits(minimum: .seconds(3_600), maximum: .seconds(3_600))
        }
        try loop.wait(for: "the connection") { !automatic.connections.isEmpty }
        #expect(automatic.connections[0].version == .v3_1_1)
        #expect(automatic.pauses == [.zero])
    }

    @Test("A broken CONNACK is a protocol error; a connection that closes is lost")
    func closing() throws {
        let loop = try EventLoop()
        let server = try ScriptedServer(loop)
        server.answer = { _ in [0x20, 0xFF, 0xFF, 0xFF, 0xFF, 1] }
        let client = try ClientUnderTest("mqtt://127.0.0.1:\(server.port)", loop: loop)
        try loop.wait(for: "the error") { !client.failures.isEmpty }
        #expect(client.failures[0].kind == .protocolError)
        server.answer = { _ in Self.accepted5 }
        try loop.wait(for: "a connection") { client.isConnected }
        let before = client.failures.count
        server.hangUp()
        try loop.wait(for: "the loss") { client.failures.count > before }
        #expect(client.failures[before].kind == .connectionLost)
    }

    @Test("In 3.1.1 a server that floods is not read while the application holds its messages")
    func flood() throws {
        let loop = try EventLoop()
        let server = try ScriptedServer(loop)
        server.answer = { if case .connect = $0 { Self.accepted311 } else { [] } }
        let client = try ClientUnderTest("mqtt://127.0.0.1:\(server.port)", loop: loop) {
            $0.session.version = .exactly(.v3_1_1)
            $0.session.receiveMaximum = 10
        }
        client.acknowledges = false
        try loop.wait(for: "the connection") { client.isConnected }
        var bytes: [UInt8] = []
        for id in UInt8(1)...100 { bytes += [0x32, 6, 0, 1, 65, 0, id, 66] }
        server.send(bytes)
        try loop.wait(for: "ten messages") { client.messages.count >= 10 }
        for _ in 0..<5 { loop.turn(waitingAtMost: .milliseconds(5)) }
        #expect(client.messages.count == 10)
        client.acknowledges = true
        for message in client.messages { client.client?.acknowledge(message.delivery) }
        try loop.wait(for: "the rest and its acknowledgements") {
            client.messages.count == 100 && server.received.count { $0 == .pubAck } == 100
        }
        // A server that is gone is noticed by what is sent to it, though it is not read.
        client.acknowledges = false
        server.send(bytes)
        try loop.wait(for: "ten more") { client.messages.count >= 110 }
        server.hangUp()
        client.publish("a", "x", qos: .atMostOnce)
        try loop.wait(for: "the loss") { !client.failures.isEmpty }
        #expect(client.failures[0].kind == .connectionLost)
    }

    @Test("A client that pauses reading gets everything once it goes on")
    func pausesReading() throws {
        let loop = try EventLoop()
        let server = try ScriptedServer(loop)
        server.answer = { if case .connect = $0 { Self.accepted5 } else { [] } }
        let client = try ClientUnderTest("mqtt://127.0.0.1:\(server.port)", loop: loop)
        try loop.wait(for: "the connection") { client.isConnected }
        client.client?.pausesReading = true
        var bytes: [UInt8] = []
        for number in UInt8(1)...100 { bytes += [0x30, 5, 0, 1, 65, 0, number] }
        server.send(bytes)
        for _ in 0..<5 { loop.turn(waitingAtMost: .milliseconds(5)) }
        #expect(client.messages.isEmpty)
        client.client?.pausesReading = false
        try loop.wait(for: "all") { client.messages.count == 100 }
    }

    @Test("Nothing listens, or the name does not exist: told apart, tried again")
    func unreachable() throws {
        let loop = try EventLoop()
        let port = try Mosquitto.freePort()
        let refused = try ClientUnderTest("mqtt://127.0.0.1:\(port)", loop: loop)
        // RFC 6761: a name below .invalid never resolves.
        let unknown = try ClientUnderTest("mqtt://broker.invalid", loop: loop)
        try loop.wait(for: "both") { refused.failures.count > 1 && unknown.failures.count > 0 }
        #expect(refused.failures[0].kind == .unreachable)
        #expect(unknown.failures[0].kind == .nameResolution)
        #expect("\(unknown.failures[0])".contains("broker.invalid"))
    }

    @Test("An impossible configuration is told once, without another attempt")
    func configuration() throws {
        let loop = try EventLoop()
        let client = try ClientUnderTest("mqtt://127.0.0.1:1", loop: loop, clientID: "a\0b")
        try loop.wait(for: "the problem") { !client.failures.isEmpty }
        #expect(client.failures.map(\.kind) == [.configuration])
        #expect(client.pauses == [nil])
    }

    @Test("stop is bounded when the server does not answer, and the client can start again")
    func boundedStop() throws {
        let loop = try EventLoop()
        let server = try ScriptedServer(loop)
        server.answer = { if case .connect = $0 { Self.accepted5 } else { [] } }
        let client = try ClientUnderTest("mqtt://127.0.0.1:\(server.port)", loop: loop)
        try loop.wait(for: "the connection") { client.isConnected }
        client.publish("a", "never answered", qos: .atLeastOnce)
        var stopped = false
        client.client?.stop(within: .milliseconds(100)) { stopped = true }
        try loop.wait(for: "the stop") { stopped }
        try loop.wait(for: "DISCONNECT") { server.received.contains(.disconnect) }
        #expect(client.failures.map(\.kind) == [.requested])
        #expect(client.client?.queuedMessages == 1)
        client.client?.start()
        try loop.wait(for: "the message again") {
            server.received.filter { $0 == .publish }.count == 2
        }
    }
}
