public import FleetModel
public import MQTT

/// An agent without its machine: time, readings and messages go in, actions come out.
///
/// After every call the shell performs what `takeActions()` returns, in order, and calls
/// `advance(to:)` again at `nextDeadline`.
public struct AgentCore: Sendable {
    /// Where the agent stands with its broker, and whether its name is its own.
    enum Phase: Hashable, Sendable {
        case away
        case online
        /// Another machine has our name and was there first.
        case quiet
        /// Back after being quiet: only our status is published until nobody objects.
        case probation(until: MonotonicTime)
        case stopped
    }

    public let configuration: AgentConfiguration
    var phase = Phase.away
    var actions: [AgentAction] = []
    var generator: SplitMix64

    // Our word on `status`.
    /// When the present state of the connection began.
    var since: Moment
    /// Our own `online` came back: whatever comes now was published after it.
    var heardOurselves = false
    var reassertDue = MonotonicTime.distantFuture
    var lastReassertion = MonotonicTime.zero

    // The clock.
    var clockIsSynchronised: Bool
    var publishedWithoutClock = false
    var clockOffsets: ClockOffsets

    // Sensors and inputs.
    var sensors: [SensorState]
    var inputs: [InputState]
    var stateGroups: StateGroups
    var health: HealthState

    // Commands.
    var memory: CommandMemory
    var pending: [PendingCommand] = []

    /// Begins at `start`; `seed` spreads the sensors' first readings.
    public init(
        _ configuration: AgentConfiguration, commands: [CommandRecord] = [],
        clockOffsets: ClockOffsets = ClockOffsets(), clockIsSynchronised: Bool, seed: UInt64,
        at start: Moment
    ) {
        precondition(configuration.sensors.count <= AgentLimits.sensors)
        self.configuration = configuration
        self.clockIsSynchronised = clockIsSynchronised
        self.clockOffsets = clockOffsets
        since = start
        var generator = SplitMix64(seed: seed)
        sensors = configuration.sensors.map { sensor in
            let spread = min(sensor.interval, AgentLimits.startJitter)
            return SensorState(
                configuration: sensor,
                due: start.monotonic + spread * generator.nextUnit())
        }
        self.generator = generator
        inputs = configuration.inputs.map { InputState(name: $0) }
        stateGroups = StateGroups(
            sensors: configuration.sensors.map(\.name), interval: configuration.stateInterval)
        health = HealthState(rules: configuration.health, start: start.monotonic)
        memory = CommandMemory(records: commands)
        if clockIsSynchronised { memory.prune(unixMilliseconds: start.unixMilliseconds) }
    }

    /// The topic filters that the agent listens to, all at QoS 1 and with "retain as published", so
    /// that a retained command is seen as one.
    public var subscriptions: [String] {
        let node = FleetTopic.Scope.node(configuration.node)
        let site = configuration.site
        return [
            FleetTopic.filter(.status, site: site, scope: node),
            FleetTopic.filter(.commands, site: site, scope: node),
            FleetTopic.filter(.commands, site: site, scope: .allNodes),
        ]
    }

    /// Whether `t` is written; while it is not, the shell looks out for a right clock.
    public var clockIsTrusted: Bool { clockIsSynchronised }

    /// What is to be done since the last call, in order.
    public mutating func takeActions() -> [AgentAction] {
        defer { actions.removeAll(keepingCapacity: true) }
        return actions
    }

    /// Does what is due.
    public mutating func advance(to now: Moment) {
        if case .probation(let until) = phase, until <= now.monotonic { becomeOnline(at: now) }
        if reassertDue <= now.monotonic { reassert(at: now) }
        if takesReadings {
            for index in sensors.indices where sensors[index].startsReading(now: now.monotonic) {
                actions.append(.read(sensor: index))
            }
            for index in sensors.indices where sensors[index].ages(now: now.monotonic) {
                stateGroups.changed(sensor: index)
            }
        }
        if health.startsSample(now: now.monotonic) { actions.append(.sampleHealth) }
        if phase == .online { publishState(at: now) }
    }

    /// When `advance(to:)` has something to do, unless something else happens before.
    public var nextDeadline: MonotonicTime {
        var deadline = min(reassertDue, health.sampleDue)
        if case .probation(let until) = phase { deadline = min(deadline, until) }
        if takesReadings {
            for sensor in sensors { deadline = min(deadline, sensor.due, sensor.staleDeadline) }
        }
        if phase == .online { deadline = min(deadline, stateGroups.due) }
        return deadline
    }

    /// While another machine has our name, nothing is measured under it.
    var takesReadings: Bool { phase == .away || phase == .online }

    /// The payloads' word for `moment`: its civil time, or its time since boot while the clock was
    /// never set.
    mutating func taken(at moment: Moment) -> TakenAt {
        if clockIsSynchronised { return .clock(moment.timestamp) }
        publishedWithoutClock = true
        return .uptime(milliseconds: moment.uptimeMilliseconds)
    }

    mutating func publish(
        _ channel: FleetTopic.Channel, _ payload: [UInt8], retain: Bool = false
    ) {
        actions.append(
            .publish(
                Publication(
                    topic: configuration.topic(channel), payload: payload, retain: retain)))
    }

    mutating func log(_ severity: AgentAction.Severity, _ text: String) {
        actions.append(.log(severity, text))
    }
}
