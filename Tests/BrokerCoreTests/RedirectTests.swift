import MQTT
import Testing

@testable import BrokerCore

/// Clients that are sent to another server. 4.11
@Suite struct RedirectTests {
    private func configuration(
        permanent: Bool = false, listeners: Set<String> = []
    ) -> BrokerConfiguration {
        var configuration = BrokerConfiguration()
        configuration.redirection = Redirection(
            servers: Array("other.example:1883 [::1]:1884".utf8), isPermanent: permanent,
            listeners: listeners)
        return configuration
    }

    private func rules(_ listener: String) -> AccessRules {
        AccessRules(allowsAnonymous: true, checksPasswords: false, listener: listener)
    }

    @Test func `CONNECT is answered with another server`() throws {
        for (permanent, code) in [(false, "0x9c"), (true, "0x9d")] {
            let broker = TestBroker(configuration(permanent: permanent))
            let client = try #require(broker.open())
            client.connect("a")
            let answer = try #require(client.received().first)
            #expect(answer.description == "connack \(code)")
            #expect(answer.string(.serverReference) == "other.example:1883 [::1]:1884")
            #expect(client.isClosed)
            #expect(broker.shard.sessionCount == 0)
            for version in [ProtocolVersion.v3_1, .v3_1_1] {
                let old = try #require(broker.open(version))
                old.connect("a")
                #expect(old.conversation() == ["connack 0x03"])
                #expect(old.isClosed)
            }
            #expect(
                broker.refusals.allSatisfy {
                    $0 == .redirected(permanent ? .serverMoved : .useAnotherServer)
                })
        }
    }

    @Test func `who is sent away is asked for no password first`() throws {
        let broker = TestBroker(configuration())
        let closed = AccessRules(allowsAnonymous: false, checksPasswords: true)
        let client = try #require(broker.open(rules: closed))
        client.connect("a", user: "u", password: "p")
        #expect(client.conversation() == ["connack 0x9c"])
        #expect(broker.passwordChecks.isEmpty)
    }

    @Test func `only clients of the listeners that are named are sent away`() throws {
        let broker = TestBroker(configuration(listeners: ["outside"]))
        let inside = try #require(broker.open(rules: rules("inside")))
        inside.connect("in")
        #expect(inside.conversation() == ["connack 0x00"])
        let outside = try #require(broker.open(rules: rules("outside")))
        outside.connect("out")
        #expect(outside.conversation() == ["connack 0x9c"])
    }

    @Test func `a reload sends those away who are connected`() throws {
        let broker = TestBroker()
        let reader = try #require(broker.open(rules: rules("inside")))
        reader.connect("r").subscribed("#")
        let new = try #require(broker.open(rules: rules("outside")))
        new.connect("n", will: TestWill(topic: "w/n", payload: "gone")) {
            $0.add(.sessionExpiryInterval, uint32: 60)
        }
        let old = try #require(broker.open(.v3_1_1, rules: rules("outside")))
        old.connect("o", will: TestWill(topic: "w/o", payload: "gone"))
        _ = (new.received(), old.received(), reader.received())

        broker.shard.reconfigure(configuration(listeners: ["outside"]), at: broker.now)
        broker.settle()
        let goodbye = try #require(new.received().first)
        #expect(goodbye.description == "disconnect 0x9c")
        #expect(goodbye.string(.serverReference) == "other.example:1883 [::1]:1884")
        #expect(new.isClosed && old.isClosed && !reader.isClosed)
        #expect(old.conversation() == [])
        // The server ended these connections, and not their clients: wills are published, and what was to
        // be kept is.
        #expect(Set(reader.received().map(\.topic)) == ["w/n", "w/o"])
        #expect(broker.shard.sessionCount == 2)
        broker.sleep(.seconds(61))
        #expect(broker.shard.sessionCount == 1)
    }

    @Test func `the same again sends nobody away twice, and its end lets everybody in`() throws {
        let broker = TestBroker(configuration(listeners: ["outside"]))
        let inside = try #require(broker.open(rules: rules("inside")))
        inside.connect("in")
        broker.shard.reconfigure(configuration(listeners: ["outside"]), at: broker.now)
        broker.settle()
        #expect(!inside.isClosed)
        broker.shard.reconfigure(BrokerConfiguration(), at: broker.now)
        let back = try #require(broker.open(rules: rules("outside")))
        back.connect("out")
        #expect(back.conversation() == ["connack 0x00"])
    }

    @Test func `a password check that goes on meanwhile lets nobody in`() throws {
        let broker = TestBroker()
        let client = try #require(
            broker.open(rules: AccessRules(allowsAnonymous: false, checksPasswords: true)))
        client.connect("a", user: "u", password: "p")
        broker.shard.reconfigure(configuration(), at: broker.now)
        broker.shard.authenticated(client.id, result: .accepted, at: broker.now)
        broker.settle()
        #expect(client.conversation() == ["connack 0x9c"])
    }

    @Test func `the other server and the reason are left out where they do not fit`() throws {
        for maximum: UInt32 in 5...100 {
            let client = try #require(TestBroker(configuration()).open())
            client.connect("a") { $0.add(.maximumPacketSize, uint32: maximum) }
            #expect(client.inbox.count <= Int(maximum))
            #expect(client.conversation() == ["connack 0x9c"])
        }
    }
}
