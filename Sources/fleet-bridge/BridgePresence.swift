import BridgeCore
import FleetModel
import MQTT

/// What the bridge says of itself: `link/<upstream>` on the upstream, `service/bridge` on both sides.
struct BridgePresence {
    let instance: Instance
    let session: Int
    let linkTopic: FleetTopic
    let serviceTopic: FleetTopic
    private let startedAt: Timestamp

    init(
        identity: BridgeIdentity, instance: Instance, session: Int, startedAt: Timestamp
    ) throws(NameError) {
        self.instance = instance
        self.session = session
        self.startedAt = startedAt
        linkTopic = identity.linkTopic
        serviceTopic = try identity.serviceTopic()
    }

    /// - Parameter since: when the connection was made, or ended.
    func link(_ state: Presence, since: Timestamp) -> Link {
        Link(
            state: state, instance: instance, session: session, since: since,
            version: FleetVersion.current, why: state == .offline ? "stopped" : nil)
    }

    func service(_ state: Presence) -> ServiceState {
        ServiceState(
            state: state, version: FleetVersion.current, instance: instance, session: session,
            since: startedAt)
    }

    /// Wills have no time: they are written before what they tell happens.
    var linkWill: ClientWill {
        will(linkTopic, Link(state: .offline, instance: instance, session: session).encode())
    }

    var serviceWill: ClientWill {
        will(
            serviceTopic,
            ServiceState(state: .offline, instance: instance, session: session).encode())
    }

    private func will(_ topic: FleetTopic, _ payload: [UInt8]) -> ClientWill {
        ClientWill(
            OutgoingMessage(topic: topic.bytes, payload: payload, qos: .atLeastOnce, retain: true))
    }

    /// `service/bridge` with its figures; those of the way up at the top, as `fleet status` reads them.
    func service(
        _ state: Presence, core: Bridge, quarantined: Int, now: Moment
    ) -> ServiceState {
        let up = core.figures(.up, now: now)
        var counters = Self.counters(up)
        counters["refused_kept"] = .integer(Int64(core.refused.kept))
        counters["refused_evicted"] = .integer(Int64(core.refused.evicted))
        counters["store_failures"] = .integer(Int64(core.storeFailures))
        counters["stores_quarantined"] = .integer(Int64(quarantined))
        counters["down"] = .object(Self.counters(core.figures(.down, now: now)))
        var service = service(state)
        service.counters = counters
        return service
    }

    private static func counters(_ figures: RouteFigures) -> JSONObject {
        func integer(_ value: UInt64) -> JSONValue { .integer(Int64(clamping: value)) }
        var counters: JSONObject = [
            "queue": integer(figures.queueDepth),
            "oldest_seconds": integer((figures.oldestAgeMilliseconds ?? 0) / 1000),
            "queue_bytes": .integer(Int64(figures.queueBytes)),
            "in_flight": .integer(Int64(figures.inFlight)),
            "received": integer(figures.intake.received),
            "forwarded": integer(figures.forwarder.forwarded),
            "refused": integer(figures.forwarder.refused),
            "dropped": .object([
                "expired": integer(figures.forwarder.expired),
                "qos0_store_full": integer(figures.intake.droppedFull),
                "unreadable": integer(figures.forwarder.unreadable),
            ]),
        ]
        if figures.isFull { counters["full"] = .bool(true) }
        return counters
    }
}
