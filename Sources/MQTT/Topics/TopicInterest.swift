import Synchronization

/// Which shards have subscriptions that may match a topic: a Bloom filter of one bit for each shard.
///
/// A filter without wildcards stands under itself, one with wildcards under the levels before the first.
/// Never says no where a shard has a subscription; says yes too often where many are crowded.
/// A subscription is noted before its SUBACK leaves, so whoever publishes because of it finds it.
public final class TopicInterest: Sendable {
    /// As many as a bucket has bits.
    public static let maximumShards = 64

    static let bucketCount = 1 << bits
    private static let bits: UInt64 = 13

    private let buckets = InlineArray<8_192, Atomic<UInt64>> { _ in Atomic(0) }

    private let changeCount = Atomic<UInt64>(0)

    public init() {}

    /// Counts what changed: as long as it stays the same, so do the answers.
    public var changes: UInt64 { changeCount.load(ordering: .acquiring) }

    fileprivate func insert(_ shard: Int, at bucket: Int) {
        buckets[bucket].bitwiseOr(1 << UInt64(shard), ordering: .sequentiallyConsistent)
        changeCount.wrappingAdd(1, ordering: .releasing)
    }

    fileprivate func remove(_ shard: Int, at bucket: Int) {
        buckets[bucket].bitwiseAnd(~(1 << UInt64(shard)), ordering: .sequentiallyConsistent)
        changeCount.wrappingAdd(1, ordering: .releasing)
    }

    /// Those of `candidates`, one bit for each shard, that may want the topic.
    public func shards(wanting topic: Span<UInt8>, among candidates: UInt64) -> UInt64 {
        var hash = Self.basis
        var found = load(Self.bucket(levels: hash))
        for index in topic.indices {
            let byte = topic[index]
            if byte == UInt8(ascii: "/") {
                found |= load(Self.bucket(levels: hash))
                if found & candidates == candidates { return candidates }
            }
            hash = Self.step(hash, byte)
        }
        found |= load(Self.bucket(levels: hash)) | load(Self.bucket(whole: hash))
        return found & candidates
    }

    /// Where a filter stands; `matchStart` is behind a `$share/{name}/`.
    static func bucket(of filter: Span<UInt8>, from matchStart: Int = 0) -> Int {
        var hash = basis
        var index = matchStart
        // The hash up to the end of the last whole level.
        var levels = basis
        while index < filter.count {
            let byte = filter[index]
            if byte == UInt8(ascii: "+") || byte == UInt8(ascii: "#") {
                return bucket(levels: levels)
            }
            if byte == UInt8(ascii: "/") { levels = hash }
            hash = step(hash, byte)
            index += 1
        }
        return bucket(whole: hash)
    }

    @inline(__always)
    private func load(_ bucket: Int) -> UInt64 { buckets[bucket].load(ordering: .relaxed) }

    // FNV-1a, 64 bits, and the upper bits of a product.
    private static var basis: UInt64 { 0xcbf2_9ce4_8422_2325 }

    @inline(__always)
    private static func step(_ hash: UInt64, _ byte: UInt8) -> UInt64 {
        (hash ^ UInt64(byte)) &* 0x100_0000_01b3
    }

    @inline(__always)
    private static func bucket(levels hash: UInt64) -> Int {
        Int(truncatingIfNeeded: (hash &* 0x9E37_79B9_7F4A_7C15) >> (64 - bits))
    }

    @inline(__always)
    private static func bucket(whole hash: UInt64) -> Int { bucket(levels: ~hash) }
}

/// How often the filters of one shard stand in each bucket of a `TopicInterest`.
public struct OwnInterest: Sendable {
    private let table: TopicInterest
    private let shard: Int
    private var counts = [UInt32](repeating: 0, count: TopicInterest.bucketCount)

    public init(of shard: Int, in table: TopicInterest) {
        precondition(shard >= 0 && shard < TopicInterest.maximumShards, "no such shard")
        self.table = table
        self.shard = shard
    }

    /// One more subscription to a filter.
    public mutating func insert(_ filter: TopicFilter) {
        insert(filter.bytes.span, from: filter.matchStart)
    }

    /// One less.
    public mutating func remove(_ filter: TopicFilter) {
        remove(filter.bytes.span, from: filter.matchStart)
    }

    /// One more subscription to a filter; `matchStart` is behind a `$share/{name}/`.
    mutating func insert(_ filter: Span<UInt8>, from matchStart: Int = 0) {
        let bucket = TopicInterest.bucket(of: filter, from: matchStart)
        counts[bucket] += 1
        if counts[bucket] == 1 { table.insert(shard, at: bucket) }
    }

    /// One less.
    mutating func remove(_ filter: Span<UInt8>, from matchStart: Int = 0) {
        let bucket = TopicInterest.bucket(of: filter, from: matchStart)
        precondition(counts[bucket] > 0, "a filter is given up that was not noted")
        counts[bucket] -= 1
        if counts[bucket] == 0 { table.remove(shard, at: bucket) }
    }

    /// How many there are.
    public var count: Int { counts.reduce(0) { $0 + Int($1) } }
}
