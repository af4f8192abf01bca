import MQTT
import Testing

@testable import BrokerCore

/// A client that publishes faster than it may is slowed down, and loses nothing.
@Suite struct PublishRateTests {
    private func broker(_ rate: Int, bytes: Int = 0) -> TestBroker {
        var configuration = BrokerConfiguration()
        configuration.limits.publishRate = rate
        configuration.limits.publishBytesPerSecond = bytes
        return TestBroker(configuration)
    }

    /// PUBLISH of `t` at QoS 0, whole, with a number as payload.
    private func publish(_ number: Int) -> [UInt8] {
        let payload = Array("\(number)".utf8)
        return [0x30, UInt8(3 + payload.count), 0, 1, 116] + payload
    }

    @Test(arguments: [1, 7, 10_000])
    func `a burst goes at once, the rest at the rate, all of it and in order`(pieces: Int) {
        let broker = broker(100)
        let listener = broker.client("l", .v3_1_1).subscribed("t")
        let client = broker.client("c", .v3_1_1)
        var stream = (0..<400).flatMap { publish($0) }[...]
        // A shell that stops to read when it is asked to, after the piece that it has.
        func send() {
            while !client.isPaused && !stream.isEmpty {
                client.send(bytes: Array(stream.prefix(pieces)))
                stream = stream.dropFirst(pieces)
            }
        }
        send()
        var got = listener.received().map(\.payload)
        // A second's credit, and the message that overdrew it.
        #expect((100...102).contains(got.count))
        #expect(client.isPaused)
        var seconds = 0
        while got.count < 400 && seconds < 10 {
            for _ in 0..<100 {
                broker.sleep(.milliseconds(10))
                send()
            }
            seconds += 1
            got += listener.received().map(\.payload)
            #expect(got.count <= 102 + 100 * seconds)
        }
        #expect(seconds == 3)
        #expect(got == (0..<400).map { "\($0)" })
        broker.sleep(.seconds(1))
        #expect(!client.isPaused)
        let notes = broker.events.filter { event in
            if case .publishRateReached = event { return true }
            return false
        }
        #expect(notes.count == 1)
    }

    @Test func `bytes count as well as messages, each by its own measure`() {
        let broker = broker(0, bytes: 1_000)
        let listener = broker.client("l").subscribed("t")
        let client = broker.client("c")
        client.publish("t", String(repeating: "x", count: 3_000))
        // A large message is taken whole, and paid for afterwards.
        #expect(listener.received().count == 1)
        #expect(client.isPaused)
        client.publish("t", "next")
        broker.sleep(.milliseconds(1_900))
        #expect(listener.received().isEmpty)
        broker.sleep(.milliseconds(200))
        #expect(listener.received().map(\.payload) == ["next"])
    }

    @Test func `a client within its rate never waits, and after a rest has its credit again`() {
        let broker = broker(10)
        let listener = broker.client("l").subscribed("t")
        let client = broker.client("c")
        for number in 0..<100 {
            client.publish("t", "\(number)")
            #expect(!client.isPaused)
            broker.sleep(.milliseconds(100))
        }
        #expect(listener.received().count == 100)
        broker.sleep(.seconds(100))
        for number in 0..<10 { client.publish("t", "\(number)") }
        #expect(listener.received().count == 10)
        #expect(!client.isPaused)
    }

    @Test
    func `no keep-alive runs out while a client waits, and its PINGREQ is answered in its turn`() {
        let broker = broker(1)
        guard let client = broker.open(.v3_1_1) else { preconditionFailure("no room") }
        client.connect("c", keepAlive: 2)
        #expect(client.conversation().count == 1)
        for number in 0..<8 { client.send(bytes: publish(number)) }
        client.send(bytes: [0xC0, 0])
        broker.sleep(.seconds(6))
        #expect(!client.isClosed)
        #expect(client.conversation().isEmpty)
        broker.sleep(.milliseconds(1_500))
        #expect(client.conversation() == ["pingresp"])
        // From then on silence counts again.
        broker.sleep(.seconds(10))
        #expect(client.isClosed)
    }

    @Test func `one client's haste slows down no other, and the next connection begins anew`() {
        let broker = broker(5)
        let listener = broker.client("l").subscribed("t")
        let hasty = broker.client("hasty")
        for number in 0..<20 { hasty.publish("t", "\(number)") }
        #expect(listener.received().count <= 6)
        let calm = broker.client("calm")
        calm.publish("t", "calm", .atLeastOnce)
        #expect(listener.received().map(\.payload) == ["calm"])
        #expect(calm.conversation() == ["pubAck id1"])
        hasty.drop()
        let next = broker.client("next")
        for number in 0..<5 { next.publish("t", "\(number)") }
        #expect(listener.received().count == 5)
        #expect(!next.isPaused)
    }

    @Test func `a client that is closed while it waits leaves nothing behind`() {
        let broker = broker(1)
        let client = broker.client("c")
        for number in 0..<5 { client.publish("t", "\(number)") }
        broker.client("c").publish("t", "taken over")
        #expect(client.isClosed)
        broker.sleep(.seconds(60))
        client.drop()
        broker.sleep(.seconds(60))
    }
}
