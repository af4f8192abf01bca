import MQTT
import Testing

@testable import BrokerCore

@Suite struct ConnectTests {
    @Test(arguments: [ProtocolVersion.v3_1, .v3_1_1, .v5_0])
    func `every version connects and pings`(version: ProtocolVersion) throws {
        let client = try #require(TestBroker().open(version))
        client.connect("a")
        client.send(.pingReq)
        #expect(client.conversation() == ["connack 0x00", "pingresp"])
    }

    @Test func `CONNACK says what the server takes`() throws {
        let client = try #require(TestBroker().open())
        let answer = try #require(client.connect("a").received().first)
        #expect(answer.uint16(.topicAliasMaximum) == 32)
        #expect(answer.uint16(.receiveMaximum) == 1_000)
        #expect(answer.uint32(.maximumPacketSize) == 1_048_576)
    }

    @Test func `a first packet that is not CONNECT closes the connection unanswered`() throws {
        // [MQTT-3.1.0-1]
        let broker = TestBroker()
        let client = try #require(broker.open())
        client.publish("t", "x")
        #expect(client.isClosed)
        #expect(client.inbox.isEmpty)
        #expect(broker.refusals.count == 1)
    }

    @Test(arguments: [ProtocolVersion.v3_1, .v3_1_1, .v5_0])
    func `a second CONNECT is a protocol error`(version: ProtocolVersion) {
        // [MQTT-3.1.0-2]
        let client = TestBroker().client("a", version)
        client.connect("a")
        #expect(client.conversation() == (version == .v5_0 ? ["disconnect 0x82"] : []))
        #expect(client.isClosed)
    }

    @Test func `a protocol version that is not known gets return code 1`() throws {
        // [MQTT-3.1.2-2] of 3.1.1
        let client = try #require(TestBroker().open(.v3_1_1))
        client.send(bytes: [0x10, 12, 0, 4, 77, 81, 84, 84, 3, 2, 0, 0, 0, 0])
        #expect(client.conversation() == ["connack 0x01"])
        #expect(client.isClosed)
    }

    @Test func `a CONNECT of another protocol ends the connection unanswered`() throws {
        // [MQTT-3.1.2-1]
        for level: UInt8 in [3, 4, 5, 6] {
            let broker = TestBroker()
            let client = try #require(broker.open())
            client.send(bytes: [0x10, 13, 0, 4, 77, 81, 84, 85, level, 2, 0, 0, 0, 1, 97])
            #expect(client.isClosed && client.inbox.isEmpty)
            #expect(broker.refusals.map(\.reasonCode) == [.unsupportedProtocolVersion])
        }
    }

    @Test func `a CONNECT that ends before its client identifier is not answered`() throws {
        // [MQTT-3.1.3-3]
        for level: UInt8 in [4, 5] {
            let broker = TestBroker()
            let client = try #require(broker.open())
            // The identifier says four bytes, and the packet ends after three of them.
            client.send(
                bytes: [0x10, 16, 0, 4, 77, 81, 84, 84, level, 2, 0, 60]
                    + (level == 5 ? [0, 0, 4, 97, 97, 97] : [0, 5, 97, 97, 97, 97]))
            #expect(client.isClosed && client.inbox.isEmpty)
            #expect(broker.refusals.map(\.reasonCode) == [.malformedPacket])
        }
    }

    @Test func `a later version is answered as 5 would answer`() throws {
        let client = try #require(TestBroker().open(.v5_0))
        client.send(bytes: [0x10, 13, 0, 4, 77, 81, 84, 84, 6, 2, 0, 0, 0, 0, 0])
        #expect(client.conversation() == ["connack 0x84"])
    }

    @Test func `a malformed 5 CONNECT is told so`() throws {
        let client = try #require(TestBroker().open(.v5_0))
        // The reserved connect flag is set. [MQTT-3.1.2-3]
        client.send(bytes: [0x10, 14, 0, 4, 77, 81, 84, 84, 5, 3, 0, 0, 0, 0, 1, 97])
        #expect(client.conversation() == ["connack 0x81"])
        #expect(client.isClosed)
    }

