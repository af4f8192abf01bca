import MQTT
import Testing

@testable import BrokerCore

/// What CONNACK tells a client that it may not do, or may count on.
@Suite struct TermsTests {
    private func rules(maximumQoS: QoS = .exactlyOnce, retains: Bool = true) -> AccessRules {
        var rules = TestBroker.open
        rules.maximumQoS = maximumQoS
        rules.isRetainAvailable = retains
        return rules
    }

    /// A client of a listener with these rules, its CONNACK left aside.
    private func client(
        _ broker: TestBroker, _ name: String, _ rules: AccessRules,
        _ version: ProtocolVersion = .v5_0
    ) throws -> TestClient {
        let client = try #require(broker.open(version, rules: rules))
        client.connect(name)
        #expect(client.conversation() == ["connack 0x00"])
        return client
    }

    // MARK: Maximum QoS

    @Test func `CONNACK tells the maximum QoS where it is below 2`() throws {
        // [MQTT-3.2.2-9]
        for (maximum, told) in [(QoS.atMostOnce, 0), (.atLeastOnce, 1), (.exactlyOnce, nil)] {
            let client = try #require(
                TestBroker().open(rules: rules(maximumQoS: maximum)))
            let answer = try #require(client.connect("a").received().first)
            #expect(answer.uint8(.maximumQoS) == told.map { UInt8($0) })
        }
    }

    @Test func `SUBSCRIBE is taken at any QoS, and granted the maximum`() throws {
        // [MQTT-3.2.2-10]
        for version in [ProtocolVersion.v3_1, .v3_1_1, .v5_0] {
            let broker = TestBroker()
            let reader = try client(broker, "r", rules(maximumQoS: .atLeastOnce), version)
            reader.subscribe([
                ("a", SubscriptionOptions(qos: .atMostOnce)),
                ("b", SubscriptionOptions(qos: .atLeastOnce)),
                ("c", SubscriptionOptions(qos: .exactlyOnce)),
            ])
            #expect(reader.conversation() == ["suback id1 [0, 1, 1]"])
            // Who came by another listener publishes as ever.
            broker.client("w").publish("c", "x", .exactlyOnce)
            #expect(reader.conversation() == ["publish c=x q1 id1"])
        }
    }

    @Test func `a retained message comes at the QoS that was granted`() throws {
        let broker = TestBroker()
        broker.client("w").publish("t", "x", .exactlyOnce, retain: true)
        let reader = try client(broker, "r", rules(maximumQoS: .atMostOnce))
        reader.subscribe([("t", SubscriptionOptions(qos: .exactlyOnce))])
        #expect(reader.conversation() == ["suback id1 [0]", "publish t=x q0 retain"])
    }

    @Test func `a PUBLISH above the maximum QoS ends the connection`() throws {
        // [MQTT-3.2.2-11]
        for version in [ProtocolVersion.v3_1, .v3_1_1, .v5_0] {
            for (maximum, qos) in [
                (QoS.atMostOnce, QoS.atLeastOnce), (.atMostOnce, .exactlyOnce),
                (.atLeastOnce, .exactlyOnce),
            ] {
                let broker = TestBroker()
                let reader = broker.client("r").subscribed("t", .exactlyOnce)
                let writer = try client(broker, "w", rules(maximumQoS: maximum), version)
                writer.publish("t", "taken", maximum)
                writer.publish("t", "refused", qos)
                let told = version == .v5_0 ? ["disconnect 0x9b"] : []
                #expect(writer.conversation().filter { !$0.hasPrefix("pubAck") } == told)
                #expect(writer.isClosed)
                #expect(reader.received().map(\.payload) == ["taken"])
                #expect(broker.causes("w").map(\.reasonCode) == [.qosNotSupported])
            }
        }
    }

    @Test func `an alias does not carry a PUBLISH past the maximum QoS`() throws {
        let broker = TestBroker()
        let writer = try client(broker, "w", rules(maximumQoS: .atMostOnce))
        writer.publish("t", "1") { $0.add(.topicAlias, uint16: 1) }
        writer.publish("", "2", .atLeastOnce) { $0.add(.topicAlias, uint16: 1) }
        #expect(writer.conversation() == ["disconnect 0x9b"])
    }

    @Test func `a will above the maximum QoS is refused`() throws {
        // [MQTT-3.2.2-12]
        for version in [ProtocolVersion.v3_1_1, .v5_0] {
            let broker = TestBroker()
            let client = try #require(
                broker.open(version, rules: rules(maximumQoS: .atLeastOnce)))
            client.connect("a", will: TestWill(topic: "w", payload: "", qos: .exactlyOnce))
            // Before 5.0 no return code says it. [MQTT-3.2.2-6] of 3.1.1
            #expect(client.conversation() == (version == .v5_0 ? ["connack 0x9b"] : []))
            #expect(client.isClosed)
            #expect(broker.shard.sessionCount == 0)
            let modest = try #require(broker.open(rules: rules(maximumQoS: .atLeastOnce)))
            modest.connect("a", will: TestWill(topic: "w", payload: "", qos: .atLeastOnce))
            #expect(modest.conversation() == ["connack 0x00"])
        }
    }

    // MARK: Retain available

    @Test func `CONNACK tells that nothing is retained`() throws {
        for retains in [false, true] {
            let client = try #require(TestBroker().open(rules: rules(retains: retains)))
            let answer = try #require(client.connect("a").received().first)
            #expect(answer.uint8(.retainAvailable) == (retains ? nil : 0))
        }
    }

    @Test func `a PUBLISH with RETAIN ends the connection where nothing is retained`() throws {
        // [MQTT-3.2.2-14]
        for version in [ProtocolVersion.v3_1, .v3_1_1, .v5_0] {
            let broker = TestBroker()
            let reader = broker.client("r").subscribed("t")
            let writer = try client(broker, "w", rules(retains: false), version)
            writer.publish("t", "taken")
            writer.publish("t", "refused", retain: true)
            #expect(writer.conversation() == (version == .v5_0 ? ["disconnect 0x9a"] : []))
            #expect(writer.isClosed)
            #expect(reader.received().map(\.payload) == ["taken"])
            #expect(broker.shard.retainedCount == 0)
        }
    }

    @Test func `a will with RETAIN is refused where nothing is retained`() throws {
        // [MQTT-3.2.2-13]
        for version in [ProtocolVersion.v3_1_1, .v5_0] {
            let client = try #require(TestBroker().open(version, rules: rules(retains: false)))
            client.connect("a", will: TestWill(topic: "w", payload: "x", retain: true))
            #expect(client.conversation() == (version == .v5_0 ? ["connack 0x9a"] : []))
            #expect(client.isClosed)
        }
    }

    // MARK: Response information

    private func broker(_ information: String) throws -> TestBroker {
        var configuration = BrokerConfiguration()
        configuration.responseInformation = try ResponseInformation(information)
        return TestBroker(configuration)
    }

    /// What a client is told that asks like this.
    private func told(
        _ broker: TestBroker, _ clientID: String, asks: UInt8?, user: String? = nil
    ) throws -> String? {
        var rules = TestBroker.open
        rules.checksPasswords = user != nil
        let client = try #require(broker.open(rules: rules))
        client.connect(clientID, user: user, password: user) { writer in
            if let asks { writer.add(.requestResponseInformation, uint8: asks) }
        }
        if user != nil {
            broker.shard.authenticated(client.id, result: .accepted, at: broker.now)
            broker.settle()
        }
        let answer = try #require(client.received().first)
        #expect(answer.connAck?.reasonCode == .success)
        client.disconnect()
        return answer.string(.responseInformation)
    }

    @Test func `response information comes to who asks for it, and to nobody else`() throws {
        // [MQTT-3.1.2-28]
        let broker = try broker("replies/%c")
        #expect(try told(broker, "a", asks: 1) == "replies/a")
        #expect(try told(broker, "a", asks: 0) == nil)
        #expect(try told(broker, "a", asks: nil) == nil)
        #expect(try told(TestBroker(), "a", asks: 1) == nil)
    }

    @Test func `response information names the user who was proven, and the client`() throws {
        let broker = try broker("r/%u/%c")
        #expect(try told(broker, "a", asks: 1, user: "me") == "r/me/a")
        // Nobody has proven to be anybody.
        #expect(try told(broker, "a", asks: 1) == nil)
        for name in ["+", "#", "a/b", "$x", "%u"] {
            #expect(try told(broker, name, asks: 1, user: "me") == nil, "\(name)")
            #expect(try told(broker, "a", asks: 1, user: name) == nil, "\(name)")
        }
    }

    @Test func `response information stays out of a CONNACK that it would make too large`() throws {
        let broker = try broker("replies/%c")
        let client = try #require(broker.open())
        client.connect("a") { writer in
            writer.add(.requestResponseInformation, uint8: 1)
            writer.add(.maximumPacketSize, uint32: 24)
        }
        #expect(client.inbox.count <= 24)
        let answer = try #require(client.received().first)
        #expect(answer.connAck?.reasonCode == .success)
        #expect(answer.string(.responseInformation) == nil)
    }

    @Test func `response information that is no topic is refused`() {
        for text in ["", "a/+", "#", "$SYS/a", "a/x%c", "%u%c/b"] {
            #expect(throws: AccessRuleError.self, "\(text)") { try ResponseInformation(text) }
        }
    }

    // MARK: Problem information

    @Test func `a message that is not taken is refused in words, where they fit`() throws {
        // [MQTT-3.4.2-2], [MQTT-3.5.2-2]
        var configuration = BrokerConfiguration()
        configuration.limits.retainedMessages = 0
        let broker = TestBroker(configuration)
        let client = broker.client("a")
        client.publish("$SYS/x", "", .atLeastOnce, id: 1)
        client.publish("$SYS/x", "", .exactlyOnce, id: 2)
        client.publish("t", "kept", .atLeastOnce, retain: true, id: 3)
        let answers = client.received()
        #expect(
            answers.map(\.description) == ["pubAck id1 0x87", "pubRec id2 0x87", "pubAck id3 0x97"])
        #expect(
            answers.map { $0.string(.reasonString) } == [
                "the topic belongs to the server", "the topic belongs to the server",
                "there is no room for more retained messages",
            ])
        let small = broker.client("b") { $0.add(.maximumPacketSize, uint32: 40) }
        small.publish("$SYS/x", "", .atLeastOnce, id: 1)
        let answer = try #require(small.received().first)
        #expect(answer.description == "pubAck id1 0x87" && answer.properties.isEmpty)
    }

    @Test
    func `without problem information nothing but PUBLISH, CONNACK and DISCONNECT explains itself`()
        throws
    {
        // [MQTT-3.1.2-29]
        var configuration = BrokerConfiguration()
        configuration.limits.retainedMessages = 0
        let broker = TestBroker(configuration)
        let client = broker.client("a") { $0.add(.requestProblemInformation, uint8: 0) }
        client.publish("$SYS/x", "", .atLeastOnce, id: 11)
        client.publish("$SYS/x", "", .exactlyOnce, id: 12)
        client.publish("t", "kept", .atLeastOnce, retain: true, id: 13)
        client.pubRel(14)
        client.pubRec(15)
        client.subscribe([("a/#/b", SubscriptionOptions(qos: .atMostOnce))])
        client.unsubscribe("a/#/b", "nothing")
        let answers = client.received()
        #expect(
            answers.map(\.description) == [
                "pubAck id11 0x87", "pubRec id12 0x87", "pubAck id13 0x97", "pubComp id14 0x92",
                "pubRel id15 0x92", "suback id1 [143]", "unsuback id2 [143, 17]",
            ])
        #expect(answers.allSatisfy { $0.properties.isEmpty })

        client.subscribed("t")
        broker.client("b").publish("t", "x") {
            $0.addUserProperty(name: "a", value: "b")
        }
        #expect(client.received().first?.userProperties == ["a=b"])
        client.connect("a")
        #expect(client.received().first?.string(.reasonString) != nil)
    }
}
