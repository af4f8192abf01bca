import MQTT
import Synchronization

/// What all shards of a broker see at once, without a message: how much there is of what the whole broker
/// has a limit for, and which shards may want a topic.
///
/// Numbers that several threads add to. All else that shards tell each other crosses as `ShardMail`.
public final class ShardBoard: Sendable {
    let connections = Atomic<Int>(0)
    let sessions = Atomic<Int>(0)
    /// `nil` where there is one shard: nobody asks.
    let interest: TopicInterest?
    /// Where there are subscriptions of sessions that outlive their connections.
    let keeping: TopicInterest?
    /// Bytes that the state would take in the store if it were written anew.
    let liveBytes = Atomic<Int>(0)
    /// The store's disk has no room, or less than the floor.
    let isOutOfStoreRoom = Atomic(false)
    private let lastStamp = Atomic<UInt64>(0)
    /// What the clients of each shard make it hold, in bytes.
    private let meters: [MemoryMeter]
    private let recovered = AtomicLazyReference<MemoryMeter>()

    private let shareGroups: Mutex<ShareGroups>
    private let shareCount = Atomic<Int>(0)

    /// - Parameter seed: secret and random, so that nobody can choose topics that collide.
    public init(shards count: Int, seed: UInt64, limits: TopicLimits) {
        precondition(count > 0 && count <= ShardPosition.maximumCount, "too many shards")
        interest = count > 1 ? TopicInterest() : nil
        keeping = count > 1 ? TopicInterest() : nil
        shareGroups = Mutex(ShareGroups(seed: seed, limits: limits))
        meters = (0..<count).map { _ in MemoryMeter() }
    }

    func meter(of position: ShardPosition) -> MemoryMeter { meters[position.index] }

    /// The messages that a store gave back are counted by `meter`.
    func adopt(_ meter: MemoryMeter) { _ = recovered.storeIfNil(meter) }

    /// What clients make all shards hold, in bytes.
    var usedBytes: Int {
        var sum = recovered.load()?.bytes ?? 0
        for meter in meters { sum &+= meter.bytes }
        return sum
    }

    /// Counts what changed in both tables.
    ///
    /// Asked for each message, and asked here: who takes the tables out first counts references to them,
    /// on lines of memory that all threads write then. That was a fifth of what two threads cost.
    var interestChanges: UInt64 { (interest?.changes ?? 0) &+ (keeping?.changes ?? 0) }

    /// Memberships in groups of shared subscriptions, of all sessions.
    var shares: Int { shareCount.load(ordering: .relaxed) }
    var hasShares: Bool { shares > 0 }

    /// Lends the groups of shared subscriptions to `body`, which calls nothing that wants them too.
    func withShares<Result: Sendable>(_ body: (inout ShareGroups) -> Result) -> Result {
        shareGroups.withLock { groups in
            let result = body(&groups)
            shareCount.store(groups.count, ordering: .relaxed)
            return result
        }
    }

    /// The next place in the order of all retained messages. Never 0.
    ///
    /// Counted and not read from a clock: a loop reads the clock once a tick, and what a client does
    /// because it saw another's retained message would seem to come before it.
    func nextStamp() -> UInt64 { lastStamp.wrappingAdd(1, ordering: .relaxed).newValue }
}
