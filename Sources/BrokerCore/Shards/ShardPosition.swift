import MQTT

/// Which shard of how many.
public struct ShardPosition: Sendable, Equatable {
    public var index: Int
    public var count: Int

    /// As many as a word has bits: sets of shards are words (`ShardSet`).
    public static let maximumCount = TopicInterest.maximumShards

    public init(index: Int, count: Int) {
        precondition(
            count > 0 && count <= Self.maximumCount && index >= 0 && index < count,
            "no such shard")
        self.index = index
        self.count = count
    }

    public static let only = ShardPosition(index: 0, count: 1)

    /// The shard that a client's session belongs to.
    public static func shard(ofClientID clientID: Span<UInt8>, count: Int) -> Int {
        shard(of: clientID, count: count)
    }

    /// The shard that records what is retained of a topic.
    static func shard(ofTopic topic: Span<UInt8>, count: Int) -> Int {
        shard(of: topic, count: count)
    }

    /// FNV-1a, 64 bits.
    private static func shard(of name: Span<UInt8>, count: Int) -> Int {
        if count == 1 { return 0 }
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        for index in name.indices {
            hash = (hash ^ UInt64(name[index])) &* 0x100_0000_01b3
        }
        return Int((hash ^ hash >> 32) % UInt64(count))
    }

    /// Whether this shard records what is retained of a topic.
    func isOwner(ofTopic topic: Span<UInt8>) -> Bool {
        count == 1 || Self.shard(ofTopic: topic, count: count) == index
    }
}

/// Some of the shards, one bit for each.
struct ShardSet: Equatable {
    var bits: UInt64

    static let none = ShardSet(bits: 0)

    init(only shard: Int) { bits = 1 << UInt64(shard) }

    init(bits: UInt64) { self.bits = bits }

    /// All shards but this one.
    init(allBut position: ShardPosition) {
        let all = position.count == 64 ? UInt64.max : (1 << UInt64(position.count)) - 1
        bits = all & ~(1 << UInt64(position.index))
    }

    @inline(__always) var isEmpty: Bool { bits == 0 }

    @inline(__always)
    func union(_ other: ShardSet) -> ShardSet { ShardSet(bits: bits | other.bits) }

    @inline(__always)
    func intersects(_ other: ShardSet) -> Bool { bits & other.bits != 0 }

    @inline(__always)
    func contains(_ shard: Int) -> Bool { bits >> UInt64(shard) & 1 == 1 }

    /// Takes the lowest one out.
    @inline(__always)
    mutating func popFirst() -> Int? {
        if bits == 0 { return nil }
        let index = bits.trailingZeroBitCount
        bits &= bits &- 1
        return index
    }
}
