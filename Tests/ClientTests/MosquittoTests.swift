import Client
import Foundation
import IO
import MQTT
import Testing

@Suite("Client against Debian's Mosquitto", .serialized)
struct MosquittoTests {
    @Test(
        "Messages of QoS 0, 1 and 2 arrive once, in order",
        arguments: [
            ProtocolVersion.v3_1, .v3_1_1, .v5_0,
        ])
    func roundTrip(version: ProtocolVersion) throws {
        let broker = try Mosquitto()
        let loop = try EventLoop()
        let client = try ClientUnderTest("mqtt://127.0.0.1:\(broker.port)", loop: loop) {
            $0.session.version = .exactly(version)
        }
        client.client?.subscribe([SubscriptionRequestItem("a/#", qos: .exactlyOnce)])
        try loop.wait(for: "the subscription") { client.grants == [[.grantedQoS2]] }
        for number in 0..<30 {
            let qos = QoS(rawValue: UInt8(number % 3)) ?? .atMostOnce
            var message = OutgoingMessage(
                topic: "a/b", payload: Array("\(number)".utf8), qos: qos)
            message.properties.userProperties = [UserProperty("n", "\(number)")]
            #expect(client.client?.publish(message, token: UInt64(number)) == nil)
        }
        try loop.wait(for: "all messages and answers") {
            client.messages.count == 30 && client.outcomes.count == 30
        }
        for qos in [QoS.atMostOnce, .atLeastOnce, .exactlyOnce] {
            let numbers = client.messages.filter { $0.qos == qos }
                .compactMap { Int(String(decoding: $0.payload, as: UTF8.self)) }
            #expect(numbers == Array(stride(from: Int(qos.rawValue), to: 30, by: 3)))
        }
        #expect(client.allSucceeded)
        let hasProperties = client.messages.allSatisfy { !$0.properties.userProperties.isEmpty }
        #expect(hasProperties == (version == .v5_0))
    }

    @Test("A client that dies leaves its will; one that stops does not")
    func will() throws {
        let broker = try Mosquitto()
        let loop = try EventLoop()
        let url = "mqtt://127.0.0.1:\(broker.port)"
        let watcher = try ClientUnderTest(url, loop: loop, clientID: "watcher")
        watcher.client?.subscribe([SubscriptionRequestItem("will/#")])
        try loop.wait(for: "the subscription") { !watcher.grants.isEmpty }
        let clients = try ["stops", "dies"].map { name in
            try ClientUnderTest(url, loop: loop, clientID: name) {
                $0.session.will = ClientWill(
                    OutgoingMessage(topic: "will/\(name)", payload: Array("gone".utf8)))
            }
        }
        try loop.wait(for: "both") { clients.allSatisfy { $0.connections.count == 1 } }
        var stopped = false
        clients[0].client?.stop(within: .seconds(5)) { stopped = true }
        try loop.wait(for: "the stop") { stopped }
        #expect(clients[0].failures.map(\.kind) == [.requested])
        #expect(clients[0].pauses == [nil])
        clients[1].die()
        try loop.wait(for: "the will") { !watcher.messages.isEmpty }
        #expect(watcher.messages.map(\.topicText) == ["will/dies"])
    }

    @Test("A kept session has what came meanwhile, and what was not acknowledged comes again")
    func persistentSession() throws {
        let broker = try Mosquitto()
        let loop = try EventLoop()
        let url = "mqtt://127.0.0.1:\(broker.port)"
        func subscriber() throws -> ClientUnderTest {
            try ClientUnderTest(url, loop: loop, clientID: "keeps") {
                $0.session.cleanStart = false
                $0.session.sessionExpirySeconds = 300
            }
        }
        let first = try subscriber()
        first.acknowledges = false
        first.client?.subscribe([SubscriptionRequestItem("k", qos: .exactlyOnce)])
        try loop.wait(for: "the subscription") { !first.grants.isEmpty }
        #expect(first.connections[0].sessionPresent == false)
        let publisher = try ClientUnderTest(url, loop: loop, clientID: "publisher")
        publisher.publish("k", "1", qos: .atLeastOnce)
        try loop.wait(for: "the first message") { first.texts == ["1"] }
        first.die()
        publisher.publish("k", "2", qos: .exactlyOnce)
        try loop.wait(for: "the answers") { publisher.outcomes.count == 2 }
        let second = try subscriber()
        try loop.wait(for: "both messages") { second.texts == ["1", "2"] }
        #expect(second.connections[0].sessionPresent)
        #expect(second.messages[0].duplicate, "it was sent before")
    }

