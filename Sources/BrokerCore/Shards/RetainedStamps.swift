import MQTT

/// Which shard's change of a retained topic came last, where several shards change it.
///
/// Every shard sees every change once, in another order perhaps; each keeps the one with the highest
/// stamp, so that all copies end up the same. A removal is remembered for a while, so that what was
/// retained before it, and arrives behind it, does not come back.
struct RetainedStamps {
    private struct Removal {
        var topic: [UInt8]
        var stamp: UInt64
        var forgottenAt: MonotonicTime
    }

    /// How long a removal is remembered: longer than mail between two loops is ever under way.
    static let removalMemory = Duration.seconds(30)

    private var stamps: RetainedTree<UInt64>
    private var removals = RingQueue<Removal>()
    /// Removals remembered at once; beyond them the oldest is forgotten.
    private let removalLimit: Int

    init(seed: UInt64, removalLimit: Int) {
        stamps = RetainedTree(seed: seed)
        self.removalLimit = removalLimit
    }

    /// Whether a change is later than all that are known of its topic; notes it.
    mutating func accept(
        _ topic: Span<UInt8>, _ stamp: UInt64, isRemoval: Bool, at now: MonotonicTime
    ) -> Bool {
        if let known = stamps.value(for: topic), known > stamp { return false }
        stamps.set(topic, stamp, bytes: 0)
        if isRemoval {
            removals.append(
                Removal(
                    topic: [UInt8](copying: topic), stamp: stamp,
                    forgottenAt: now + Self.removalMemory))
        }
        forgetRemovals(now)
        return true
    }

    /// The topic's message has expired: every shard finds that by itself.
    mutating func forget(_ topic: Span<UInt8>) { _ = stamps.remove(topic) }

    private mutating func forgetRemovals(_ now: MonotonicTime) {
        while let first = removals.first,
            first.forgottenAt <= now || removals.count > removalLimit
        {
            _ = removals.popFirst()
            let topic = first.topic.span
            // Unless something was retained there, or removed again, since.
            if stamps.value(for: topic) == first.stamp { _ = stamps.remove(topic) }
        }
    }
}
