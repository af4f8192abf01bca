import MQTT
import Testing

@testable import BrokerCore

/// The broker dies at any moment, before and after any commit, before and after any packet on either
/// side. What is left of it is the turns that were committed, and the clients' halves of their sessions.
@Suite struct CrashTests {
    private static let topics = ["a", "a/b", "b", "c/d"]

    @Test(arguments: 1...scaled(300, 10_000))
    func `a broker that dies again and again loses nothing and repeats no QoS 2`(seed: UInt64) {
        var random = SplitMix(state: seed)
        let world = MortalBroker(Self.clients(), random: &random)
        for _ in 0..<120 {
            let client = world.clients[Int(random.next() % UInt64(world.clients.count))]
            switch random.next() % 32 {
            case 0..<10:
                let topic = Self.topics[Int(random.next() % UInt64(Self.topics.count))]
                let qos: QoS = random.next() % 2 == 0 ? .atLeastOnce : .exactlyOnce
                client.publish(topic, qos, retain: topic == "b" && client.name == "p")
            case 10..<16: client.read(Int(random.next() % 4))
            case 16..<22: client.answer(Int(random.next() % 4))
            case 22..<26: world.commit()
            case 26: client.go()
            case 27: client.come(world.broker)
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
            let world = MortalBroker([p, s], random: &random, flushesAtOnce: true)
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

/// A broker, what its store holds, and the clients that outlive it.
final class MortalBroker {
    private(set) var broker: TestBroker
    let clients: [LastingClient]
    private let configuration: BrokerConfiguration
    /// Turns that are safe, oldest first.
    private var stored: [Turn] = []
    private(set) var deaths = 0

    init(_ clients: [LastingClient], random: inout SplitMix, flushesAtOnce: Bool = false) {
        var configuration = BrokerConfiguration()
        configuration.durability = DurabilityRules(.process)
        configuration.limits.inFlight = 1 + Int(random.next() % 8)
        if flushesAtOnce || random.next() % 2 == 0 {
            configuration.journal.flushInterval = .zero
            configuration.journal.idleInterval = .zero
        }
        // What is live is written anew all the time, now and then, or never.
        configuration.journal.slackBytes = [-1_000_000, 300, 1_000_000][Int(random.next() % 3)]
        self.configuration = configuration
        self.clients = clients
        broker = TestBroker(configuration)
        broker.commitsAtOnce = false
        everyone(comes: true)
        while !clients.allSatisfy(\.isReady) {
            broker.sleep(.milliseconds(20))
            commit()
            for client in clients { client.read() }
        }
    }

    /// The commit that runs ends well, and the next begins.
    func commit() {
        for turn in broker.turns { store(turn) }
        guard let last = broker.turns.last else { return }
        broker.turns = []
        broker.shard.committed(last.number, at: broker.now)
        broker.settle()
    }

    private func store(_ turn: Turn) {
        if let obsolete = turn.obsolete { stored.removeAll { $0.number <= obsolete } }
        stored.append(turn)
    }

    func sleep(_ duration: Duration) { broker.sleep(duration) }

    func everyone(comes: Bool) {
        for client in clients where comes && client.client == nil { client.come(broker) }
    }

    func die(_ random: inout SplitMix) {
        die(heard: random.next() % 2 == 0, survives: random.next() % 2 == 0)
    }

    /// It dies, and a new one goes on with what the store holds.
    ///
    /// - Parameters:
    ///   - heard: whether the clients still get what it had sent.
    ///   - survives: whether the commit that ran when it died was whole.
    func die(heard: Bool, survives: Bool) {
        deaths += 1
        if survives { for turn in broker.turns { store(turn) } }
        for client in clients {
            if heard { client.read() }
            client.lost()
        }
        broker = TestBroker(configuration, recovering: stored, at: broker.now)
        broker.commitsAtOnce = false
    }

    /// Everyone stays, reads and answers until nothing is on its way.
    func drain() {
        for _ in 0..<400 {
            everyone(comes: true)
            for client in clients {
                client.read()
                client.answer()
            }
            broker.sleep(.milliseconds(20))
            commit()
            if clients.allSatisfy(\.isQuiet) && missing.isEmpty { return }
        }
    }

    var faults: [String] { clients.flatMap(\.faults) }

    /// What was published and has not arrived where it must.
    var missing: [String] {
        clients.flatMap { subscriber in
            clients.flatMap { publisher in
                publisher.published.filter { subscriber.wants($0.key) }.compactMap { key, count in
                    let got = subscriber.next["\(publisher.name) \(key)", default: 0]
                    return got == count ? nil : "\(subscriber.name): \(got) of \(count) of \(key)"
                }
            }
        }.sorted()
    }
}

extension TestBroker {
    /// A process that begins with what a store holds.
    convenience init(
        _ configuration: BrokerConfiguration, recovering stored: [Turn], at time: MonotonicTime
    ) {
        self.init(configuration)
        now = time
        commitsAtOnce = false
        var state = RecoveredState(seed: 7, at: TestBroker.anchor(time))
        for turn in stored {
            state.read(
                turn.records.span, turn: turn.number, shard: 0, anchor: TestBroker.anchor(time))
        }
        shard.restore(&state, at: time)
        shard.routeRestored(at: time)
        settle()
    }
}
