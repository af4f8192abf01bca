import MQTT
import Testing

@Suite("Client session: connecting")
struct ClientSessionConnectTests {
    @Test(
        "CONNECT carries everything that was configured",
        arguments: [
            ProtocolVersion.v3_1, .v3_1_1, .v5_0,
        ])
    func connect(version: ProtocolVersion) throws {
        let client = SessionUnderTest(version, clientID: "node-1") {
            $0.username = "fleet"
            $0.password = Array("secret".utf8)
            $0.keepAliveSeconds = 45
            $0.sessionExpirySeconds = 600
            $0.userProperties = [UserProperty("a", "b")]
            var will = OutgoingMessage(
                topic: "s/status", payload: Array("gone".utf8), qos: .atLeastOnce, retain: true)
            will.properties.contentType = Array("text/plain".utf8)
            $0.will = ClientWill(will, delaySeconds: 7)
        }
        client.open()
        let clean = version == .v5_0
        #expect(client.sent() == [.connect(clean: clean, clientID: "node-1", keepAlive: 45)])

        let bytes = client.lastConnect
        var decoder = PacketDecoder(receiver: .server)
        let decoded = try #require(try decoder.decode(bytes.span, from: 0))
        guard case .connect(let connect) = decoded.packet else { throw Unexpected() }
        #expect(connect.version == version)
        #expect(connect.username.map { Array(bytes[$0.range]) } == Array("fleet".utf8))
        #expect(connect.password.map { Array(bytes[$0.range]) } == Array("secret".utf8))
        let will = try #require(connect.will)
        #expect(will.qos == .atLeastOnce && will.retain)
        #expect(Array(bytes[will.topic.range]) == Array("s/status".utf8))
        #expect(Array(bytes[will.payload.range]) == Array("gone".utf8))
        if version == .v5_0 {
            #expect(connect.properties.uint32(.sessionExpiryInterval, in: bytes.span) == 600)
            #expect(connect.properties.uint16(.receiveMaximum, in: bytes.span) == 200)
            #expect(connect.properties.uint32(.maximumPacketSize, in: bytes.span) == 4 << 20)
            #expect(connect.properties.contains(.userProperty))
            #expect(will.properties.uint32(.willDelayInterval, in: bytes.span) == 7)
            #expect(will.properties.contains(.contentType))
        } else {
            #expect(connect.properties.isEmpty && will.properties.isEmpty)
        }
    }

    struct Unexpected: Error {}

    @Test("A clean start is asked for once when the session is to be kept, and always when not")
    func cleanStart() {
        let keeping = SessionUnderTest { $0.sessionExpirySeconds = 60 }
        let fresh = SessionUnderTest()
        let old = SessionUnderTest(.v3_1_1) { $0.sessionExpirySeconds = 60 }
        let continued = SessionUnderTest {
            $0.sessionExpirySeconds = 60
            $0.cleanStart = false
        }
        func cleanBits(_ client: SessionUnderTest) -> [Bool] {
            (0..<2).map { _ in
                client.open()
                let sent = client.sent()
                client.receiveConnAck()
                client.close()
                if case .connect(let clean, _, _) = sent.first { return clean }
                return false
            }
        }
        #expect(cleanBits(keeping) == [true, false])
        #expect(cleanBits(fresh) == [true, true])
        #expect(cleanBits(old) == [false, false])
        #expect(cleanBits(continued) == [false, false])
    }

