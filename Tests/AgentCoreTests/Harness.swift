import AgentCore
import FleetModel
import MQTT
import Testing

/// An agent with a virtual clock; what it publishes is collected.
struct Harness {
    var core: AgentCore
    var now: Moment
    var published: [Publication] = []
    var others: [AgentAction] = []

    static let start = Moment(
        monotonic: MonotonicTime(nanoseconds: 20_000_000_000), unixMilliseconds: 1_732_181_234_000)
    static let instance = Instance(bits: 0x10)
    static let boot = BootID(bits: 0x1f)

    init(
        sensors: [SensorConfiguration] = [], inputs: [InputName] = [],
        commands: [CommandRecord] = [], clock: Bool = true, seed: UInt64 = 1
    ) throws {
        now = Self.start
        let configuration = AgentConfiguration(
            site: try Site("home"), node: try NodeName("barn"), instance: Self.instance,
            session: 1_732_181_234, boot: Self.boot, sensors: sensors, inputs: inputs)
        core = AgentCore(
            configuration, commands: commands, clockIsSynchronised: clock, seed: seed, at: now)
    }

    /// Lets time pass, and the core act whenever it asked to; returns what was to be read.
    mutating func pass(_ duration: Duration) -> [(sensor: Int, at: Moment)] {
        var reads: [(sensor: Int, at: Moment)] = []
        let end = now.monotonic + duration
        var calls = 0
        while core.nextDeadline <= end, calls < 100_000 {
            calls += 1
            move(to: max(core.nextDeadline, now.monotonic))
            core.advance(to: now)
            for action in core.takeActions() {
                if case .read(let sensor) = action { reads.append((sensor, now)) }
                collect(action)
            }
        }
        move(to: end)
        return reads
    }

    private mutating func move(to time: MonotonicTime) {
        now.unixMilliseconds += Int64((time.nanoseconds - now.monotonic.nanoseconds) / 1_000_000)
        now.monotonic = time
    }

    private mutating func collect(_ action: AgentAction) {
        if case .publish(let publication) = action {
            published.append(publication)
        } else {
            others.append(action)
        }
    }

    /// Calls the core and collects what it wants done.
    mutating func act(_ body: (inout AgentCore, Moment) -> Void) {
        body(&core, now)
        for action in core.takeActions() { collect(action) }
    }

    mutating func connect() { act { $0.connected(at: $1) } }

    mutating func read(_ sensor: Int, _ reading: Reading) {
        act { $0.reading(sensor: sensor, reading, taken: $1, at: $1) }
    }

    mutating func receive(
        _ topic: String, _ payload: InboundMessage.Payload, retain: Bool = false,
        responseTopic: String? = nil, correlation: [UInt8]? = nil, delivery: UInt64? = 1
    ) {
        act {
            $0.received(
                InboundMessage(
                    topic: Array(topic.utf8), payload: payload, retain: retain,
                    responseTopic: responseTopic.map { Array($0.utf8) },
                    correlationData: correlation, delivery: delivery), at: $1)
        }
    }

    /// Topics and payloads published since the last call.
    mutating func take() -> [(topic: String, payload: String)] {
        defer {
            published = []
            others = []
        }
        return published.map {
            (String(decoding: $0.topic, as: UTF8.self), String(decoding: $0.payload, as: UTF8.self))
        }
    }

    /// The broker hands our own `status` back, as it does.
    mutating func hearOurselves() {
        let status = Status(
            state: .online, instance: Self.instance, session: 1_732_181_234)
        receive("fleet/v1/home/barn/status", .json(status.json), delivery: nil)
    }

    mutating func hear(_ status: Status, retain: Bool = false) {
        receive("fleet/v1/home/barn/status", .json(status.json), retain: retain, delivery: nil)
    }
}

extension SensorConfiguration {
    static func every(_ seconds: Int, _ name: String = "t") throws -> SensorConfiguration {
        SensorConfiguration(
            name: try SensorName(name), unit: .celsius, interval: .seconds(seconds))
    }
}
