import FleetModel
import MQTT

/// Which sensors share a `state` topic, and which topics are due.
///
/// The groups are fixed at start by the longest entry that a sensor can have, so a sensor never
/// wanders from one topic to another and leaves an old value behind.
struct StateGroups {
    private let groups: [Range<Int>]
    private let groupOfSensor: [Int]
    private let interval: Duration
    private var isChanged: [Bool]
    private var nextPublication: MonotonicTime = .zero

    /// The longest entry beside the sensor's name: time, value, quality and punctuation, and a
    /// reason that is all quotation marks.
    static let entryBytes = 110 + 2 * AgentLimits.whyBytes

    init(sensors: [SensorName], interval: Duration) {
        self.interval = interval
        var groups: [Range<Int>] = []
        var start = 0
        var bytes = 0
        for (index, name) in sensors.enumerated() {
            let entry = name.text.utf8.count + Self.entryBytes
            if bytes + entry > AgentLimits.stateBytes {
                groups.append(start..<index)
                start = index
                bytes = 0
            }
            bytes += entry
        }
        groups.append(start..<sensors.count)
        self.groups = groups
        groupOfSensor = groups.enumerated().flatMap { number, range in range.map { _ in number } }
        isChanged = groups.map { _ in false }
    }

    func sensors(of group: Int) -> Range<Int> { groups[group] }

    /// `state`, then `state/2`, `state/3` and so on.
    func channel(of group: Int) -> FleetTopic.Channel {
        guard group > 0, let name = try? SensorName(String(group + 1)) else { return .state }
        return .stateGroup(name)
    }

    mutating func changed(sensor: Int) { isChanged[groupOfSensor[sensor]] = true }

    /// A connection is new: everything is due.
    mutating func publishAllNow() {
        for group in isChanged.indices { isChanged[group] = true }
        nextPublication = .zero
    }

    var due: MonotonicTime { isChanged.contains(true) ? nextPublication : .distantFuture }

    /// The groups to publish now.
    func due(now: MonotonicTime) -> [Int] {
        nextPublication <= now ? isChanged.indices.filter { isChanged[$0] } : []
    }

    /// A group was published: what follows waits for the interval.
    mutating func published(group: Int, now: MonotonicTime) {
        isChanged[group] = false
        nextPublication = now + interval
    }

    /// A group of which nothing is known yet.
    mutating func skipped(group: Int) { isChanged[group] = false }
}