    @Test("What the server can and demands is told and kept")
    func capabilities() throws {
        let client = SessionUnderTest(clientID: "")
        client.connect {
            $0.add(.receiveMaximum, uint16: 3)
            $0.add(.maximumQoS, uint8: 1)
            $0.add(.retainAvailable, uint8: 0)
            $0.add(.maximumPacketSize, uint32: 1_000)
            $0.add(.topicAliasMaximum, uint16: 9)
            $0.add(.wildcardSubscriptionAvailable, uint8: 0)
            $0.add(.subscriptionIdentifierAvailable, uint8: 0)
            $0.add(.sharedSubscriptionAvailable, uint8: 0)
            $0.add(.serverKeepAlive, uint16: 5)
            $0.add(.sessionExpiryInterval, uint32: 77)
            $0.add(.assignedClientIdentifier, string: "given")
            $0.add(.reasonString, string: "welcome")
        }
        let result = try #require(client.events().connections.first)
        #expect(result.server.receiveMaximum == 3)
        #expect(result.server.maximumQoS == .atLeastOnce)
        #expect(!result.server.retainAvailable)
        #expect(result.server.maximumPacketSize == 1_000)
        #expect(result.server.topicAliasMaximum == 9)
        #expect(!result.server.wildcardSubscriptionAvailable)
        #expect(!result.server.subscriptionIdentifiersAvailable)
        #expect(!result.server.sharedSubscriptionAvailable)
        #expect(result.keepAliveSeconds == 5)
        #expect(result.sessionExpirySeconds == 77)
        #expect(result.clientID == Array("given".utf8))
        #expect(result.reasonString == "welcome")
        #expect(client.nextDeadline == client.now + .seconds(5))

        // The assigned identifier is kept for the next connection; the limits are not.
        client.close()
        client.open()
        #expect(client.sent() == [.connect(clean: true, clientID: "given", keepAlive: 30)])
        client.receiveConnAck()
        #expect(client.server == ServerCapabilities())
    }

