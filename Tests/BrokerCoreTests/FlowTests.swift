import MQTT
import Testing

@testable import BrokerCore

/// What the two directions of a connection owe each other at QoS 1 and 2.
@Suite struct FlowTests {
    @Test(arguments: [ProtocolVersion.v3_1_1, .v5_0])
    func `DUP goes out as the delivery asks, whatever came in`(version: ProtocolVersion) throws {
        // [MQTT-3.3.1-3]
        let broker = TestBroker()
        let listener = broker.client("l", version, cleanStart: false, expiry: 100)
        listener.subscribed("t", .exactlyOnce)
        let client = broker.client("c", version)
        client.publish("t", "1", .atLeastOnce, duplicate: true)
        client.publish("t", "2", .exactlyOnce, duplicate: true)
        client.publish("t", "3", .atLeastOnce)
        #expect(
            listener.conversation() == [
                "publish t=1 q1 id1", "publish t=2 q2 id2", "publish t=3 q1 id3",
            ])
        listener.drop()
        let again = broker.client("l", version, cleanStart: false, expiry: 100)
        #expect(
            again.conversation() == [
                "publish t=1 q1 dup id1", "publish t=2 q2 dup id2", "publish t=3 q1 dup id3",
            ])
    }

    @Test(arguments: [ProtocolVersion.v3_1_1, .v5_0])
    func `after PUBACK an identifier is that of a new message`(version: ProtocolVersion) {
        // [MQTT-4.3.2-5]; [MQTT-4.3.2-2] of 3.1.1
        let broker = TestBroker()
        let listener = broker.client("l").subscribed("t")
        let client = broker.client("c", version)
        client.publish("t", "1", .atLeastOnce, id: 5)
        client.publish("t", "2", .atLeastOnce, duplicate: true, id: 5)
        #expect(listener.conversation() == ["publish t=1 q0", "publish t=2 q0"])
        #expect(client.conversation() == ["pubAck id5", "pubAck id5"])
    }

    @Test func `after a PUBREC that refuses, an identifier is that of a new message`() {
        // [MQTT-4.3.3-9]
        let broker = TestBroker()
        let listener = broker.client("l").subscribed("#")
        let client = broker.client("c")
        client.publish("$SYS/x", "1", .exactlyOnce, id: 5)
        client.publish("t", "2", .exactlyOnce, duplicate: true, id: 5)
        #expect(client.conversation() == ["pubRec id5 0x87", "pubRec id5"])
        #expect(listener.conversation() == ["publish t=2 q0"])
    }

    @Test func `identifiers are those of no other message on its way`() {
        // [MQTT-2.2.1-4]; [MQTT-2.3.1-4] of 3.1.1
        let broker = TestBroker()
        let listener = broker.client("l", .v3_1_1).subscribed("t", .exactlyOnce)
        let publisher = broker.client("p")
        let publish: [UInt8] = [0x32, 6, 0, 1, 116, 0, 1, 0]
        let batch = (0..<20).flatMap { _ in publish }
        var open: [UInt16] = []
        var wraps = 0
        for round in 0..<4_000 {
            publisher.send(bytes: batch)
            publisher.inbox.removeAll()
            for packet in listener.received() {
                guard let id = packet.publish?.packetID else { continue }
                #expect(id != 0 && !open.contains(id))
                open.append(id)
                if id == 65_535 { wraps += 1 }
            }
            // Not in their order: some stay open for long.
            var answers: [UInt8] = []
            while open.count > 60 {
                let id = open.remove(at: round * 31 % 60)
                answers += [0x40, 2, UInt8(id >> 8), UInt8(id & 0xFF)]
            }
            listener.send(bytes: answers)
        }
        #expect(wraps == 1)
    }

    @Test func `at a quota of 0 only QoS 1 and 2 wait`() {
        // [MQTT-3.3.4-10], [MQTT-4.9.0-3]
        let broker = TestBroker()
        let client = broker.client("c") { $0.add(.receiveMaximum, uint16: 1) }
        client.subscribed("t", .exactlyOnce)
        let publisher = broker.client("p")
        publisher.publish("t", "1", .exactlyOnce)
        publisher.publish("t", "2", .exactlyOnce)
        #expect(client.conversation() == ["publish t=1 q2 id1"])
        client.send(.pingReq)
        client.publish("u", "x", .atLeastOnce, id: 40)
        client.publish("u", "x", .exactlyOnce, id: 41)
        client.pubRel(41)
        client.subscribe([("v", SubscriptionOptions(qos: .atMostOnce))])
        client.unsubscribe("v")
        publisher.publish("t", "0")
        client.pubRec(1)
        #expect(
            client.conversation() == [
                "pingresp", "pubAck id40 0x10", "pubRec id41 0x10", "pubComp id41",
                "suback id2 [0]", "unsuback id3 [0]", "publish t=0 q0", "pubRel id1",
            ])
        client.pubComp(1)
        #expect(client.conversation() == ["publish t=2 q2 id2"])
    }

    @Test func `what has been sent does not expire`() throws {
        // [MQTT-4.3.3-7]
        let broker = TestBroker()
        let first = broker.client("l", cleanStart: false, expiry: 1_000)
        first.subscribed("t", .exactlyOnce)
        let publisher = broker.client("p")
        for (payload, qos) in [("1", QoS.atLeastOnce), ("2", .exactlyOnce), ("3", .exactlyOnce)] {
            publisher.publish("t", payload, qos) { $0.add(.messageExpiryInterval, uint32: 5) }
        }
        first.pubRec(3)
        first.drop()
        broker.sleep(.seconds(100))
        let second = broker.client("l", cleanStart: false, expiry: 1_000)
        #expect(
            second.conversation() == [
                "pubRel id3", "publish t=1 q1 dup id1", "publish t=2 q2 dup id2",
            ])
        #expect(broker.shard.counters.droppedExpired == 0)
    }

    @Test func `the server sends no topic alias that the client does not take`() {
        // [MQTT-3.1.2-26], [MQTT-3.1.2-27], [MQTT-3.3.2-11]
        for maximum: UInt16? in [nil, 0, 2] {
            let broker = TestBroker()
            let listener = broker.client("l") { writer in
                if let maximum { writer.add(.topicAliasMaximum, uint16: maximum) }
            }
            listener.subscribed("#", .atLeastOnce)
            let publisher = broker.client("p")
            for number in 0..<40 { publisher.publish("t/\(number % 4)", "x", .atLeastOnce) }
            let packets = listener.received()
            #expect(packets.count == 40)
            for packet in packets {
                #expect(packet.uint16(.topicAlias) ?? 0 <= maximum ?? 0)
            }
        }
    }
}
