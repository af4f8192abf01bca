import MQTT
import Testing

@testable import BrokerCore

@Suite struct WillTests {
    private let will = TestWill(topic: "w", payload: "gone", qos: .atLeastOnce)

    @Test(arguments: [ProtocolVersion.v3_1, .v3_1_1, .v5_0])
    func `a connection that drops publishes the will`(version: ProtocolVersion) {
        // [MQTT-3.1.2-8]
        let broker = TestBroker()
        let listener = broker.client("l").subscribed("w", .atLeastOnce)
        broker.client("c", version, will: will).drop()
        #expect(listener.conversation() == ["publish w=gone q1 id1"])
    }

    @Test func `DISCONNECT forgets the will, unless it asks for it`() {
        // [MQTT-3.14.4-3]
        let broker = TestBroker()
        let listener = broker.client("l").subscribed("w")
        broker.client("a", will: will).disconnect()
        #expect(listener.conversation().isEmpty)
        broker.client("b", will: will).disconnect(.disconnectWithWillMessage)
        #expect(listener.conversation() == ["publish w=gone q0"])
    }

    @Test func `every fault publishes the will`() throws {
        let broker = TestBroker()
        let listener = broker.client("l").subscribed("w")
        broker.client("a", will: will).send(bytes: [0x00, 0x00])
        #expect(listener.received().count == 1)
        let silent = try #require(broker.open())
        silent.connect("b", keepAlive: 1, will: will)
        broker.sleep(.seconds(2))
        #expect(listener.received().count == 1)
        _ = broker.client("c", will: will)
        _ = broker.client("c")
        #expect(listener.received().count == 1)
    }

    @Test(arguments: [ProtocolVersion.v3_1, .v3_1_1, .v5_0])
    func `without a will nothing is published`(version: ProtocolVersion) {
        // [MQTT-3.1.2-12] of 3.1.1
        let broker = TestBroker()
        let listener = broker.client("l").subscribed("#")
        broker.client("c", version).drop()
        broker.client("d", version).send(bytes: [0x00, 0x00])
        #expect(listener.conversation().isEmpty)
        #expect(broker.shard.counters.willsPublished == 0)
        // The will of an earlier connection is not that of the next.
        broker.client("c", version, will: will).disconnect()
        broker.client("c", version).drop()
        #expect(listener.conversation().isEmpty)
    }

    @Test(arguments: [ProtocolVersion.v3_1, .v3_1_1, .v5_0], [false, true])
    func `a will is published as its retain flag says`(version: ProtocolVersion, retain: Bool) {
        // [MQTT-3.1.2-14], [MQTT-3.1.2-15]; [MQTT-3.1.2-16], [MQTT-3.1.2-17] of 3.1.1
        let broker = TestBroker()
        let listener = broker.client("l").subscribed("w", retainAsPublished: true)
        var will = will
        will.retain = retain
        broker.client("c", version, will: will).drop()
        #expect(listener.conversation() == ["publish w=gone q0" + (retain ? " retain" : "")])
        let late = broker.client("late").subscribed("w")
        #expect(late.conversation() == (retain ? ["publish w=gone q0 retain"] : []))
    }

    @Test func `a retained will is kept`() {
        // [MQTT-3.1.2-15]
        let broker = TestBroker()
        var will = will
        will.retain = true
        broker.client("c", will: will).drop()
        #expect(broker.client("l").subscribed("w").conversation() == ["publish w=gone q0 retain"])
    }

    @Test func `the will carries its properties, but not its delay`() throws {
        let broker = TestBroker()
        let listener = broker.client("l").subscribed("w")
        var will = will
        will.properties = { writer in
            writer.addUserProperty(name: "a", value: "1")
            writer.add(.willDelayInterval, uint32: 5)
            writer.add(.messageExpiryInterval, uint32: 60)
            writer.add(.contentType, string: "text/plain")
            writer.addUserProperty(name: "b", value: "2")
        }
        broker.client("c", expiry: 100, will: will).drop()
        broker.sleep(.seconds(4))
        #expect(listener.inbox.isEmpty)
        broker.sleep(.seconds(1))
        let packet = try #require(listener.received().first)
        #expect(packet.userProperties == ["a=1", "b=2"])
        #expect(packet.uint32(.messageExpiryInterval) == 60)
        #expect(packet.string(.contentType) == "text/plain")
        #expect(!packet.properties.contains(.willDelayInterval))
    }

    @Test func `a session that goes on in time keeps the will back`() {
        // [MQTT-3.1.3-9]
        let broker = TestBroker()
        let listener = broker.client("l").subscribed("w")
        var will = will
        will.properties = { $0.add(.willDelayInterval, uint32: 5) }
        broker.client("c", expiry: 100, will: will).drop()
        broker.sleep(.seconds(4))
        let again = broker.client("c", cleanStart: false, expiry: 100)
        broker.sleep(.seconds(10))
        #expect(listener.conversation().isEmpty)
        again.disconnect()
        broker.sleep(.seconds(200))
        #expect(listener.conversation().isEmpty)
    }

    @Test func `the end of the session publishes a will that waits`() {
        let broker = TestBroker()
        let listener = broker.client("l").subscribed("w")
        var will = will
        will.properties = { $0.add(.willDelayInterval, uint32: 1_000) }
        // A will delay longer than the session expiry.
        broker.client("a", expiry: 10, will: will).drop()
        broker.sleep(.seconds(10))
        #expect(listener.received().count == 1)
        // A clean start ends the session before.
        broker.client("b", expiry: 10, will: will).drop()
        _ = broker.client("b", cleanStart: true)
        #expect(listener.received().count == 1)
        // No session expiry: the connection's end is the session's.
        broker.client("c", will: will).drop()
        #expect(listener.received().count == 1)
    }

    @Test func `a bridge of Mosquitto connects without its will on a server's topic`() throws {
        let broker = TestBroker()
        let listener = broker.client("l").subscribed("$SYS/#")
        let bridge = try #require(broker.open(.v3_1_1))
        bridge.connect(
            "b", isBridge: true,
            will: TestWill(topic: "$SYS/broker/connection/b/state", payload: "0", retain: true))
        #expect(bridge.conversation() == ["connack 0x00"])
        bridge.drop()
        #expect(listener.conversation().isEmpty)
        #expect(broker.shard.retainedCount == 0)
    }

    @Test func `a will that could not be published is refused at CONNECT`() throws {
        let broker = TestBroker()
        let server = try #require(broker.open())
        server.connect("a", will: TestWill(topic: "$SYS/x", payload: ""))
        #expect(server.conversation() == ["connack 0x87"])
        let deep = try #require(broker.open())
        deep.connect("a", will: TestWill(topic: String(repeating: "/", count: 40), payload: ""))
        #expect(deep.conversation() == ["connack 0x90"])
    }
}