    @Test("A refusal is told with its reason, also by the return codes of 3.1.1")
    func refusal() {
        let client = SessionUnderTest()
        client.open()
        client.receiveConnAck(.badUserNameOrPassword) {
            $0.add(.reasonString, string: "no")
            $0.add(.serverReference, string: "other")
        }
        #expect(
            client.events().end
                == .refused(
                    .badUserNameOrPassword, reasonString: "no", serverReference: "other",
                    fallback: nil))
        let old = SessionUnderTest(.v3_1_1)
        old.open()
        old.receive([0x20, 2, 0, 5])
        #expect(
            old.events().end
                == .refused(
                    .notAuthorized, reasonString: nil, serverReference: nil, fallback: nil))
    }

    @Test("A server of 3.1.1 refuses 5.0 in its own form; automatic goes on with 3.1.1")
    func fallback() {
        for version in [ClientProtocol.exactly(.v5_0), .automatic] {
            let client = SessionUnderTest { $0.version = version }
            client.open()
            client.receive([0x20, 2, 0, 1])
            let next: ProtocolVersion? = version == .automatic ? .v3_1_1 : nil
            #expect(
                client.events().end
                    == .refused(
                        .unsupportedProtocolVersion, reasonString: nil, serverReference: nil,
                        fallback: next))
            client.close()
            #expect(client.spokenVersion == next ?? .v5_0)
        }
        // A server of 5.0 that takes only others says so in its form.
        let client = SessionUnderTest { $0.version = .automatic }
        client.open()
        client.receiveConnAck(.unsupportedProtocolVersion)
        client.close()
        client.connect()
        #expect(client.isConnected && client.spokenVersion == .v3_1_1)
    }

    @Test(
        "A first packet other than CONNACK, and a session after a clean start, end the connection")
    func protocolErrors() {
        let client = SessionUnderTest()
        client.open()
        client.receive(.pingResp)
        guard case .protocolError(.protocolError, "MQTT-3.2.0-1", _) = client.events().end else {
            Issue.record("PINGRESP instead of CONNACK is an error")
            return
        }
        client.close()
        client.open()
        client.receiveConnAck(sessionPresent: true)
        guard case .protocolError(.protocolError, "MQTT-3.2.2-2", _) = client.events().end else {
            Issue.record("a session after a clean start is an error")
            return
        }
    }

    @Test("A server that never answers CONNECT, or a PINGREQ, is given up in bounded time")
    func blackHole() {
        let client = SessionUnderTest {
            $0.connectTimeout = .seconds(20)
            $0.keepAliveSeconds = 30
            $0.pingResponseTimeout = .seconds(15)
        }
        client.open()
        client.pass(.seconds(19))
        #expect(client.events().end == nil)
        client.pass(.seconds(1))
        #expect(client.events().end == .connectTimeout)
        #expect(client.outputCount == 0)
        client.close()

        client.connect()
        client.pass(.seconds(30))
        #expect(client.sent() == [.pingReq])
        client.receive(.pingResp)
        _ = client.events()
        // From now on nothing comes, though the client publishes every second.
        let cut = client.now
        var end: SessionEnd?
        while end == nil && client.now < cut + .seconds(100) {
            client.publish("a", qos: .atMostOnce)
            client.pass(.seconds(1))
            _ = client.sent()
            end = client.events().end
        }
        #expect(end == .pingTimeout)
        #expect(client.now - cut <= .seconds(45))
    }

    @Test("DISCONNECT of the server and of the application end with their reasons")
    func disconnects() {
        let client = SessionUnderTest()
        client.connect()
        client.receive(.disconnect(Disconnect(reasonCode: .sessionTakenOver)))
        #expect(
            client.events().end
                == .disconnectedByServer(
                    .sessionTakenOver, reasonString: nil, serverReference: nil))
        client.close()
        #expect(client.events().end == nil, "the end is told once")

        client.connect()
        client.session.disconnect(reasonCode: .disconnectWithWillMessage)
        #expect(client.sent() == [.disconnect(.disconnectWithWillMessage)])
        #expect(client.events().end == .requested)
    }

    @Test("Malformed bytes are answered with DISCONNECT and the reason in 5.0, by closing in 3.1.1")
    func malformed() {
        for version in [ProtocolVersion.v5_0, .v3_1_1] {
            let client = SessionUnderTest(version)
            client.connect()
            client.receive([0x36, 4, 0, 1, 65, 0])  // QoS 3
            #expect(client.sent() == (version == .v5_0 ? [.disconnect(.malformedPacket)] : []))
            guard case .protocolError(.malformedPacket, _, _) = client.events().end else {
                Issue.record("QoS 3 is malformed")
                return
            }
        }
    }

    @Test("A configuration that cannot be encoded is named before anything is sent")
    func configurationProblems() {
        func problem(_ configure: (inout ClientSessionConfiguration) -> Void) -> String? {
            var configuration = ClientSessionConfiguration(clientID: "c")
            configure(&configuration)
            return configuration.problem
        }
        #expect(problem { _ in } == nil)
        #expect(problem { $0.clientID = "a\0b" } != nil)
        #expect(problem { $0.username = String(repeating: "u", count: 65_536) } != nil)
        #expect(problem { $0.will = ClientWill(OutgoingMessage(topic: "a/#", payload: [])) } != nil)
        #expect(
            problem {
                $0.version = .exactly(.v3_1_1)
                $0.password = [1]
            } != nil)
        #expect(
            problem {
                $0.version = .exactly(.v3_1_1)
                $0.clientID = ""
                $0.sessionExpirySeconds = 1
            } != nil)
    }

    @Test("After DISCONNECT nothing is sent")
    func nothingAfterDisconnect() {
        // [MQTT-3.14.4-1]; [MQTT-3.14.4-2] of 3.1.1
        for version in [ProtocolVersion.v3_1_1, .v5_0] {
            let client = SessionUnderTest(version) { $0.sessionExpirySeconds = 60 }
            client.connect()
            client.receivePublish("a", qos: .atLeastOnce, id: 1)
            let delivery = client.events().messages.first?.delivery
            client.session.disconnect()
            client.publish("t")
            client.acknowledge(delivery)
            client.session.subscribe([SubscriptionRequestItem("f")], token: 1, at: client.now)
            client.receive([0xD0, 0])
            client.pass(.seconds(1_000))
            client.session.disconnect()
            #expect(client.sent() == [.disconnect(.normalDisconnection)])
            #expect(!client.isConnected)
        }
    }

    @Test("An empty client identifier always asks for a clean session")
    func emptyIdentifier() {
        // [MQTT-3.1.3-7] of 3.1.1; what cannot be is a problem of the configuration
        let client = SessionUnderTest(.v3_1_1, clientID: "") { $0.cleanStart = false }
        client.open()
        #expect(client.sent() == [.connect(clean: true, clientID: "", keepAlive: 30)])
    }
}