    @Test("A broker that is killed and comes back gets what was published, and is subscribed")
    func reconnect() throws {
        let broker = try Mosquitto()
        let loop = try EventLoop()
        let client = try ClientUnderTest("mqtt://127.0.0.1:\(broker.port)", loop: loop) {
            $0.session.sessionExpirySeconds = 300
        }
        client.client?.subscribe([SubscriptionRequestItem("r", qos: .atLeastOnce)])
        try loop.wait(for: "the subscription") { client.grants.count == 1 }
        broker.kill()
        for number in 0..<50 { client.publish("r", "\(number)", qos: .atLeastOnce) }
        try loop.wait(for: "failed attempts") { client.failures.count >= 3 }
        #expect(client.failures[0].kind == .connectionLost)
        #expect(client.failures.dropFirst().allSatisfy { $0.kind == .unreachable })
        #expect(client.pauses.allSatisfy { $0 != nil })
        try broker.start()
        try loop.wait(for: "all answers and messages") {
            client.outcomes.count == 50 && Set(client.texts).count == 50
        }
        #expect(client.connections.map(\.sessionPresent) == [false, false])
        #expect(client.grants.count == 2, "subscribed again")
        #expect(client.allSucceeded)
    }

    @Test("stop waits until all is answered, and queued messages are not lost by it")
    func orderlyStop() throws {
        let broker = try Mosquitto()
        let loop = try EventLoop()
        let client = try ClientUnderTest("mqtt://127.0.0.1:\(broker.port)", loop: loop)
        try loop.wait(for: "the connection") { !client.connections.isEmpty }
        for number in 0..<500 { client.publish("s", "\(number)", qos: .exactlyOnce) }
        var stopped = false
        client.client?.stop(within: .seconds(10)) { stopped = true }
        try loop.wait(for: "the stop") { stopped }
        #expect(client.outcomes.count == 500)
        #expect(client.failures.map(\.kind) == [.requested])
    }

    @Test("A wrong password is told as such, and tried again after a pause")
    func wrongPassword() throws {
        let folder = FileManager.default.temporaryDirectory
            .appendingPathComponent("fleet-client-password-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        try Mosquitto.run("mosquitto_passwd -b -c password fleet right", in: folder)
        let file = folder.appendingPathComponent("password").path
        let strict = try Mosquitto(["allow_anonymous false", "password_file \(file)"])
        let loop = try EventLoop()
        for version in [ProtocolVersion.v3_1_1, .v5_0] {
            let wrong = try ClientUnderTest("mqtt://fleet@127.0.0.1:\(strict.port)", loop: loop) {
                $0.session.version = .exactly(version)
                $0.session.password = Array("wrong".utf8)
            }
            try loop.wait(for: "two refusals") { wrong.failures.count >= 2 }
            let failure = wrong.failures[0]
            #expect([.badUserNameOrPassword, .notAuthorized].contains(failure.kind))
            #expect(!"\(failure)".contains("wrong"))
            #expect("\(failure)".contains("password"))
            wrong.die()
        }
        let right = try ClientUnderTest("mqtt://fleet@127.0.0.1:\(strict.port)", loop: loop) {
            $0.session.password = Array("right".utf8)
        }
        try loop.wait(for: "the connection") { right.connections.count == 1 }
    }
}
