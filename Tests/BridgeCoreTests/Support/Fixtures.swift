import FleetModel
import MQTT

@testable import BridgeCore

/// A generator whose seed replays a run.
struct SplitMix: RandomNumberGenerator {
    var state: UInt64
    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }

    mutating func chance(_ percent: Int) -> Bool { Int.random(in: 0..<100, using: &self) < percent }
}

extension BridgeIdentity {
    static func barn() throws -> BridgeIdentity {
        BridgeIdentity(
            site: try Site("farm"), node: try NodeName("gate"), upstream: try UpstreamName("cloud"))
    }
}

extension Moment {
    static func at(_ seconds: Double) -> Moment {
        Moment(
            monotonic: MonotonicTime(nanoseconds: UInt64(seconds * 1e9)),
            unixMilliseconds: 1_732_181_234_000 + UInt64(seconds * 1000))
    }
}

extension ArrivingMessage {
    init(
        _ topic: String, _ payload: String = "x", qos: QoS = .atLeastOnce, retain: Bool = false,
        properties: MessageProperties = MessageProperties(), delivery: UInt64? = nil
    ) {
        self.init(
            topic: Array(topic.utf8), payload: Array(payload.utf8), properties: properties,
            qos: qos, retain: retain, delivery: delivery.map { Delivery(id: $0) })
    }
}

extension ForwardedMessage {
    var topicText: String { String(decoding: topic, as: UTF8.self) }
    var payloadText: String { String(decoding: payload, as: UTF8.self) }
    /// The value of the `fleet` property, cut at its colons.
    var fleet: [String] {
        guard let value = properties.userProperty("fleet") else { return [] }
        return String(decoding: value, as: UTF8.self).split(separator: ":").map(String.init)
    }
}

/// What a store on disk holds; it survives the bridge.
struct ModelStore {
    private(set) var state: StoredState
    private(set) var batches = PerRoute<[MessageBatch]>(up: [], down: [])
    private(set) var refused: [RefusedMessage] = []

    init(epoch: UInt64 = 0x1F2E) { state = StoredState(epoch: epoch) }

    mutating func commit(_ transaction: StoreTransaction) -> CommitResult {
        var freed = PerRoute(up: 0, down: 0)
        for route in Route.allCases {
            // In the store already, when a commit that was told as failed had happened.
            if transaction.nextSequence[route] > state.nextSequence[route] {
                batches[route] += transaction.batches[route]
                state.nextSequence[route] = transaction.nextSequence[route]
            }
            let through = transaction.acknowledgedThrough[route]
            precondition(through >= state.acknowledgedThrough[route], "an answer is taken back")
            freed[route] = batches[route].filter { $0.lastSequence <= through }
                .reduce(0) { $0 + $1.body.count }
            batches[route].removeAll { $0.lastSequence <= through }
            state.bytes[route] = batches[route].reduce(0) { $0 + $1.body.count }
        }
        state.acknowledgedThrough = transaction.acknowledgedThrough
        for message in transaction.refused
        where !refused.contains(where: {
            $0.route == message.route
                && $0.message.firstSequence == message.message.firstSequence
        }) {
            refused.append(message)
        }
        state.refused.kept = refused.count
        return CommitResult(freedBytes: freed, refused: state.refused)
    }

    func load(_ request: LoadRequest) -> [MessageBatch] {
        var read: [MessageBatch] = []
        var bytes = 0
        for batch in batches[request.route] where batch.lastSequence > request.after {
            guard read.isEmpty || bytes + batch.body.count <= request.maximumBytes else { break }
            bytes += batch.body.count
            read.append(batch)
        }
        return read
    }

    mutating func lose(_ route: Route, at index: Int) { batches[route].remove(at: index) }
}

/// A bridge by reference, because `#expect` takes no mutating calls.
final class TestBridge {
    var core: Bridge

    init(over store: ModelStore, boot: UInt64 = 1, limits: BridgeLimits = BridgeLimits()) throws {
        core = Bridge(identity: try .barn(), stored: store.state, boot: boot, limits: limits)
    }

    /// Does everything that waits for the store.
    func settle(_ store: inout ModelStore, now: Moment) {
        while true {
            if let transaction = core.takeTransaction(now: now) {
                core.committed(store.commit(transaction))
            } else if let request = core.nextLoad(now: now) {
                core.loaded(request.route, store.load(request))
            } else {
                break
            }
            core.checkInvariants()
        }
    }

    func messages(to side: Side, now: Moment) -> [ForwardedMessage] {
        var all: [ForwardedMessage] = []
        while let message = core.nextMessage(side, now: now) { all.append(message) }
        core.checkInvariants()
        return all
    }

    func acknowledgements(_ side: Side) -> [UInt64] {
        var all: [UInt64] = []
        while let delivery = core.nextAcknowledgement(side) { all.append(delivery.id) }
        return all
    }

    func received(_ message: ArrivingMessage, from side: Side, now: Moment) {
        core.received(message, from: side, now: now)
    }

    func connected(_ side: Side, _ link: LinkLimits, now: Moment) {
        core.connected(side, link, now: now)
    }

    func disconnected(_ side: Side, _ end: LinkEnd, now: Moment) -> Bool {
        core.disconnected(side, end, now: now)
    }

    func takeTransaction(now: Moment) -> StoreTransaction? { core.takeTransaction(now: now) }
    func committed(_ result: CommitResult) { core.committed(result) }
    func commitFailed(now: Moment) { core.commitFailed(now: now) }
    func figures(_ route: Route) -> RouteFigures { core.figures(route, now: .at(0)) }
}
