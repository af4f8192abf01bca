import MQTT

/// What an acknowledgement promises of the state behind it.
public enum Durability: UInt8, Sendable, Comparable {
    /// It lives and dies with the process; nothing is written.
    case memory
    /// It survives the end of the process, however it ends (`kill -9`); a power cut may take the last
    /// commits. SQLite: WAL, `synchronous=NORMAL`.
    case process
    /// It survives a power cut: fsync(2) before the acknowledgement. SQLite: `synchronous=FULL`.
    case power

    public static func < (left: Durability, right: Durability) -> Bool {
        left.rawValue < right.rawValue
    }
}

/// Which messages are how durable: the first rule whose filter matches the topic, else the standard.
///
/// Sessions and subscriptions are kept as soon as anything is.
public struct DurabilityRules: Sendable, Equatable {
    public struct Rule: Sendable, Equatable {
        public var filter: TopicFilter
        public var durability: Durability

        public init(_ filter: TopicFilter, _ durability: Durability) {
            self.filter = filter
            self.durability = durability
        }
    }

    public var standard: Durability
    public var rules: [Rule]

    public init(_ standard: Durability, rules: [Rule] = []) {
        self.standard = standard
        self.rules = rules
    }

    /// Whether there is anything to keep at all.
    public var needsStore: Bool {
        standard != .memory || rules.contains { $0.durability != .memory }
    }
}

/// `DurabilityRules`, made to be asked for each message that somebody keeps.
struct DurabilityMap {
    let standard: Durability
    /// What sessions and subscriptions withstand: as much as any message that they may hold.
    let strongest: Durability
    private let durabilities: [Durability]
    /// The rules' filters; the subscriber is the rule's place.
    private var filters: SubscriptionTree
    private var found = MatchBuffer()
    private var lastTopic = RepeatedTopic()
    private var lastDurability: Durability

    init(_ rules: DurabilityRules, seed: UInt64) {
        standard = rules.standard
        lastDurability = rules.standard
        strongest = rules.rules.reduce(rules.standard) { max($0, $1.durability) }
        durabilities = rules.rules.map(\.durability)
        filters = SubscriptionTree(seed: seed)
        for (place, rule) in rules.rules.enumerated() {
            _ = filters.insert(
                rule.filter, subscriber: UInt32(truncatingIfNeeded: place), options: 0)
        }
    }

    mutating func durability(of topic: Span<UInt8>) -> Durability {
        if durabilities.isEmpty { return standard }
        if !lastTopic.isRepeated(topic, at: filters.changes) { lastDurability = find(topic) }
        return lastDurability
    }

    /// That of the first rule for the topic.
    private mutating func find(_ topic: Span<UInt8>) -> Durability {
        filters.match(topic, into: &found)
        var first = UInt32.max
        for index in found.matches.indices { first = min(first, found.matches[index].subscriber) }
        return first == .max ? standard : durabilities[Int(first)]
    }
}
