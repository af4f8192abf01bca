import MQTT
import Testing

@Suite("Client session: subscriptions")
struct ClientSessionSubscribeTests {
    private func subscribe(_ client: SessionUnderTest, _ filters: [String], token: UInt64 = 1) {
        client.session.subscribe(
            filters.map { SubscriptionRequestItem($0) }, token: token, at: client.now)
    }

    @Test("What was asked for offline is sent at the connection, and the answer told")
    func offline() {
        let client = SessionUnderTest { $0.sessionExpirySeconds = 60 }
        subscribe(client, ["a/+", "b"], token: 4)
        client.connect()
        #expect(client.sent() == [.subscribe(id: 1, filters: ["a/+", "b"])])
        client.receiveSubAck(1, [.grantedQoS1, .notAuthorized])
        #expect(client.events().grants == [[.grantedQoS1, .notAuthorized]])
        #expect(client.isDrained)
    }

    @Test("Renewed when the server lost the session, not when it has it, and when not answered")
    func renewal() {
        let client = SessionUnderTest { $0.sessionExpirySeconds = 60 }
        subscribe(client, ["a"])
        client.connect()
        _ = client.sent()
        client.close()
        client.connect(sessionPresent: true)
        #expect(client.sent() == [.subscribe(id: 2, filters: ["a"])], "no SUBACK came")
        client.receiveSubAck(2, [.grantedQoS1])
        client.close()
        client.connect(sessionPresent: true)
        #expect(client.sent().isEmpty)
        client.close()
        client.connect(sessionPresent: false)
        #expect(client.sent() == [.subscribe(id: 3, filters: ["a"])])
    }

    @Test("A filter asked for again replaces the earlier request; an ended one is not renewed")
    func replaced() {
        let client = SessionUnderTest { $0.sessionExpirySeconds = 60 }
        client.connect()
        subscribe(client, ["a", "b"])
        subscribe(client, ["b", "c"])
        client.session.unsubscribe(["c"], token: 9, at: client.now)
        #expect(
            client.sent() == [
                .subscribe(id: 1, filters: ["a", "b"]), .subscribe(id: 2, filters: ["b", "c"]),
                .unsubscribe(id: 3, filters: ["c"]),
            ])
        client.close()
        client.connect(sessionPresent: false)
        #expect(
            client.sent() == [
                .subscribe(id: 4, filters: ["a"]), .subscribe(id: 5, filters: ["b"]),
            ])
        let ended = client.events().contains {
            if case .unsubscribed(9, [.noSubscriptionExisted]) = $0 { true } else { false }
        }
        #expect(ended, "a server without the session has no subscription either")
    }

    @Test("An UNSUBSCRIBE that was not answered is sent again to a server that has the session")
    func unsubscribe() {
        let client = SessionUnderTest { $0.sessionExpirySeconds = 60 }
        client.connect()
        client.session.unsubscribe(["a"], token: 9, at: client.now)
        _ = client.sent()
        client.close()
        client.connect(sessionPresent: true)
        #expect(client.sent() == [.unsubscribe(id: 2, filters: ["a"])])
        client.receive(
            .unsubAck(UnsubAck(packetID: 2, reasonCodes: ByteRange(0..<1))), from: [0])
        #expect(client.isDrained)
    }

    @Test("Invalid filters, and kinds that the server lacks, are answered without being sent")
    func refusedHere() {
        let client = SessionUnderTest()
        client.connect {
            $0.add(.wildcardSubscriptionAvailable, uint8: 0)
            $0.add(.sharedSubscriptionAvailable, uint8: 0)
        }
        subscribe(client, ["a/#/b", "plain", "a/#", "$share/g/a"])
        #expect(client.sent() == [.subscribe(id: 1, filters: ["plain"])])
        client.receiveSubAck(1, [.grantedQoS0])
        #expect(
            client.events().grants == [
                [
                    .topicFilterInvalid, .grantedQoS0, .wildcardSubscriptionsNotSupported,
                    .sharedSubscriptionsNotSupported,
                ]
            ])
        subscribe(client, ["#"])
        #expect(client.sent().isEmpty)
        #expect(client.events().grants == [[.wildcardSubscriptionsNotSupported]])
    }

    @Test("A SUBACK with a wrong number of codes, or for nothing, is a protocol error")
    func wrongAnswers() {
        for (id, codes) in [(UInt16(1), [ReasonCode.success, .success]), (7, [.success])] {
            let client = SessionUnderTest()
            client.connect()
            subscribe(client, ["a"])
            _ = client.sent()
            client.receiveSubAck(id, codes)
            #expect(client.sent() == [.disconnect(.protocolError)])
        }
    }
}
