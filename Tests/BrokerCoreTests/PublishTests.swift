import MQTT
import Testing

@testable import BrokerCore

@Suite struct PublishTests {
    @Test(arguments: [ProtocolVersion.v3_1, .v3_1_1, .v5_0])
    func `each QoS is answered as it asks`(version: ProtocolVersion) {
        // [MQTT-4.3.1-1], [MQTT-4.3.2-4], [MQTT-4.3.3-8]
        let broker = TestBroker()
        let client = broker.client("a", version)
        _ = broker.client("b").subscribed("t", .exactlyOnce)
        client.publish("t", "0")
        #expect(client.conversation().isEmpty)
        client.publish("t", "1", .atLeastOnce)
        #expect(client.conversation() == ["pubAck id1"])
        client.publish("t", "2", .exactlyOnce)
        #expect(client.conversation() == ["pubRec id2"])
        client.pubRel(2)
        #expect(client.conversation() == ["pubComp id2"])
    }

    @Test(arguments: [QoS.atMostOnce, .atLeastOnce, .exactlyOnce])
    func `a subscriber gets the lower of both QoS`(granted: QoS) {
        // [MQTT-3.8.4-8]
        let broker = TestBroker()
        let listener = broker.client("l", .v3_1_1).subscribed("t", granted)
        let client = broker.client("c")
        for qos in QoS.allCases { client.publish("t", "\(qos.rawValue)", qos) }
        let got = listener.received().compactMap { $0.publish?.qos }
        #expect(got == QoS.allCases.map { min($0, granted) })
    }

    @Test func `5 hears that nobody listens`() {
        let client = TestBroker().client("a")
        client.publish("t", "1", .atLeastOnce)
        client.publish("t", "2", .exactlyOnce)
        #expect(client.conversation() == ["pubAck id1 0x10", "pubRec id2 0x10"])
    }

    @Test func `QoS 2 that comes again is answered and not routed again`() {
        // [MQTT-4.3.3-10], [MQTT-4.3.3-12]
        let broker = TestBroker()
        let listener = broker.client("l").subscribed("t")
        let client = broker.client("c")
        client.publish("t", "x", .exactlyOnce, id: 7)
        client.publish("t", "x", .exactlyOnce, duplicate: true, id: 7)
        #expect(listener.conversation() == ["publish t=x q0"])
        #expect(client.conversation() == ["pubRec id7", "pubRec id7"])
        client.pubRel(7)
        client.publish("t", "y", .exactlyOnce, id: 7)
        #expect(client.conversation() == ["pubComp id7", "pubRec id7"])
        #expect(listener.conversation() == ["publish t=y q0"])
        #expect(broker.shard.counters.duplicatesReceived == 1)
    }

    @Test func `QoS 2 is not routed again after a reconnect`() {
        // [MQTT-4.3.3-13]
        let broker = TestBroker()
        let listener = broker.client("l").subscribed("t")
        let first = broker.client("c", cleanStart: false, expiry: 100)
        first.publish("t", "x", .exactlyOnce, id: 7)
        first.drop()
        let second = broker.client("c", cleanStart: false, expiry: 100)
        second.publish("t", "x", .exactlyOnce, duplicate: true, id: 7)
        second.pubRel(7)
        #expect(second.conversation() == ["pubRec id7", "pubComp id7"])
        #expect(listener.conversation() == ["publish t=x q0"])
    }

    @Test func `PUBREL for an unknown identifier is answered so`() {
        let new = TestBroker().client("a")
        new.pubRel(9)
        #expect(new.conversation() == ["pubComp id9 0x92"])
        let old = TestBroker().client("a", .v3_1_1)
        old.pubRel(9)
        #expect(old.conversation() == ["pubComp id9"])
    }

    @Test func `PUBREC for an unknown identifier is answered so`() {
        let client = TestBroker().client("a")
        client.pubRec(9)
        #expect(client.conversation() == ["pubRel id9 0x92"])
    }

    @Test func `an acknowledgement that does not fit is a protocol error`() {
        let broker = TestBroker()
        let listener = broker.client("l").subscribed("t", .exactlyOnce)
        broker.client("c").publish("t", "x", .exactlyOnce)
        _ = listener.received()
        listener.pubAck(1)
        #expect(listener.conversation() == ["disconnect 0x82"])
    }

    @Test func `QoS 2 to a subscriber goes through its four packets`() {
        // [MQTT-4.3.3-2], [MQTT-4.3.3-4]
        let broker = TestBroker()
        let listener = broker.client("l").subscribed("t", .exactlyOnce)
        broker.client("c").publish("t", "x", .exactlyOnce)
        #expect(listener.conversation() == ["publish t=x q2 id1"])
        listener.pubRec(1)
        listener.pubRec(1)
        #expect(listener.conversation() == ["pubRel id1", "pubRel id1"])
        listener.pubComp(1)
        #expect(listener.conversation().isEmpty)
    }

