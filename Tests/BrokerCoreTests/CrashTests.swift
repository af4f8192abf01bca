import MQTT
import Testing

@testable import BrokerCore

/// The broker dies at any moment, before and after any commit, before and after any packet on either
/// side. What is left of it is the turns that were committed, and the clients' halves of their sessions.
@Suite struct CrashTests {
    private static let topics = ["a", "a/b", "b", "c/d"]

    @Test(arguments: 1...scaled(300, 10_000))
    func `a broker that dies again and again loses nothing and repeats no QoS 2`(seed: UInt64) {
        live(seed, shards: 1)
    }

    @Test(arguments: [2, 3], 1...scaled(120, 10_000))
    func `nor does one of several shards, whose commits end and mail arrives in any order`(
        count: Int, seed: UInt64
    ) {
        live(seed, shards: count)
    }

    @Test(arguments: [1, 2, 3], 1...scaled(60, 5_000))
    func `each message reaches one member of a group, QoS 2 one and only one`(
        count: Int, seed: UInt64
    ) {
        let clients = [
            LastingClient("p", .v5_0), LastingClient("q", .v3_1_1),
            LastingClient("a", .v5_0, subscribes: ("$share/g/#", .exactlyOnce)),
            LastingClient("b", .v5_0, subscribes: ("$share/g/#", .exactlyOnce)),
            LastingClient("c", .v5_0, subscribes: ("$share/g/#", .exactlyOnce)),
            LastingClient("s", .v3_1_1, subscribes: ("a", .exactlyOnce)),
        ]
        live(seed, shards: count, clients)
    }

    private func live(_ seed: UInt64, shards: Int, _ clients: [LastingClient] = clients()) {
        var random = SplitMix(state: seed)
        let world = MortalBroker(clients, shards: shards, random: &random)
        for _ in 0..<120 {
            let client = world.clients[Int(random.next() % UInt64(world.clients.count))]
            switch random.next() % 32 {
            case 0..<10:
                let topic = Self.topics[Int(random.next() % UInt64(Self.topics.count))]
                let qos: QoS = random.next() % 2 == 0 ? .atLeastOnce : .exactlyOnce
                client.publish(topic, qos, retain: topic == "b" && client.name == "p")
            case 10..<16: client.read(Int(random.next() % 4))
            case 16..<22: client.answer(Int(random.next() % 4))
            case 22..<26: world.commitSome(&random)
            case 26: client.go()
            case 27: world.come(client)
            case 28: world.sleep(.milliseconds(Int(random.next() % 2_000)))
            case 29..<31: world.everyone(comes: true)
            default: world.die(&random)
            }
        }
        world.drain()
        #expect(world.faults.isEmpty, "seed \(seed)")
        #expect(world.missing.isEmpty, "seed \(seed)")
    }

    /// One message of each QoS on its way from one client to another; the broker dies after each step of
    /// that way, with what it said then heard or not, and with the commit that ran then done or not.
    @Test func `a death before and after each packet and each commit`() {
        for (step, heard, survives) in Self.deaths {
            let (p, s) = (
                LastingClient("p", .v5_0),
                LastingClient("s", .v3_1_1, subscribes: ("#", .exactlyOnce))
            )
            var random = SplitMix(state: UInt64(step))
            let world = MortalBroker([p, s], shards: 1, random: &random, flushesAtOnce: true)
            p.publish("a", .exactlyOnce, retain: false)
            p.publish("a", .atLeastOnce, retain: false)
            for number in 0..<60 {
                if number == step {
                    world.die(heard: heard, survives: survives)
                    world.everyone(comes: true)
                }
                switch number % 6 {
                case 0: p.read(1)
                case 1, 4: world.commit()
                case 2: s.read(1)
                case 3: s.answer(1)
                default: p.read(1)
                }
            }
            world.drain()
            #expect(world.faults.isEmpty, "step \(step), heard \(heard), survives \(survives)")
            #expect(world.missing.isEmpty, "step \(step), heard \(heard), survives \(survives)")
        }
    }

    private static var deaths: [(Int, Bool, Bool)] {
        (0..<60).flatMap { step in
            [true, false].flatMap { heard in
                [true, false].map { survives in (step, heard, survives) }
            }
        }
    }

    private static func clients() -> [LastingClient] {
        [
            LastingClient("p", .v5_0), LastingClient("q", .v3_1_1),
            LastingClient("r", .v5_0, subscribes: ("a/#", .exactlyOnce)),
            LastingClient("s", .v3_1_1, subscribes: ("#", .exactlyOnce)),
            LastingClient("t", .v5_0, subscribes: ("#", .atLeastOnce)),
            LastingClient("u", .v3_1, subscribes: ("+/d", .exactlyOnce)),
        ]
    }
}
