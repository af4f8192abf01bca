import MQTT

@testable import BrokerCore

/// A broker, what its store holds, and the clients that outlive it.
final class MortalBroker {
    private(set) var shards: [TestBroker]
    let clients: [LastingClient]
    private let configuration: BrokerConfiguration
    /// Turns of each shard that are safe, oldest first.
    private var stored: [[Turn]]
    private(set) var deaths = 0
    /// Connections begin at one shard after the other.
    private var nextShard = 0

    init(
        _ clients: [LastingClient], shards count: Int, random: inout SplitMix,
        flushesAtOnce: Bool = false
    ) {
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
        stored = Array(repeating: [], count: count)
        shards = []
        begin(at: MonotonicTime(nanoseconds: 1_000_000_000), shards: count)
        everyone(comes: true)
        while !clients.allSatisfy(\.isReady) {
            sleep(.milliseconds(20))
            commit()
            for client in clients { client.read() }
        }
    }

    private var now: MonotonicTime { shards[0].now }

    /// A process begins with what the store holds.
    private func begin(at time: MonotonicTime, shards count: Int) {
        shards = TestBroker.shards(count, configuration)
        var state = RecoveredState(seed: 7, at: TestBroker.anchor(time))
        for (index, turns) in stored.enumerated() {
            for turn in turns {
                state.read(
                    turn.records.span, turn: turn.number, shard: UInt16(index),
                    anchor: TestBroker.anchor(time))
            }
        }
        let isNew = state.needsNewStore(shards: count)
        for shard in shards {
            shard.now = time
            shard.commitsAtOnce = false
            shard.shard.restore(&state, at: time)
        }
        for shard in shards { shard.shard.routeRestored(at: time) }
        shards.exchangeMail(at: time)
        if isNew {
            stored = shards.map { shard in
                shard.shard.rewriteWhole(at: time)
                guard let turn = shard.shard.endTurn(at: time) else { return [] }
                shard.shard.committed(turn.number, at: time)
                return [turn]
            }
        }
        for shard in shards { shard.shard.finishRestoring() }
        for shard in shards {
            shard.deliversAtOnce = false
            shard.settle()
        }
    }

    /// The commits that run end well, and the next begin; all mail arrives.
    func commit() {
        for shard in shards { shard.deliverAllMail() }
        for index in shards.indices { commit(index) }
        for shard in shards { shard.deliverAllMail() }
    }

    /// The commit of a shard ends well, or some mail arrives.
    func commitSome(_ random: inout SplitMix) {
        let index = Int(random.next() % UInt64(shards.count))
        commit(index)
        for shard in shards where random.next() % 2 == 0 { shard.deliverMail() }
    }

    private func commit(_ index: Int) {
        let shard = shards[index]
        for turn in shard.turns { store(turn, index) }
        guard let last = shard.turns.last else { return }
        shard.turns = []
        shard.shard.committed(last.number, at: shard.now)
        shard.settle()
    }

    private func store(_ turn: Turn, _ shard: Int) {
        if let obsolete = turn.obsolete { stored[shard].removeAll { $0.number <= obsolete } }
        stored[shard].append(turn)
    }

    func sleep(_ duration: Duration) { for shard in shards { shard.sleep(duration) } }

    func come(_ client: LastingClient) {
        nextShard = (nextShard + 1) % shards.count
        client.come(shards[nextShard])
    }

    func everyone(comes: Bool) {
        for client in clients where comes && client.client == nil { come(client) }
    }

    func die(_ random: inout SplitMix) {
        let heard = random.next() % 2 == 0
        var count = shards.count
        // Now and then there are more or fewer shards afterwards.
        if count > 1 && random.next() % 4 == 0 { count = 1 + Int(random.next() % 3) }
        die(heard: heard, shards: count) { _ in random.next() % 2 == 0 }
    }

    func die(heard: Bool, survives: Bool) {
        die(heard: heard, shards: shards.count) { _ in survives }
    }

    /// It dies, and a new one goes on with what the store holds.
    ///
    /// - Parameters:
    ///   - heard: whether the clients still get what it had sent.
    ///   - survives: whether the commit of a shard that ran when it died was whole.
    private func die(heard: Bool, shards count: Int, survives: (Int) -> Bool) {
        deaths += 1
        for (index, shard) in shards.enumerated() where survives(index) {
            for turn in shard.turns { store(turn, index) }
        }
        for client in clients {
            if heard { client.read() }
            client.lost()
        }
        begin(at: now, shards: count)
    }

    /// Everyone stays, reads and answers until nothing is on its way.
    func drain() {
        for _ in 0..<400 {
            everyone(comes: true)
            for client in clients {
                client.read()
                client.answer()
            }
            sleep(.milliseconds(20))
            commit()
            if clients.allSatisfy(\.isQuiet) && missing.isEmpty && faults.isEmpty { return }
        }
    }

    var faults: [String] { clients.flatMap(\.faults) + groupFaults }

    /// What the members of the one group got twice that was of QoS 2, or what none of them got.
    private var groupFaults: [String] {
        let members = clients.filter(\.isMember)
        guard !members.isEmpty else { return [] }
        var faults: [String] = []
        for publisher in clients {
            for (key, count) in publisher.published {
                for number in 0..<count {
                    let payload = "\(publisher.name) \(key) \(number)"
                    let got = members.reduce(0) { $0 + $1.arrivals[payload, default: 0] }
                    if got == 0 || got > 1 && key.hasSuffix(" 2") {
                        faults.append("the group: \(payload), \(got) times")
                    }
                }
            }
        }
        return faults.sorted()
    }

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