    @Test func `a malformed CONNECT before 5 ends the connection unanswered`() throws {
        // [MQTT-3.1.4-1], [MQTT-3.2.2-6] of 3.1.1
        for bytes: [UInt8] in [
            [0x10, 13, 0, 4, 77, 81, 84, 84, 4, 3, 0, 0, 0, 1, 97],  // the reserved flag
            [0x10, 12, 0, 4, 77, 81, 84, 84, 4, 2, 0, 0, 0, 1],  // no identifier
            [0x10, 13, 0, 4, 77, 81, 84, 84, 4, 2, 0, 0, 0, 1, 0xFF],  // no UTF-8
        ] {
            let broker = TestBroker()
            let client = try #require(broker.open(.v3_1_1))
            client.send(bytes: bytes)
            #expect(client.isClosed && client.inbox.isEmpty)
            #expect(broker.refusals.count == 1)
            #expect(broker.shard.sessionCount == 0)
        }
    }

    @Test(arguments: [ProtocolVersion.v3_1, .v3_1_1, .v5_0])
    func `client identifiers of 1 to 23 letters and digits are taken`(
        version: ProtocolVersion
    ) throws {
        // [MQTT-3.1.3-5]
        let letters = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
        let broker = TestBroker()
        for start in letters.indices {
            let name = String(letters[start...].prefix(23))
            let client = try #require(broker.open(version))
            client.connect(name)
            #expect(client.conversation() == ["connack 0x00"], "\(name)")
        }
        for count in 1...23 {
            let client = try #require(broker.open(version))
            client.connect(String(repeating: "x", count: count))
            #expect(client.conversation() == ["connack 0x00"])
        }
    }

    @Test func `an empty client identifier without a clean session is refused before 5`() throws {
        // [MQTT-3.1.3-8] of 3.1.1
        let client = try #require(TestBroker().open(.v3_1_1))
        client.connect("", cleanStart: false)
        #expect(client.conversation() == ["connack 0x02"])
        #expect(client.isClosed)
    }

    @Test func `3_1 takes client identifiers of any length but none`() throws {
        for (name, answer) in [
            ("", "connack 0x02"), (String(repeating: "x", count: 23), "connack 0x00"),
            (String(repeating: "x", count: 24), "connack 0x00"),
            (String(repeating: "x", count: 65_535), "connack 0x00"),
        ] {
            let client = try #require(TestBroker().open(.v3_1))
            client.connect(name)
            #expect(client.conversation() == [answer])
        }
    }

