public import FleetModel

/// What an agent is and what it is to do; checked by the shell that reads it.
public struct AgentConfiguration: Sendable {
    public var site: Site
    public var node: NodeName
    public var instance: Instance
    /// max(last + 1, Unix seconds), stored before the first connection.
    public var session: Int
    public var boot: BootID
    public var sensors: [SensorConfiguration]
    public var inputs: [InputName]
    public var info: Info
    public var health = HealthRules()
    /// `state` is published when it changed, at most this often.
    public var stateInterval: Duration = .seconds(10)

    public init(
        site: Site, node: NodeName, instance: Instance, session: Int, boot: BootID,
        sensors: [SensorConfiguration] = [], inputs: [InputName] = [], info: Info = Info()
    ) {
        self.site = site
        self.node = node
        self.instance = instance
        self.session = session
        self.boot = boot
        self.sensors = sensors
        self.inputs = inputs
        self.info = info
    }

    func topic(_ channel: FleetTopic.Channel) -> FleetTopic {
        FleetTopic(site: site, node: node, channel: channel)
    }
}

/// One sensor's schedule and form.
public struct SensorConfiguration: Hashable, Sendable {
    public var name: SensorName
    public var unit: Unit?
    public var interval: Duration
    /// How often a sensor that stays bad says so again.
    public var heartbeat: Duration
    /// Values outside are `bad`.
    public var minimum: Double?
    public var maximum: Double?
    /// Values are of a simulation and marked so.
    public var isSimulated: Bool
    /// QoS 0 instead of 1: outside the promise that nothing is missing.
    public var isUnreliable: Bool

    public init(
        name: SensorName, unit: Unit? = nil, interval: Duration = .seconds(60),
        heartbeat: Duration = .seconds(300), minimum: Double? = nil, maximum: Double? = nil,
        isSimulated: Bool = false, isUnreliable: Bool = false
    ) {
        self.name = name
        self.unit = unit
        self.interval = interval
        self.heartbeat = heartbeat
        self.minimum = minimum
        self.maximum = maximum
        self.isSimulated = isSimulated
        self.isUnreliable = isUnreliable
    }
}

/// When `health` is published.
public struct HealthRules: Hashable, Sendable {
    public var interval: Duration = .seconds(60)
    /// How often the machine is looked at for the thresholds.
    public var sampleInterval: Duration = .seconds(10)
    /// Degrees Celsius; a Raspberry Pi slows down at 80 and more at 85.
    public var maximumTemperature = 80.0
    /// Available memory below this ratio.
    public var minimumMemory = 0.05
    /// Available disk below this ratio.
    public var minimumDisk = 0.05

    public init() {}
}

/// Named limits of one agent.
public enum AgentLimits {
    /// Sensors of one agent; their `state` then fits into three retained topics, and a node keeps
    /// to eight in all.
    public static let sensors = 128
    /// The size of one `state` payload.
    public static let stateBytes = 16_384
    /// The length of a reason in `why`, in bytes; longer ones are cut.
    public static let whyBytes = 80
    /// Commands that run at the same time; more are refused.
    public static let runningCommands = 8
    /// Commands whose ids are kept; see `CommandMemory`.
    public static let rememberedCommands = 4096
    /// How long they are kept.
    public static let commandMemory: Duration = .seconds(7 * 86_400)
    /// The time between two answers to a foreign or late word on our own status.
    public static let reassertSpacing: Duration = .seconds(1)
    /// How long an agent whose name another machine has stays away before it tries again.
    public static let quietTime: Duration = .seconds(300)
    /// How long it then waits for an objection before it publishes more than its status.
    public static let probation: Duration = .seconds(5)
    /// The first readings are spread over at most this long.
    public static let startJitter: Duration = .seconds(5)
}
