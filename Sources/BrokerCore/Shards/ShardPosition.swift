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

    /// The shard that a client's session belongs to (FNV-1a, 64 bits).
    public static func shard(ofClientID clientID: Span<UInt8>, count: Int) -> Int {
        if count == 1 { return 0 }
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        for index in clientID.indices {
            hash = (hash ^ UInt64(clientID[index])) &* 0x100_0000_01b3
        }
        return Int((hash ^ hash >> 32) % UInt64(count))
    }
}

/// Some of the shards, one bit for each.
struct ShardSet: Equatable {
    var bits: UInt64

    static let none = ShardSet(bits: 0)

    init(bits: UInt64) { self.bits = bits }

    /// All shards but this one.
    init(allBut position: ShardPosition) {
        let all = position.count == 64 ? UInt64.max : (1 << UInt64(position.count)) - 1
        bits = all & ~(1 << UInt64(position.index))
    }

    @inline(__always) var isEmpty: Bool { bits == 0 }

    @inline(__always)
    func intersects(_ other: ShardSet) -> Bool { bits & other.bits != 0 }

    /// Takes the lowest one out.
    @inline(__always)
    mutating func popFirst() -> Int? {
        if bits == 0 { return nil }
        let index = bits.trailingZeroBitCount
        bits &= bits &- 1
        return index
    }
}