    @Test func `an empty client identifier is assigned and told to 5`() throws {
        // [MQTT-3.1.3-6], [MQTT-3.1.3-7], [MQTT-3.2.2-16]
        let broker = TestBroker()
        let first = try #require(broker.open()?.connect("").received().first)
        let second = try #require(broker.open()?.connect("").received().first)
        let names = [first, second].compactMap { $0.string(.assignedClientIdentifier) }
        #expect(Set(names).count == 2)
        // Before 5 they are unique too: none takes another over. [MQTT-3.1.3-6] of 3.1.1
        let old = try (0..<2).map { _ in try #require(broker.open(.v3_1_1)).connect("") }
        #expect(old.map { $0.conversation() } == [["connack 0x00"], ["connack 0x00"]])
        #expect(!old.contains { $0.isClosed })
        #expect(broker.shard.sessionCount == 4)
    }

    @Test func `an authentication method is refused as bad`() throws {
        let client = try #require(TestBroker().open())
        client.connect("a") { $0.add(.authenticationMethod, string: "SCRAM-SHA-256") }
        #expect(client.conversation() == ["connack 0x8c"])
        #expect(client.isClosed)
    }

    @Test func `AUTH without a method is a protocol error`() throws {
        let client = TestBroker().client("a")
        client.send(.auth(Auth(reasonCode: .reAuthenticate)))
        #expect(client.conversation() == ["disconnect 0x82"])
    }

    @Test(arguments: [ProtocolVersion.v3_1, .v3_1_1, .v5_0])
    func `what follows a refused CONNECT is not processed`(version: ProtocolVersion) throws {
        // [MQTT-3.1.4-5] of 3.1.1, [MQTT-3.1.4-6]
        let broker = TestBroker()
        let listener = broker.client("l").subscribed("t")
        let rules = AccessRules(allowsAnonymous: false, checksPasswords: true)
        let other = try #require(broker.open(version))
        other.connect("o")
        let client = try #require(broker.open(version, rules: rules))
        // One write: CONNECT without a user name, PUBLISH, PINGREQ.
        var arena = Array("at".utf8)
        let properties = PropertyWriter().append(to: &arena)
        let connect = Connect(
            version: version, cleanStart: true, keepAlive: 0, clientID: ByteRange(0..<1),
            properties: properties)
        let publish = Publish(
            qos: .atMostOnce, topic: ByteRange(1..<2), packetID: nil, payload: .empty)
        client.send(
            bytes: TestClient.encode(.connect(connect), arena, version)
                + TestClient.encode(.publish(publish), arena, version) + [0xC0, 0])
        #expect(client.conversation() == ["connack \(version == .v5_0 ? "0x87" : "0x05")"])
        // What comes until the transport is closed is not taken either.
        broker.shard.received([0xC0, 0].span, on: client.id, at: broker.now)
        broker.settle()
        #expect(client.inbox.isEmpty && client.isClosed)
        #expect(listener.conversation().isEmpty)
        // The same bytes behind a CONNECT that is taken are processed.
        other.send(bytes: TestClient.encode(.publish(publish), arena, version))
        #expect(listener.conversation() == ["publish t= q0"])
    }

    @Test func `before a CONNACK that lets in, nothing else is said`() throws {
        // [MQTT-3.2.0-1], [MQTT-3.14.0-1]
        let rules = AccessRules(allowsAnonymous: false, checksPasswords: true)
        func each(_ end: (TestBroker, TestClient) -> Void) throws -> [String] {
            let broker = TestBroker()
            let client = try #require(broker.open(.v5_0, rules: rules))
            client.connect("a", user: "u", password: "p")
            client.send(.pingReq)
            end(broker, client)
            #expect(client.isClosed)
            return client.conversation()
        }
        #expect(try each { broker, _ in broker.sleep(.seconds(10)) } == [])
        let shutDown = try each { broker, _ in
            broker.shard.shutDown(at: broker.now)
            broker.settle()
        }
        #expect(shutDown == [])
        let malformed = try each { broker, client in
            client.send(bytes: [0x36, 0])  // QoS 3
            broker.shard.authenticated(client.id, result: .wrong, at: broker.now)
            broker.settle()
        }
        #expect(malformed == ["connack 0x86"])
        let late = try each { broker, client in
            client.send(bytes: [0x36, 0])
            broker.shard.authenticated(client.id, result: .accepted, at: broker.now)
            broker.settle()
        }
        #expect(late == ["connack 0x00", "pingresp", "disconnect 0x81"])
    }

    @Test func `no CONNECT in time closes the connection`() throws {
        let broker = TestBroker()
        let client = try #require(broker.open())
        broker.sleep(.seconds(9))
        // One byte a second does not help.
        client.send(bytes: [0x10])
        #expect(!client.isClosed)
        broker.sleep(.seconds(1))
        #expect(client.isClosed)
        #expect(broker.refusals == [.noConnectInTime])
    }

    @Test func `silence of one and a half keep-alives closes the connection`() throws {
        // [MQTT-3.1.2-22]
        let broker = TestBroker()
        let client = try #require(broker.open())
        client.connect("a", keepAlive: 10)
        broker.sleep(.seconds(14))
        client.send(.pingReq)
        broker.sleep(.seconds(14))
        #expect(!client.isClosed)
        broker.sleep(.seconds(1))
        #expect(client.isClosed)
        #expect(client.conversation() == ["connack 0x00", "pingresp", "disconnect 0x8d"])
        #expect(broker.causes("a") == [.keepAliveTimeout])
    }

    @Test func `a part of a packet a second is silence`() throws {
        let broker = TestBroker()
        let client = try #require(broker.open())
        client.connect("a", keepAlive: 2)
        for byte: UInt8 in [0x30, 0x05, 0x00] {
            broker.sleep(.seconds(1))
            client.send(bytes: [byte])
        }
        #expect(client.isClosed)
    }

    @Test func `a keep-alive of 0 turns the time-out off`() throws {
        // [MQTT-3.1.2-23]
        let broker = TestBroker()
        let client = broker.client("a")
        broker.sleep(.seconds(1_000_000))
        #expect(!client.isClosed)
    }

    @Test func `the server lowers the keep-alive where configured`() throws {
        // [MQTT-3.2.2-21]
        var configuration = BrokerConfiguration()
        configuration.maximumKeepAliveSeconds = 60
        let broker = TestBroker(configuration)
        let client = try #require(broker.open())
        let answer = try #require(client.connect("a", keepAlive: 0).received().first)
        #expect(answer.uint16(.serverKeepAlive) == 60)
        broker.sleep(.seconds(90))
        #expect(client.isClosed)
    }

    @Test func `connections have a limit`() throws {
        var configuration = BrokerConfiguration()
        configuration.limits.connections = 2
        let broker = TestBroker(configuration)
        let first = try #require(broker.open())
        _ = try #require(broker.open())
        #expect(broker.open() == nil)
        first.drop()
        #expect(broker.open() != nil)
    }

    @Test func `sessions have a limit`() throws {
        var configuration = BrokerConfiguration()
        configuration.limits.sessions = 1
        let broker = TestBroker(configuration)
        _ = broker.client("a")
        let other = try #require(broker.open())
        other.connect("b")
        #expect(other.conversation() == ["connack 0x97"])
        // The one that is known may come again.
        _ = broker.client("a")
    }

    @Test func `packets too large are refused from their fixed header alone`() throws {
        // 3.2.2.3.6: Maximum Packet Size
        var configuration = BrokerConfiguration()
        configuration.limits.packetBytes = 100
        let client = TestBroker(configuration).client("a")
        client.send(bytes: [0x30, 0x80, 0x01])
        #expect(client.conversation() == ["disconnect 0x95"])
        #expect(client.isClosed)
    }

    @Test func `packets in single bytes are understood`() throws {
        let broker = TestBroker()
        let listener = broker.client("l").subscribed("t")
        let client = try #require(broker.open())
        let connect: [UInt8] = [0x10, 14, 0, 4, 77, 81, 84, 84, 5, 2, 0, 0, 0, 0, 1, 97]
        let publish: [UInt8] = [0x30, 5, 0, 1, 116, 0, 120]
        for byte in connect + publish + publish { client.send(bytes: [byte]) }
        #expect(client.conversation() == ["connack 0x00"])
        #expect(listener.conversation() == ["publish t=x q0", "publish t=x q0"])
    }

    @Test func `malformed bytes after CONNECT are answered in 5 and end in silence before`() throws
    {
        // [MQTT-4.13.1-1]
        let new = TestBroker().client("a")
        new.send(bytes: [0x36, 5, 0, 1, 116, 0, 0])  // QoS 3
        #expect(new.conversation() == ["disconnect 0x81"])
        let old = TestBroker().client("a", .v3_1_1)
        old.send(bytes: [0x36, 5, 0, 1, 116, 0, 0])
        #expect(old.conversation().isEmpty)
        #expect(old.isClosed)
    }

    @Test func `after its DISCONNECT the server sends nothing, and takes nothing`() {
        // [MQTT-3.14.4-1], [MQTT-3.14.4-2]
        let broker = TestBroker()
        let client = broker.client("a", cleanStart: false, expiry: 100)
        client.subscribed("#", .atLeastOnce)
        let other = broker.client("b")
        // In one turn: a QoS of 3, what came behind it, and a message for the same client.
        broker.shard.received([0x36, 0, 0xC0, 0].span, on: client.id, at: broker.now)
        broker.shard.received([0xC0, 0].span, on: client.id, at: broker.now)
        other.publish("t", "x", .atLeastOnce)
        #expect(client.isClosed)
        #expect(client.conversation() == ["disconnect 0x81"])
        let again = broker.client("a", cleanStart: false)
        #expect(again.conversation() == ["publish t=x q1 id1"])
    }

    @Test func `a DISCONNECT says in words why`() throws {
        // Some clients (paho-mqtt for Python) read its code only where more than two bytes follow.
        let broker = TestBroker()
        let first = broker.client("a")
        let second = broker.client("a")
        let silent = try #require(broker.open())
        silent.connect("s", keepAlive: 1)
        _ = silent.received()
        broker.sleep(.seconds(2))
        broker.shard.shutDown(at: broker.now)
        broker.settle()
        for (client, reason) in [
            (first, ReasonCode.sessionTakenOver), (silent, .keepAliveTimeout),
            (second, .serverShuttingDown),
        ] {
            let packet = try #require(client.received().first)
            #expect(packet.disconnect?.reasonCode == reason)
            #expect(packet.string(.reasonString)?.isEmpty == false)
        }
    }

    @Test func `packets that only a server sends are a protocol error`() throws {
        for bytes: [UInt8] in [[0xD0, 0], [0x20, 3, 0, 0, 0], [0x90, 4, 0, 1, 0, 0]] {
            let client = TestBroker().client("a")
            client.send(bytes: bytes)
            #expect(client.isClosed)
        }
    }

    @Test func `shutting down tells 5 and publishes no will`() throws {
        let broker = TestBroker()
        let new = broker.client("new", will: TestWill(topic: "w", payload: "gone"))
        let old = broker.client("old", .v3_1_1).subscribed("w")
        broker.shard.shutDown(at: broker.now)
        broker.settle()
        #expect(new.conversation() == ["disconnect 0x8b"])
        #expect(old.conversation().isEmpty)
        #expect(new.isClosed && old.isClosed)
        #expect(broker.causes("new") == [.shuttingDown])
    }
}
