public import FleetModel
public import MQTT

/// What the core asks its shell to do, in order.
public enum AgentAction: Hashable, Sendable {
    case publish(Publication)
    /// Read a sensor, by its index, and answer with `reading(sensor:...)` once.
    case read(sensor: Int)
    /// Look at the machine and answer with `healthSampled(...)` once.
    case sampleHealth
    /// Make it durable, then answer with `remembered(...)`.
    case remember(CommandRecord)
    /// The message may be acknowledged to the broker now.
    case acknowledge(delivery: UInt64)
    /// Gather the full inventory and answer with `inventoryGathered(...)` once.
    case gatherInventory(RequestID)
    /// Make the offsets of boots without a clock durable.
    case storeClock(ClockOffsets)
    /// Disconnect (without the will) and connect again after that time.
    case disconnect(retryAfter: Duration)
    case log(Severity, String)

    public enum Severity: Hashable, Sendable {
        case info, warning, error
    }
}

/// One message to publish.
public struct Publication: Hashable, Sendable {
    public var topic: [UInt8]
    public var payload: [UInt8]
    public var qos: QoS
    public var retain: Bool
    /// MQTT 5 Correlation Data of the request that it answers.
    public var correlationData: [UInt8]?
    /// Set on measurements at QoS 1: the line for the agent's own list of what it measured.
    public var record: MeasurementRecord?

    init(
        topic: FleetTopic, payload: [UInt8], qos: QoS = .atLeastOnce, retain: Bool = false,
        record: MeasurementRecord? = nil
    ) {
        self.topic = topic.bytes
        self.payload = payload
        self.qos = qos
        self.retain = retain
        self.record = record
    }
}

/// What an agent notes of a measurement before it publishes it.
public struct MeasurementRecord: Hashable, Sendable {
    public var topic: String
    public var number: Int
    public var taken: TakenAt
    public var value: Double?

    /// Topic, `n`, `t` (empty while the clock was not set) and `v` (empty where there is no value),
    /// with tabs between and without a line feed.
    public var line: String {
        let time = taken.timestamp?.description ?? ""
        return "\(topic)\t\(number)\t\(time)\t\(value.map { $0.description } ?? "")"
    }
}