    @Test func `PUBREC with an error ends the message`() {
        // [MQTT-4.3.3-3]
        let broker = TestBroker()
        let listener = broker.client("l").subscribed("t", .exactlyOnce)
        broker.client("c").publish("t", "x", .exactlyOnce)
        _ = listener.received()
        listener.pubRec(1, .quotaExceeded)
        #expect(listener.conversation().isEmpty)
        listener.pubRec(1)
        #expect(listener.conversation() == ["pubRel id1 0x92"])
    }

    @Test func `the client's receive maximum holds messages back`() {
        // [MQTT-3.3.4-9]
        let broker = TestBroker()
        let listener = broker.client("l") { $0.add(.receiveMaximum, uint16: 2) }
        listener.subscribed("t", .exactlyOnce)
        let client = broker.client("c")
        for number in 1...4 { client.publish("t", "\(number)", .atLeastOnce) }
        client.publish("t", "free")
        #expect(
            listener.conversation() == [
                "publish t=1 q1 id1", "publish t=2 q1 id2", "publish t=free q0",
            ])
        listener.pubAck(2)
        #expect(listener.conversation() == ["publish t=3 q1 id3"])
        listener.pubAck(1)
        listener.pubAck(3)
        #expect(listener.conversation() == ["publish t=4 q1 id4"])
    }

    @Test func `more QoS 2 than the server's receive maximum ends the connection`() {
        // [MQTT-3.3.4-8]
        var configuration = BrokerConfiguration()
        configuration.limits.receiveMaximum = 2
        let client = TestBroker(configuration).client("a")
        for _ in 1...3 { client.publish("t", "x", .exactlyOnce) }
        #expect(
            client.conversation() == ["pubRec id1 0x10", "pubRec id2 0x10", "disconnect 0x93"])
    }

    @Test func `a message too large for a client is dropped for it alone`() {
        // [MQTT-3.1.2-24], [MQTT-3.1.2-25]
        let broker = TestBroker()
        let small = broker.client("s") { $0.add(.maximumPacketSize, uint32: 40) }
        small.subscribed("t", .atLeastOnce)
        let other = broker.client("o").subscribed("t", .atLeastOnce)
        let client = broker.client("c")
        client.publish("t", String(repeating: "x", count: 40), .atLeastOnce)
        client.publish("t", String(repeating: "y", count: 40))
        client.publish("t", "z", .atLeastOnce)
        #expect(small.conversation() == ["publish t=z q1 id1"])
        #expect(other.conversation().count == 3)
        #expect(broker.shard.counters.droppedTooLarge == 2)
    }

    @Test func `properties are passed on as they are and in order`() throws {
        // [MQTT-3.3.2-4], [MQTT-3.3.2-15] to [MQTT-3.3.2-18], [MQTT-3.3.2-20]
        let broker = TestBroker()
        let listener = broker.client("l").subscribed("#", .atLeastOnce)
        let old = broker.client("o", .v3_1_1).subscribed("#")
        let client = broker.client("c")
        for qos in [QoS.atMostOnce, .atLeastOnce] {
            client.publish("t", "x", qos) { writer in
                writer.add(.payloadFormatIndicator, uint8: 1)
                writer.addUserProperty(name: "b", value: "1")
                writer.add(.contentType, string: "text/plain")
                writer.add(.responseTopic, string: "r")
                writer.add(.correlationData, bytes: [1, 2].span)
                writer.addUserProperty(name: "a", value: "2")
                writer.addUserProperty(name: "b", value: "3")
            }
        }
        let packets = listener.received()
        #expect(packets.count == 2)
        for packet in packets {
            #expect(packet.userProperties == ["b=1", "a=2", "b=3"])
            #expect(packet.string(.contentType) == "text/plain")
            #expect(packet.string(.responseTopic) == "r")
            #expect(packet.uint8(.payloadFormatIndicator) == 1)
            #expect(packet.string(.correlationData) == "\u{1}\u{2}")
        }
        #expect(old.conversation() == ["publish t=x q0", "publish t=x q0"])
    }

    @Test func `clients do not write the server's topics`() {
        let broker = TestBroker()
        let listener = broker.client("l").subscribed("$SYS/#")
        let new = broker.client("n")
        new.publish("$SYS/x", "1", .atLeastOnce)
        new.publish("$SYS/x", "2", .exactlyOnce)
        new.publish("$SYS", "3")
        #expect(new.conversation() == ["pubAck id1 0x87", "pubRec id2 0x87"])
        let old = broker.client("o", .v3_1_1)
        old.publish("$SYS/x", "1", .atLeastOnce)
        old.publish("$SYS/x", "2", .exactlyOnce)
        old.pubRel(2)
        #expect(old.conversation() == ["pubAck id1", "pubRec id2", "pubComp id2"])
        new.publish("$SYSTEM", "free", .atLeastOnce)
        #expect(new.conversation() == ["pubAck id3 0x10"])
        #expect(listener.conversation().isEmpty)
        #expect(broker.shard.counters.publishesRefused == 5)
    }

    @Test func `a topic with too many levels is refused where that can be said`() {
        let deep = String(repeating: "a/", count: 16) + "a"
        let new = TestBroker().client("n")
        new.publish(deep, "x", .atLeastOnce)
        #expect(new.conversation() == ["pubAck id1 0x90"])
        new.publish(deep, "x")
        #expect(new.conversation() == ["disconnect 0x90"])
        let old = TestBroker().client("o", .v3_1_1)
        old.publish(deep, "x", .atLeastOnce)
        #expect(old.isClosed)
    }

    @Test func `a slow reader loses QoS 0 and costs nobody else`() {
        var configuration = BrokerConfiguration()
        configuration.limits.outputBytes = 10_000
        let broker = TestBroker(configuration)
        let slow = broker.client("s").subscribed("#")
        slow.reads = false
        let quick = broker.client("q").subscribed("#")
        let client = broker.client("c")
        let text = String(repeating: "x", count: 1_000)
        for _ in 1...20 { client.publish("t", text) }
        #expect(quick.received().count == 20)
        #expect(broker.shard.counters.droppedSlowReader == 11)
        #expect(broker.events.count { if case .slowReader = $0 { true } else { false } } == 1)
        slow.reads = true
        broker.flush(slow.id)
        #expect(slow.received().count == 9)
        client.publish("t", "again")
        #expect(slow.conversation() == ["publish t=again q0"])
    }

    @Test func `a slow reader's QoS 1 waits in its queue`() {
        var configuration = BrokerConfiguration()
        configuration.limits.outputBytes = 5_000
        let broker = TestBroker(configuration)
        let slow = broker.client("s").subscribed("#", .atLeastOnce)
        slow.reads = false
        let client = broker.client("c")
        let text = String(repeating: "x", count: 1_000)
        for _ in 1...20 { client.publish("t", text, .atLeastOnce) }
        slow.reads = true
        for _ in 1...20 {
            broker.flush(slow.id)
            broker.settle()
        }
        let got = slow.received()
        #expect(got.compactMap { $0.publish?.packetID } == Array(1...20))
    }

    @Test func `a message's expiry interval shrinks while it waits`() throws {
        // [MQTT-3.3.2-5], [MQTT-3.3.2-6]
        let broker = TestBroker()
        let first = broker.client("l", cleanStart: false, expiry: 1_000)
        first.subscribed("t", .atLeastOnce)
        let client = broker.client("c")
        client.publish("t", "now", .atLeastOnce) { $0.add(.messageExpiryInterval, uint32: 60) }
        #expect(first.received().first?.uint32(.messageExpiryInterval) == 60)
        first.pubAck(1)
        first.drop()
        for (payload, seconds) in [("short", UInt32(5)), ("long", 60)] {
            client.publish("t", payload, .atLeastOnce) { writer in
                writer.addUserProperty(name: "k", value: "v")
                writer.add(.messageExpiryInterval, uint32: seconds)
                writer.addUserProperty(name: "l", value: "w")
            }
        }
        broker.sleep(.seconds(10))
        let second = broker.client("l", cleanStart: false, expiry: 1_000)
        let packet = try #require(second.received().first)
        #expect(packet.payload == "long")
        #expect(packet.uint32(.messageExpiryInterval) == 50)
        #expect(packet.userProperties == ["k=v", "l=w"])
        #expect(broker.shard.counters.droppedExpired == 1)
    }

    @Test func `order is kept for each topic`() {
        // [MQTT-4.6.0-5], [MQTT-4.6.0-6]
        let broker = TestBroker()
        let listener = broker.client("l") { $0.add(.receiveMaximum, uint16: 3) }
        listener.subscribed("t", .exactlyOnce)
        let client = broker.client("c")
        for number in 1...50 { client.publish("t", "\(number)", .atLeastOnce) }
        var got: [String] = []
        while true {
            let packets = listener.received().filter { $0.publish != nil }
            if packets.isEmpty { break }
            got += packets.map(\.payload)
            for packet in packets { packet.publish?.packetID.map(listener.pubAck) }
        }
        #expect(got == (1...50).map { "\($0)" })
    }
}
