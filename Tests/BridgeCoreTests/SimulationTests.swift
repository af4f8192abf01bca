import MQTT
import Testing

@testable import BridgeCore

/// An edge broker with a persistent session for the bridge: it delivers in order, keeps what is not
/// acknowledged, and delivers that again on the next connection.
private struct EdgeBroker {
    struct Message: Equatable {
        var topic: Int
        var number: Int
    }

    var queued: [Message] = []
    var unacknowledged: [(delivery: UInt64, message: Message)] = []
    var isConnected = false
    private var nextDelivery: UInt64 = 1

    mutating func disconnect() {
        isConnected = false
        queued = unacknowledged.map(\.message) + queued
        unacknowledged = []
    }

    mutating func deliver() -> ArrivingMessage? {
        guard isConnected, unacknowledged.count < 12, !queued.isEmpty else { return nil }
        let message = queued.removeFirst()
        unacknowledged.append((nextDelivery, message))
        defer { nextDelivery += 1 }
        return ArrivingMessage(
            "fleet/v1/farm/n/m/\(message.topic)", "\(message.topic) \(message.number)",
            delivery: nextDelivery)
    }

    mutating func acknowledged(_ delivery: UInt64) {
        precondition(unacknowledged.first?.delivery == delivery, "acknowledged out of order")
        unacknowledged.removeFirst()
    }
}

/// An upstream and the client session before it: bytes and answers are lost with the connection,
/// and the session sends again what was not answered.
private struct Upstream {
    var outstanding: [ForwardedMessage] = []
    var wire: [ForwardedMessage] = []
    var answers: [(UInt64, Answer)] = []
    var isConnected = false
    var received: [(text: String, fleet: [String])] = []
    var oldTokens: [UInt64] = []

    mutating func connect() {
        isConnected = true
        wire = outstanding
    }

    mutating func disconnect() {
        isConnected = false
        wire = []
        answers = []
    }

    mutating func forget() {
        oldTokens += outstanding.map(\.token)
        outstanding = []
    }

    mutating func publish(_ message: ForwardedMessage) {
        outstanding.append(message)
        wire.append(message)
    }

    mutating func read(refuses: (String) -> Bool) {
        guard isConnected, !wire.isEmpty else { return }
        let message = wire.removeFirst()
        let text = message.payloadText
        guard !refuses(text) else {
            answers.append((message.token, .refused(.acknowledgedWith(.notAuthorized))))
            return
        }
        received.append((text, message.fleet))
        answers.append((message.token, .taken))
    }

    mutating func nextAnswer() -> (UInt64, Answer)? {
        guard isConnected, !answers.isEmpty else { return nil }
        let answer = answers.removeFirst()
        outstanding.removeAll { $0.token == answer.0 }
        oldTokens.append(answer.0)
        return answer
    }
}

/// One run: everything that can happen, in an order that the seed decides.
private struct World {
    var random: SplitMix
    var seconds = 0.0
    var store: ModelStore
    var bridge: Bridge
    var edge = EdgeBroker()
    var upstream = Upstream()
    var published = [0, 0, 0]
    /// What the bridge took and the store has not answered yet: it may be in the store or not.
    var inStore: StoreTransaction?
    let limits: BridgeLimits
    var crashes = 0

    init(seed: UInt64) throws {
        random = SplitMix(seed: seed)
        var limits = BridgeLimits()
        limits.intake.up.maximumBatchBytes = [1, 200, 2_000].randomElement(using: &random) ?? 1
        limits.intake.up.maximumStoredBytes = [3_000, 100_000].randomElement(using: &random) ?? 1
        limits.forwarder.readAheadBytes = [1, 500, 50_000].randomElement(using: &random) ?? 1
        limits.forwarder.maximumInFlight = Int.random(in: 1...20, using: &random)
        limits.acknowledgementBatch = UInt64.random(in: 1...20, using: &random)
        self.limits = limits
        store = ModelStore(epoch: seed)
        bridge = Bridge(identity: try .barn(), stored: store.state, boot: 1, limits: limits)
    }

    var now: Moment { .at(seconds) }

    func refuses(_ text: String) -> Bool { text.hasSuffix("13") }

    mutating func step() throws {
        seconds += 0.05
        switch Int.random(in: 0..<100, using: &random) {
        case 0..<25: publishAtEdge()
        case 25..<45: deliver()
        case 45..<57: finishCommit(fails: random.chance(5))
        case 57..<63: load(fails: random.chance(5))
        case 63..<75: upstream.read(refuses: refuses)
        case 75..<88: answer()
        case 88..<92: try toggleUpstream()
        case 92..<94: toggleEdge()
        case 94..<95: try crash()
        default: sendAnOldAnswer()
        }
        pump()
        bridge.checkInvariants()
    }

    mutating func publishAtEdge() {
        let topic = Int.random(in: 0..<published.count, using: &random)
        published[topic] += 1
        edge.queued.append(EdgeBroker.Message(topic: topic, number: published[topic]))
    }

    mutating func deliver() {
        guard let message = edge.deliver() else { return }
        bridge.received(message, from: .edge, now: now)
    }

    mutating func finishCommit(fails: Bool) {
        if inStore == nil { inStore = bridge.takeTransaction(now: now) }
        guard let transaction = inStore, !random.chance(30) else { return }
        inStore = nil
        guard fails else { return bridge.committed(store.commit(transaction)) }
        // After a failed fsync(2) nobody knows.
        if random.chance(50) { _ = store.commit(transaction) }
        bridge.commitFailed(now: now)
    }

