import BrokerCore
import Config
import MQTT

extension BrokerSettings {
    /// `durability`, `[[topic]]`, `[store]` and `[[client]]`.
    mutating func readDurability(_ reader: ConfigurationReader) {
        let standard = reader.choice("durability", default: DurabilityName.process)
        let rules = reader.tables("topic").compactMap { Self.readTopic($0) }
        broker.durability = DurabilityRules(standard.durability, rules: rules)
        // Whoever wants nothing kept wants no exceptions that he has not made.
        if standard != .memory { broker.durability.rules += Self.fleetRules }
        readStore(reader.table("store"))
        broker.reserved = reader.tables("client").compactMap { Self.readClient($0) }
        if !broker.reserved.isEmpty && !broker.durability.needsStore {
            reader.problem(
                "client", "a reserved session needs a store",
                hint: "set durability = \"process\"")
        }
    }

    /// Alarms and events of the fleet protocol.
    private static var fleetRules: [DurabilityRules.Rule] {
        ["fleet/v1/+/+/alarm/#", "fleet/v1/+/+/event/#"].compactMap { text in
            (try? TopicFilter(text)).map { DurabilityRules.Rule($0, .power) }
        }
    }

    private static func readTopic(_ reader: ConfigurationReader) -> DurabilityRules.Rule? {
        let filter = reader.requiredParsed("filter") { text in
            do throws(TopicError) {
                return try TopicFilter(text, sharedSubscriptions: false)
            } catch {
                throw ConfigurationProblem(
                    "\"\(text)\" is no topic filter: \(error.detail)",
                    hint: "write one as clients subscribe to it, \"alarms/#\"")
            }
        }
        let durability = reader.choice("durability", default: DurabilityName.process)
        return filter.map { DurabilityRules.Rule($0, durability.durability) }
    }

    private mutating func readStore(_ reader: ConfigurationReader) {
        var limits = JournalLimits()
        limits.storeBytes = reader.size(
            "size", default: limits.storeBytes, in: 1_048_576...(1 << 40))
        store.freeDiskFloor = reader.size(
            "free_disk_floor", default: store.freeDiskFloor, in: 0...(1 << 40))
        limits.flushInterval = reader.duration(
            "flush_interval", default: limits.flushInterval, in: .zero...(.seconds(60)))
        limits.uncommittedBytes = reader.size(
            "uncommitted_size", default: limits.uncommittedBytes, in: 65_536...(1 << 32))
        broker.limits.storePatience = reader.duration(
            "patience", default: broker.limits.storePatience, in: .zero...(.seconds(3_600)))
        broker.journal = limits
    }

    private static func readClient(_ reader: ConfigurationReader) -> ReservedSession? {
        let id = reader.string("id")
        let user = reader.string("user")
        guard id != nil || user != nil else {
            reader.reportMissing("id")
            return nil
        }
        guard reader.boolean("reserved", default: false) else { return nil }
        return ReservedSession(
            clientID: id.map { Array($0.utf8) }, user: user.map { Array($0.utf8) })
    }
}

/// `Durability` as the configuration names it.
enum DurabilityName: String, CaseIterable, Sendable {
    case memory
    case process
    case power

    var durability: Durability {
        switch self {
        case .memory: .memory
        case .process: .process
        case .power: .power
        }
    }
}
