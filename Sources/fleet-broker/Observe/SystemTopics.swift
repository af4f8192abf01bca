import BrokerCore
import Daemon
import FleetModel

/// What is published below `$SYS/broker/`: the names that Mosquitto has, so that dashboards made for it
/// work, and our own.
///
/// Every value is retained, so that only what has changed needs to be said.
struct SystemTopics {
    struct Message: Sendable, Equatable {
        var topic: [UInt8]
        var payload: [UInt8]
    }

    private var loads = LoadAverages()
    private var lastUptime: Duration?
    /// What was said last, in the order of `values`.
    private var said: [String] = []

    static let prefix = "$SYS/broker/"

    /// The messages that tell what has changed since the last call; at first all.
    mutating func messages(_ figures: BrokerFigures) -> [Message] {
        noteLoads(figures)
        let values = Self.values(figures) + loadValues
        let isFirst = said.count != values.count
        var messages: [Message] = []
        for (index, value) in values.enumerated() where isFirst || said[index] != value.text {
            messages.append(
                Message(
                    topic: Array((Self.prefix + value.name).utf8), payload: Array(value.text.utf8)))
        }
        said = values.map(\.text)
        return messages
    }

    private typealias Value = (name: String, text: String)

    private static func values(_ figures: BrokerFigures) -> [Value] {
        var values: [Value] = []
        func add(_ name: String, _ value: some CustomStringConvertible) {
            values.append((name, value.description))
        }
        add("version", "fleet-broker version \(FleetVersion.current)")
        add("uptime", "\(figures.uptime.components.seconds) seconds")
        addClients(figures, add: { add($0, $1) })
        addTraffic(figures.counters, add: { add($0, $1) })
        let held = figures.shards
        add("messages/stored", figures.storedMessages)
        add("messages/inflight", held.survey.inFlight)
        add("subscriptions/count", held.subscriptions)
        add("shared_subscriptions/count", held.sharedSubscriptions)
        add("retained messages/count", held.retainedMessages)
        add("store/messages/count", figures.storedMessages)
        add("store/messages/bytes", held.retainedBytes + held.survey.queuedBytes)
        add("heap/current", figures.process?.anonymousBytes ?? 0)
        add("heap/maximum", figures.heapMaximum)
        addOwn(figures, add: { add($0, $1) })
        return values
    }

    private static func addClients(_ figures: BrokerFigures, add: (String, Int) -> Void) {
        let connected = figures.shards.connected.total
        let away = max(0, figures.shards.sessions - connected)
        add("clients/total", connected + away)
        add("clients/connected", connected)
        add("clients/active", connected)
        add("clients/disconnected", away)
        add("clients/inactive", away)
        add("clients/maximum", figures.clientsMaximum)
        add("clients/expired", Int(clamping: figures.counters.sessionsExpired))
    }

    private static func addTraffic(_ counters: BrokerCounters, add: (String, UInt64) -> Void) {
        add("messages/received", counters.packetsReceived)
        add("messages/sent", counters.packetsSent)
        add("publish/messages/received", counters.publishesReceived)
        add("publish/messages/sent", counters.publishesSent)
        add("publish/messages/dropped", dropped(counters))
        add("publish/bytes/received", counters.publishBytesReceived)
        add("publish/bytes/sent", counters.publishBytesSent)
        add("bytes/received", counters.bytesReceived)
        add("bytes/sent", counters.bytesSent)
    }

    /// What Mosquitto has no name for.
    private static func addOwn(_ figures: BrokerFigures, add: (String, String) -> Void) {
        for (reason, count) in figures.counters.dropped { add("dropped/\(reason)", "\(count)") }
        for (reason, count) in figures.counters.refused { add("refused/\(reason)", "\(count)") }
        add("memory/used", "\(figures.shards.memoryBytes)")
        add("memory/limit", "\(figures.shards.memoryLimit)")
        add("queue/messages", "\(figures.shards.survey.queuedMessages)")
        add("queue/bytes", "\(figures.shards.survey.queuedBytes)")
        add("queue/oldest", "\(figures.oldestSeconds) seconds")
        add("store/state", figures.store.state.rawValue)
        add("store/quarantined", "\(figures.store.quarantined)")
        add("store/bytes/written", "\(figures.store.writtenBytes)")
        add("store/commits", "\(figures.store.commits)")
        add("store/commit/microseconds", "\(figures.store.lastCommit?.microseconds ?? 0)")
    }

    /// Mosquitto counts what its limits made it drop, and so do we here.
    private static func dropped(_ counters: BrokerCounters) -> UInt64 {
        counters.droppedSlowReader &+ counters.droppedQueueFull &+ counters.droppedMemory
    }

    // MARK: Loads

    private static let loadNames = [
        "messages/received", "messages/sent", "publish/dropped", "publish/received",
        "publish/sent", "bytes/received", "bytes/sent", "sockets", "connections",
    ]

    private mutating func noteLoads(_ figures: BrokerFigures) {
        let counters = figures.counters
        let seconds = lastUptime.map { (figures.uptime - $0).seconds } ?? 0
        lastUptime = figures.uptime
        loads.note(
            [
                counters.packetsReceived, counters.packetsSent, Self.dropped(counters),
                counters.publishesReceived, counters.publishesSent, counters.bytesReceived,
                counters.bytesSent, counters.connectionsOpened, counters.connectsReceived,
            ], after: seconds)
    }

    private var loadValues: [Value] {
        var values: [Value] = []
        for (name, averages) in zip(Self.loadNames, loads.averages) {
            for (window, average) in zip(LoadAverages.windows, averages) {
                values.append(("load/\(name)/\(window.name)", LoadAverages.text(average)))
            }
        }
        return values
    }
}

extension Duration {
    var seconds: Double {
        let (seconds, attoseconds) = components
        return Double(seconds) + Double(attoseconds) / 1e18
    }

    var microseconds: Int64 {
        let (seconds, attoseconds) = components
        return seconds &* 1_000_000 &+ attoseconds / 1_000_000_000_000
    }
}
