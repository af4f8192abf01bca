import MQTT
import Testing

@testable import BrokerCore

/// Certificates and keys that let a client in, and do so no more.
@Suite struct CredentialTests {
    private func client(_ broker: TestBroker, _ name: String) throws -> TestClient {
        let rules = AccessRules(
            allowsAnonymous: false, checksPasswords: false, takesIdentity: true)
        let client = try #require(broker.open(rules: rules))
        broker.shard.identified(client.id, user: Array("alice".utf8))
        client.connect(
            name, cleanStart: false, will: TestWill(topic: "w", payload: "last words")
        ) { $0.add(.sessionExpiryInterval, uint32: 100) }
        #expect(client.conversation().first?.hasPrefix("connack 0x00") == true)
        return client
    }

    @Test(arguments: [
        (CredentialFault.certificateRevoked, "disconnect 0x87", false, 2),
        (.certificateUntrusted, "disconnect 0x87", false, 2),
        (.keyRemoved, "disconnect 0x87", false, 1),
        (.keyChanged, "disconnect 0x98", true, 2),
    ])
    func `a client whose certificate or key counts no more is disconnected`(
        fault: CredentialFault, goodbye: String, saysWill: Bool, sessions: Int
    ) throws {
        let broker = TestBroker()
        let reader = broker.client("reader").subscribed("w")
        let gone = try client(broker, "gone")
        broker.shard.credentialEnded(gone.id, fault, at: broker.now)
        broker.settle()
        #expect(gone.conversation() == [goodbye] && gone.isClosed)
        #expect(broker.causes("gone") == [.credentialEnded(fault)])
        #expect(reader.conversation() == (saysWill ? ["publish w=last words q0"] : []))
        #expect(broker.shard.sessionCount == sessions)
    }

    @Test func `before CONNECT it is the end too, and of a connection that is gone nothing`() throws
    {
        let broker = TestBroker()
        let early = try #require(broker.open())
        broker.shard.credentialEnded(early.id, .certificateRevoked, at: broker.now)
        broker.settle()
        #expect(early.isClosed)
        broker.shard.credentialEnded(early.id, .certificateRevoked, at: broker.now)
        broker.settle()
        #expect(broker.refusals == [.credentialEnded(.certificateRevoked)])
    }

    @Test func `a will of a revoked certificate does not come back with the store`() throws {
        var configuration = BrokerConfiguration()
        configuration.durability = DurabilityRules(.process)
        let broker = TestBroker(configuration)
        let gone = try client(broker, "gone")
        broker.sleep(.seconds(2))
        broker.shard.credentialEnded(gone.id, .certificateRevoked, at: broker.now)
        broker.settle()
        broker.sleep(.seconds(2))
        let later = broker.restarted()
        #expect(later.shard.session(clientID: Array("gone".utf8))?.hasWill == false)
    }
}
