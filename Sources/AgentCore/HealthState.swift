import FleetModel
import MQTT

/// When the machine is looked at, and when that is worth a message.
struct HealthState {
    private let rules: HealthRules
    private(set) var sampleDue: MonotonicTime
    private(set) var latest: Health?
    private var isSampling = false
    private var nextPublication: MonotonicTime = .zero
    private var publishedAlerts: Alerts = []

    /// What is past its threshold.
    struct Alerts: OptionSet {
        let rawValue: UInt8
        static let temperature = Alerts(rawValue: 1)
        static let memory = Alerts(rawValue: 2)
        static let disk = Alerts(rawValue: 4)
        static let throttled = Alerts(rawValue: 8)
    }

    init(rules: HealthRules, start: MonotonicTime) {
        self.rules = rules
        sampleDue = start
    }

    mutating func startsSample(now: MonotonicTime) -> Bool {
        guard sampleDue <= now else { return false }
        sampleDue = now + max(rules.sampleInterval, .milliseconds(1))
        guard !isSampling else { return false }
        isSampling = true
        return true
    }

    /// Takes a sample; returns whether it is to be published: the minute is over, or it is the
    /// first one past a threshold or back from it.
    mutating func take(_ sample: Health, now: MonotonicTime) -> Bool {
        isSampling = false
        latest = sample
        return nextPublication <= now || alerts(of: sample) != publishedAlerts
    }

    mutating func published(now: MonotonicTime) {
        nextPublication = now + rules.interval
        publishedAlerts = latest.map { alerts(of: $0) } ?? []
    }

    /// Bits 0 to 3 of the firmware's word are what is the case now; the upper ones, what once was.
    private static let throttledNow = 0xF

    private func alerts(of sample: Health) -> Alerts {
        var alerts: Alerts = []
        if let temperature = sample.temperature, temperature >= rules.maximumTemperature {
            alerts.insert(.temperature)
        }
        if let memory = sample.memory, memory.availableRatio < rules.minimumMemory {
            alerts.insert(.memory)
        }
        if let disk = sample.disk, disk.availableRatio < rules.minimumDisk { alerts.insert(.disk) }
        if let throttled = sample.throttled, throttled & Self.throttledNow != 0 {
            alerts.insert(.throttled)
        }
        return alerts
    }
}
