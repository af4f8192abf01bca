import MQTT
import Testing

@testable import BrokerCore

/// Enhanced authentication (4.12): the conversation, whatever is said in it.
@Suite struct ExchangeTests {
    private func open(_ broker: TestBroker) throws -> TestClient {
        var rules = AccessRules(allowsAnonymous: false, checksPasswords: true)
        rules.authenticationMethods = [Array("M".utf8)]
        return try #require(broker.open(.v5_0, rules: rules))
    }

    private func connect(
        _ broker: TestBroker, _ name: String = "a", method: String = "M", user: String? = nil
    ) throws -> TestClient {
        let client = try open(broker)
        client.connect(name, user: user) {
            $0.add(.authenticationMethod, string: method)
            $0.add(.authenticationData, bytes: [1].span)
        }
        return client
    }

    private func auth(
        _ client: TestClient, _ reason: ReasonCode, _ data: [UInt8], method: String = "M"
    ) {
        var writer = PropertyWriter()
        writer.add(.authenticationMethod, string: method)
        writer.add(.authenticationData, bytes: data.span)
        client.send(
            .auth(Auth(reasonCode: reason, properties: writer.properties)), from: writer.bytes)
    }

    private func answer(_ broker: TestBroker, _ result: ExchangeResult) throws {
        let step = try #require(broker.steps.last)
        broker.shard.exchanged(step.connection, result, at: broker.now)
        broker.settle()
    }

    /// A client whose exchange is done.
    private func connected(_ broker: TestBroker, user: String = "alice") throws -> TestClient {
        let client = try connect(broker)
        try answer(broker, .challenge([2]))
        auth(client, .continueAuthentication, [3])
        try answer(broker, .accepted(user: Array(user.utf8), data: [4]))
        return client
    }

    @Test func `two steps, then CONNACK with the server's proof`() throws {
        // [MQTT-4.12.0-2], [MQTT-4.12.0-3], [MQTT-4.12.0-5]
        let broker = TestBroker()
        let client = try connect(broker)
        #expect(broker.steps.map(\.data) == [[1]] && broker.steps[0].isFirst)
        #expect(client.inbox.isEmpty)
        try answer(broker, .challenge([2]))
        let challenge = try #require(client.received().first)
        guard case .auth(let packet) = challenge.packet else {
            Issue.record("no AUTH: \(challenge)")
            return
        }
        #expect(packet.reasonCode == .continueAuthentication)
        let method = packet.properties.range(.authenticationMethod, in: challenge.bytes.span)
        #expect(method.map { challenge.text($0) } == "M")
        auth(client, .continueAuthentication, [3])
        #expect(broker.steps.map(\.data) == [[1], [3]] && !broker.steps[1].isFirst)
        try answer(broker, .accepted(user: Array("alice".utf8), data: [4]))
        let answer = try #require(client.received().first)
        #expect(answer.connAck?.reasonCode == .success)
        #expect(answer.string(.authenticationMethod) == "M")
        #expect(answer.string(.authenticationData) == "\u{4}")
    }

    @Test func `the session belongs to who was proven`() throws {
        let broker = TestBroker()
        let client = try connected(broker)
        #expect(!client.isClosed)
        let other = try connect(broker)
        try answer(broker, .accepted(user: Array("bob".utf8), data: []))
        #expect(other.conversation() == ["connack 0x87"])
        #expect(!client.isClosed)
    }

    @Test func `a user name of another user is refused`() throws {
        let broker = TestBroker()
        let client = try connect(broker, user: "bob")
        try answer(broker, .accepted(user: Array("alice".utf8), data: []))
        #expect(client.conversation() == ["connack 0x86"])
    }

    @Test func `what comes behind CONNECT is taken after the exchange`() throws {
        let broker = TestBroker()
        let client = try connect(broker)
        auth(client, .continueAuthentication, [3])
        #expect(broker.steps.count == 1)
        try answer(broker, .challenge([2]))
        #expect(broker.steps.count == 2)
        try answer(broker, .accepted(user: [65], data: []))
        #expect(client.received().last?.connAck?.reasonCode == .success)
    }

    @Test func `a client is not read while the shell is asked`() throws {
        let broker = TestBroker()
        let client = try connect(broker)
        #expect(client.isPaused)
        try answer(broker, .challenge([2]))
        #expect(!client.isPaused)
        auth(client, .continueAuthentication, [3])
        #expect(client.isPaused)
        try answer(broker, .accepted(user: Array("alice".utf8), data: [4]))
        #expect(!client.isPaused)
        _ = client.received()
        auth(client, .reAuthenticate, [5])
        #expect(client.isPaused)
        client.send(.pingReq)
        #expect(client.conversation().isEmpty)
        try answer(broker, .challenge([6]))
        #expect(!client.isPaused)
        #expect(client.conversation().last == "pingresp")
        broker.shard.checkInvariants()
    }

