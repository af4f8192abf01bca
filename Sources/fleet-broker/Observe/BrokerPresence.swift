import BrokerCore
import Daemon
import FleetModel
import IO

/// What the broker says of itself by the fleet protocol: `service/broker`, retained.
struct BrokerPresence {
    let topic: FleetTopic
    private let instance: Instance?
    /// Absent while the clock was never set.
    private let since: Timestamp?
    private var said: ServiceState?

    /// `nil` where the machine has no name: it is logged, and the broker serves without.
    init?(_ place: ObserveSettings.FleetPlace, state: StateDirectory, log: Log) {
        let machine = MachineIdentity.read()
        guard let site = try? Site(place.site), let service = try? ServiceName("broker"),
            let node = place.node ?? machine.defaultNodeName
        else {
            log.warning(
                "this machine has no name of its own, so nothing is published of this service",
                ["hint": "set fleet.node, or its host name; or fleet.service = false"])
            return nil
        }
        topic = FleetTopic(site: site, node: node, channel: .service(service))
        do throws(DaemonError) {
            instance = try InstanceFile.load(folder: state.path, machine: machine).instance
        } catch {
            log.error("the instance cannot be kept; none is published", ["error": error])
            instance = nil
        }
        since =
            SystemClock.isSynchronized
            ? Timestamp(unixMilliseconds: SystemClock.unixMilliseconds()) : nil
    }

    /// The payload, if it says something new.
    mutating func online(_ figures: BrokerFigures) -> [UInt8]? {
        var service = service(.online)
        service.counters = Self.counters(figures)
        guard service != said else { return nil }
        said = service
        return service.encode()
    }

    func offline() -> [UInt8] { service(.offline).encode() }

    private func service(_ state: Presence) -> ServiceState {
        ServiceState(
            state: state, version: FleetVersion.current, instance: instance, since: since)
    }

    private static func counters(_ figures: BrokerFigures) -> JSONObject {
        func integer(_ value: UInt64) -> JSONValue { .integer(Int64(clamping: value)) }
        var counters: JSONObject = [
            "connections": .integer(Int64(figures.shards.connected.total)),
            "sessions": .integer(Int64(figures.shards.sessions)),
            "queue": .integer(Int64(figures.shards.survey.queuedMessages)),
            "queue_bytes": .integer(Int64(figures.shards.survey.queuedBytes)),
            "oldest_seconds": .integer(Int64(figures.oldestSeconds)),
            "dropped": .object(
                JSONObject(figures.counters.dropped.map { .init($0.reason, integer($0.count)) })),
            "store": .string(figures.store.state.rawValue),
        ]
        if figures.store.state != .none {
            counters["stores_quarantined"] = .integer(Int64(figures.store.quarantined))
        }
        return counters
    }
}
