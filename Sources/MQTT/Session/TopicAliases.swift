/// The aliases that a peer gave to topics on this connection (5.0, 3.3.2.3.4).
public struct IncomingAliases: Sendable {
    /// By alias; an empty topic stands for an alias that was not given yet.
    private var topics: [[UInt8]] = []
    /// Bytes of all topics.
    public private(set) var byteCount = 0

    public init() {}

    /// The topic that an alias stands for; `nil` when the peer gave it none.
    public func topic(of alias: UInt16) -> [UInt8]? {
        guard alias > 0, Int(alias) <= topics.count, !topics[Int(alias) - 1].isEmpty else {
            return nil
        }
        return topics[Int(alias) - 1]
    }

    /// The peer gives an alias, which is not 0, to a topic.
    public mutating func set(_ alias: UInt16, _ topic: Span<UInt8>) {
        precondition(alias > 0, "0 is no alias")
        while topics.count < Int(alias) { topics.append([]) }
        byteCount += topic.count - topics[Int(alias) - 1].count
        topics[Int(alias) - 1] = [UInt8](copying: topic)
    }
}

/// The aliases that we give to topics on this connection: to each at its first use while there is room,
/// then to those that are used most.
///
/// Who has one keeps it while it is used. Each message without one takes a use from one of them in turn,
/// and one that has none left gives way. So a topic that comes often finds its place soon, and one that
/// comes once displaces nothing that is in use.
public struct OutgoingAliases: Sendable {
    private struct Entry {
        var topic: [UInt8]
        var tag: UInt32
        var uses: UInt32
    }

    /// What a PUBLISH says of its topic.
    public enum Plan: Hashable, Sendable {
        /// The topic.
        case topic
        /// The topic, and the alias that it has from now on.
        case both(UInt16)
        /// The alias alone.
        case alias(UInt16)

        /// 0 for none.
        @inlinable
        public var alias: UInt16 {
            switch self {
            case .topic: 0
            case .both(let alias), .alias(let alias): alias
            }
        }
    }

    /// An alias takes three bytes, so that a topic must have more.
    private static let shortestTopic = 4
    /// No more uses than these are remembered of an alias: a topic that falls silent gives way then.
    private static let mostUses: UInt32 = 1_000

    private let maximum: Int
    private let maximumBytes: Int
    private var entries: [Entry] = []
    private var byTag = SlotTable()
    /// Whose use is taken next.
    private var hand = 0
    /// Bytes of all topics.
    public private(set) var byteCount = 0

    /// - Parameters:
    ///   - maximum: the largest alias that the peer takes and that we use.
    ///   - maximumBytes: of all topics together.
    public init(maximum: Int, maximumBytes: Int) {
        self.maximum = min(maximum, Int(UInt16.max))
        self.maximumBytes = maximumBytes
    }

    /// How many topics have an alias.
    public var count: Int { entries.count }

    /// What the next PUBLISH to `topic` is to say. It counts once `commit` is told that it was sent so.
    public func plan(_ topic: Span<UInt8>, _ tag: TopicTag) -> Plan {
        let known = byTag.find(tag.rawValue) { index in
            entries[Int(index)].topic.isEqual(to: topic)
        }
        if known != SlotTable.none { return .alias(UInt16(known) + 1) }
        guard topic.count >= Self.shortestTopic else { return .topic }
        if entries.count < maximum && byteCount + topic.count <= maximumBytes {
            return .both(UInt16(entries.count) + 1)
        }
        guard !entries.isEmpty, entries[hand].uses == 0,
            byteCount - entries[hand].topic.count + topic.count <= maximumBytes
        else { return .topic }
        return .both(UInt16(hand) + 1)
    }

    /// The PUBLISH that was planned is on its way.
    public mutating func commit(_ plan: Plan, _ topic: Span<UInt8>, _ tag: TopicTag) {
        switch plan {
        case .alias(let alias):
            let index = Int(alias) - 1
            entries[index].uses = min(entries[index].uses + 1, Self.mostUses)
        case .both(let alias):
            set(Int(alias) - 1, Entry(topic: [UInt8](copying: topic), tag: tag.rawValue, uses: 1))
        case .topic:
            guard topic.count >= Self.shortestTopic, !entries.isEmpty else { return }
            if entries[hand].uses > 0 { entries[hand].uses -= 1 }
            moveHand()
        }
    }

    private mutating func set(_ index: Int, _ entry: Entry) {
        byteCount += entry.topic.count
        if index == entries.count {
            entries.append(entry)
        } else {
            byteCount -= entries[index].topic.count
            byTag.remove(entries[index].tag, UInt32(index))
            entries[index] = entry
            moveHand()
        }
        byTag.insert(entry.tag, UInt32(index))
    }

    private mutating func moveHand() { hand = hand + 1 < entries.count ? hand + 1 : 0 }
}

/// A topic's hash, which is reckoned once for all connections that a message goes to.
public struct TopicTag: Sendable {
    let rawValue: UInt32

    /// That of no topic.
    public static let none = TopicTag(rawValue: 0)
}

/// Makes tags of topics by a secret key, so that nobody can choose topics that collide.
public struct TopicTagger: Sendable {
    private let hash: TopicHash

    public init(seed: UInt64) { hash = TopicHash(seed: seed) }

    public func tag(_ topic: Span<UInt8>) -> TopicTag {
        var sum: UInt64 = 0
        var start = 0
        while start <= topic.count {
            let level = LevelKey(topic, from: start, hash: hash)
            sum = hash.absorb(UInt64(level.tag), into: sum)
            start = level.end + 1
        }
        return TopicTag(rawValue: hash.tag(sum))
    }
}