    @Test func `who the transport has named does not prove to be another`() throws {
        let broker = TestBroker()
        var rules = AccessRules(
            allowsAnonymous: false, checksPasswords: true, takesIdentity: true)
        rules.authenticationMethods = [Array("M".utf8)]
        let client = try #require(broker.open(.v5_0, rules: rules))
        broker.shard.identified(client.id, user: Array("alice".utf8))
        client.connect("a") { $0.add(.authenticationMethod, string: "M") }
        #expect(broker.steps.isEmpty)
        #expect(client.conversation() == ["connack 0x8c"])
    }

    @Test func `a method that is not offered is refused`() throws {
        // [MQTT-4.12.0-1]
        let client = try connect(TestBroker(), method: "other")
        #expect(client.conversation() == ["connack 0x8c"])
        #expect(client.isClosed)
    }

    @Test func `a failed authentication ends the connection`() throws {
        // [MQTT-4.12.0-4]
        let broker = TestBroker()
        let client = try connect(broker)
        try answer(broker, .refused)
        #expect(client.conversation() == ["connack 0x86"])
        #expect(client.isClosed && broker.shard.sessionCount == 0)
    }

    @Test func `nothing but AUTH and DISCONNECT comes before CONNACK`() throws {
        // [MQTT-3.1.2-30]
        let broker = TestBroker()
        let client = try connect(broker)
        try answer(broker, .challenge([2]))
        _ = client.received()
        client.send(.pingReq)
        #expect(client.conversation() == ["connack 0x82"])
        let leaves = try connect(broker)
        try answer(broker, .challenge([2]))
        _ = leaves.received()
        leaves.disconnect()
        #expect(leaves.inbox.isEmpty && leaves.isClosed)
    }

    @Test func `AUTH out of turn or of another method is a protocol error`() throws {
        // [MQTT-4.12.0-5]
        for (reason, method) in [
            (ReasonCode.reAuthenticate, "M"), (.success, "M"), (.continueAuthentication, "X"),
        ] {
            let broker = TestBroker()
            let client = try connect(broker)
            try answer(broker, .challenge([2]))
            _ = client.received()
            auth(client, reason, [3], method: method)
            #expect(client.conversation() == ["connack 0x82"])
        }
    }

    @Test func `AUTH without a method in CONNECT is a protocol error`() {
        // [MQTT-4.12.0-6], [MQTT-4.12.0-7]
        let client = TestBroker().client("a")
        auth(client, .reAuthenticate, [1])
        #expect(client.conversation() == ["disconnect 0x82"])
    }

    @Test func `a connected client authenticates again, and goes on meanwhile`() throws {
        // [MQTT-4.12.1-1]
        let broker = TestBroker()
        let client = try connected(broker)
        _ = client.received()
        auth(client, .reAuthenticate, [5])
        #expect(broker.steps.last?.isFirst == true)
        try answer(broker, .challenge([6]))
        client.send(.pingReq)
        auth(client, .continueAuthentication, [7])
        try answer(broker, .accepted(user: Array("alice".utf8), data: [8]))
        let packets = client.received()
        #expect(packets.map(\.description) == ["auth", "pingresp", "auth"])
        guard case .auth(let last)? = packets.last?.packet else { return }
        #expect(last.reasonCode == .success)
    }

    @Test func `to authenticate again as another user, or wrongly, ends the connection`() throws {
        // [MQTT-4.12.1-2]
        for result in [ExchangeResult.refused, .accepted(user: Array("bob".utf8), data: [])] {
            let broker = TestBroker()
            let client = try connected(broker)
            _ = client.received()
            auth(client, .reAuthenticate, [5])
            try answer(broker, result)
            #expect(client.conversation() == ["disconnect 0x87"])
        }
    }

    @Test func `an exchange that stops ends with the time to connect`() throws {
        let broker = TestBroker()
        let client = try connect(broker)
        try answer(broker, .challenge([2]))
        broker.sleep(.seconds(11))
        #expect(client.isClosed)
        // An answer that comes later names nobody.
        try answer(broker, .accepted(user: [65], data: []))
        #expect(broker.shard.connectionCount == 0)
    }
}
