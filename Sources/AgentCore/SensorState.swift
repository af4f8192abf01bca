import FleetModel
import MQTT

/// One sensor between its readings: when it is due, what it said last, and its counter.
struct SensorState {
    let configuration: SensorConfiguration
    private(set) var due: MonotonicTime
    /// A reading was asked for and has not come.
    private(set) var isReading = false
    private(set) var last: State.Entry?
    private(set) var number = 0
    private var lastArrival: MonotonicTime
    private var lastPublished: MonotonicTime = .zero

    /// A sensor is stale when nothing came of it for this many intervals.
    private static let staleIntervals = 3

    init(configuration: SensorConfiguration, due: MonotonicTime) {
        self.configuration = configuration
        self.due = due
        lastArrival = due
    }

    /// Whether a reading starts now. Readings missed while one was under way, or while the machine
    /// slept, are left out: the next falls on the grid of the interval again.
    mutating func startsReading(now: MonotonicTime) -> Bool {
        guard due <= now else { return false }
        let interval = max(configuration.interval, .milliseconds(1))
        due = due + interval
        if due <= now { due = now + interval }
        guard !isReading else { return false }
        isReading = true
        return true
    }

    /// Takes a reading; returns whether it is to be published as the measurement `number`.
    mutating func take(
        _ reading: Reading, taken: TakenAt, now: MonotonicTime
    ) -> Bool {
        isReading = false
        lastArrival = now
        let good: Quality = configuration.isSimulated ? .simulated : .good
        let checked = reading.checked(
            minimum: configuration.minimum, maximum: configuration.maximum)
        switch checked {
        case .value(let value):
            last = State.Entry(taken: taken, value: value, quality: good)
        case .failed(let why):
            let why = why.asReason
            let isNews = last?.quality != .bad || last?.why != why
            let isHeartbeat = now - lastPublished >= configuration.heartbeat
            guard isNews || isHeartbeat else { return false }
            last = State.Entry(taken: taken, value: nil, quality: .bad, why: why)
        }
        lastPublished = now
        return true
    }

    /// Gives the next number; numbers have no gaps, so only a published measurement takes one.
    mutating func takeNumber() -> Int {
        number += 1
        return number
    }

    /// A reading that went nowhere (the agent was quiet): the next one is news again.
    mutating func forgetPublication() { last = nil }

    private var staleSince: MonotonicTime {
        lastArrival + configuration.interval * Self.staleIntervals
    }

    /// When the last value becomes stale, should nothing come.
    var staleDeadline: MonotonicTime {
        switch last?.quality {
        case .good, .simulated: staleSince
        default: .distantFuture
        }
    }

    /// Marks the last value as stale when its time has come; returns whether that is new.
    mutating func ages(now: MonotonicTime) -> Bool {
        guard staleDeadline <= now else { return false }
        last?.quality = .stale
        return true
    }
}

extension String {
    /// The text without control characters and cut to `AgentLimits.whyBytes`: a broken sensor's
    /// words end up in retained payloads of bounded size.
    var asReason: String {
        var reason = ""
        var bytes = 0
        for scalar in unicodeScalars {
            let scalar = scalar.value < 0x20 || scalar.value == 0x7F ? " " : scalar
            bytes += UTF8.width(scalar)
            if bytes > AgentLimits.whyBytes { break }
            reason.unicodeScalars.append(scalar)
        }
        return reason
    }
}
