import MQTT
import Testing

@testable import BrokerCore

/// Messages of a shared subscription whose member had left the group before a restart: they go where they
/// would have gone without one.
@Suite struct ShareRestartTests {
    private static var cases: [(leaverIsFirst: Bool, restarts: Bool)] {
        [(true, false), (true, true), (false, false), (false, true)]
    }

    private static var configuration: BrokerConfiguration {
        var configuration = BrokerConfiguration()
        configuration.durability = DurabilityRules(.process)
        configuration.journal.flushInterval = .zero
        configuration.journal.idleInterval = .zero
        return configuration
    }

    private func join(_ broker: TestBroker, _ name: String) -> TestClient {
        let client = broker.client(name, cleanStart: false, expiry: 1_000) {
            $0.add(.receiveMaximum, uint16: 1)
        }
        return client.subscribed("$share/g/t", .atLeastOnce)
    }

    @Test(arguments: cases)
    func `what a member that left had not acknowledged goes to the others when its session ends`(
        leaverIsFirst: Bool, restarts: Bool
    ) {
        // [MQTT-4.8.2-3]
        var broker = TestBroker(Self.configuration)
        // Sessions come back in the order in which they began.
        var leaver: TestClient?
        for name in leaverIsFirst ? ["leaver", "stayer"] : ["stayer", "leaver"] {
            let client = join(broker, name)
            if name == "leaver" { leaver = client } else { client.drop() }
        }
        let publisher = broker.client("p")
        for number in 1...3 { publisher.publish("t", "\(number)", .atLeastOnce) }
        #expect(leaver?.received().map(\.payload) == ["1"], "one in flight, two in the queue")
        leaver?.unsubscribe("$share/g/t")
        leaver?.drop()
        broker.sleep(.seconds(2))
        if restarts {
            broker = broker.restarted()
            broker.shard.checkInvariants()
        }
        let before = broker.shard.counters.droppedSessionEnded
        // Its session ends.
        broker.client("leaver").drop()
        let stayer = broker.client("stayer", cleanStart: false, expiry: 1_000)
        #expect(stayer.received().map(\.payload) == ["1", "2", "3"])
        #expect(broker.shard.counters.droppedSessionEnded == before)
    }

    @Test(arguments: [false, true])
    func `what is in the window and the queue of one who stays away comes to it first`(
        restarts: Bool
    ) {
        var broker = TestBroker(Self.configuration)
        let leaver = join(broker, "leaver")
        join(broker, "stayer").drop()
        let publisher = broker.client("p")
        for number in 1...3 { publisher.publish("t", "\(number)", .atLeastOnce) }
        leaver.unsubscribe("$share/g/t")
        leaver.drop()
        broker.sleep(.seconds(2))
        if restarts { broker = broker.restarted() }
        let again = broker.client("leaver", cleanStart: false, expiry: 1_000)
        #expect(again.received().map(\.payload) == ["1", "2", "3"])
        let stayer = broker.client("stayer", cleanStart: false, expiry: 1_000)
        #expect(stayer.conversation() == [])
    }
}