    mutating func load(fails: Bool) {
        guard let request = bridge.nextLoad(now: now) else { return }
        if fails {
            bridge.loadFailed(request.route, now: now)
        } else {
            bridge.loaded(request.route, store.load(request))
        }
    }

    mutating func answer() {
        guard let (token, answer) = upstream.nextAnswer() else { return }
        bridge.published(.upstream, token: token, answer, now: now)
    }

    mutating func sendAnOldAnswer() {
        guard let token = upstream.oldTokens.randomElement(using: &random) else { return }
        bridge.published(.upstream, token: token, .taken, now: now)
    }

    mutating func toggleUpstream() throws {
        if upstream.isConnected {
            upstream.disconnect()
            let end: LinkEnd = random.chance(20) ? .closedByPeer : .other
            let needsNewSession = bridge.disconnected(.upstream, end, now: now)
            if needsNewSession || random.chance(20) {
                upstream.forget()
                bridge.sessionReplaced(.upstream)
            }
        } else {
            upstream.connect()
            bridge.connected(
                .upstream,
                LinkLimits(receiveMaximum: Int.random(in: 1...30, using: &random)), now: now)
        }
    }

    mutating func toggleEdge() {
        if edge.isConnected {
            edge.disconnect()
            _ = bridge.disconnected(.edge, .other, now: now)
        } else {
            edge.isConnected = true
            bridge.connected(.edge, LinkLimits(), now: now)
        }
    }

    /// kill -9: what was on its way to the disk may be there or not; all else is gone.
    mutating func crash() throws {
        crashes += 1
        if let transaction = inStore, random.chance(50) { _ = store.commit(transaction) }
        inStore = nil
        edge.disconnect()
        upstream.disconnect()
        upstream.forget()
        upstream.oldTokens = []
        bridge = Bridge(
            identity: try .barn(), stored: store.state, boot: UInt64(crashes) + 1, limits: limits)
    }

    /// What the shell does after every event.
    mutating func pump() {
        while let delivery = bridge.nextAcknowledgement(.edge) { edge.acknowledged(delivery.id) }
        guard upstream.isConnected else { return }
        while let message = bridge.nextMessage(.upstream, now: now) { upstream.publish(message) }
    }

    /// All faults end; everything must come through.
    mutating func heal() throws {
        if !edge.isConnected { toggleEdge() }
        if !upstream.isConnected { try toggleUpstream() }
        for _ in 0..<20_000 {
            seconds += 0.5
            deliver()
            if inStore == nil { inStore = bridge.takeTransaction(now: now) }
            if let transaction = inStore {
                inStore = nil
                bridge.committed(store.commit(transaction))
            }
            load(fails: false)
            upstream.read(refuses: refuses)
            answer()
            pump()
            let isDone =
                edge.queued.isEmpty && edge.unacknowledged.isEmpty
                && bridge.figures(.up, now: now).queueDepth == 0 && store.batches.up.isEmpty
            if isDone { return }
        }
    }
}

@Suite("A bridge among faults")
struct SimulationTests {
    @Test("misses nothing and keeps the order, whatever happens", arguments: 1...60)
    func nothingMissing(seed: UInt64) throws {
        var world = try World(seed: seed)
        for _ in 0..<3_000 { try world.step() }
        try world.heal()

        #expect(world.edge.queued.isEmpty && world.edge.unacknowledged.isEmpty)
        #expect(world.bridge.figures(.up, now: world.now).queueDepth == 0)
        #expect(world.bridge.figures(.up, now: world.now).forwarder.unreadable == 0)
        let refused = Set(
            world.store.refused.compactMap { message -> String? in
                let record = message.message.record(
                    at: MessageBatch.headerLength, sequence: message.message.firstSequence)
                return String(decoding: message.message.body[record.payload], as: UTF8.self)
            })
        let arrived = Set(world.upstream.received.map(\.text))
        for topic in world.published.indices {
            let all = (1...max(1, world.published[topic])).map { "\(topic) \($0)" }
            let missing = all.filter { !arrived.contains($0) && !refused.contains($0) }
            #expect(missing.isEmpty, "seed \(seed), topic \(topic): missing \(missing)")
            #expect(refused.intersection(all) == Set(all.filter(world.refuses)))
            checkOrder(world, topic: topic, seed: seed)
        }
        checkNumbers(world, seed: seed)
    }

    /// First arrivals of each topic are in order; repetitions go back, never forward.
    private func checkOrder(_ world: World, topic: Int, seed: UInt64) {
        var highest = 0
        for (text, _) in world.upstream.received where text.hasPrefix("\(topic) ") {
            guard let number = Int(text.dropFirst(2)) else { continue }
            let skipped = (highest + 1..<max(highest + 1, number))
                .filter { !world.refuses("\(topic) \($0)") }
            #expect(skipped.isEmpty, "seed \(seed): \(number) came before \(skipped)")
            highest = max(highest, number)
        }
    }

    /// A number stands for one message for ever, and the numbers have no gaps.
    private func checkNumbers(_ world: World, seed: UInt64) {
        var texts: [Int: String] = [:]
        for (text, fleet) in world.upstream.received {
            guard fleet.count >= 4, let number = Int(fleet[2]) else {
                Issue.record("no fleet property on \(text)")
                continue
            }
            #expect(texts[number] == nil || texts[number] == text, "seed \(seed): \(number)")
            texts[number] = text
        }
        for message in world.store.refused { texts[Int(message.message.firstSequence)] = "" }
        let last = Int(world.store.state.nextSequence.up) - 1
        #expect(texts.keys.sorted() == Array(1...max(1, last)), "seed \(seed)")
    }
}
