import Synchronization

/// Counts the bytes of all that a shard made and that is still held, on whatever thread that ends.
///
/// A message adds itself when it is made, and takes itself off when the last who holds it lets go. So one
/// that waits in a hundred queues counts once, as it is in memory once, and no way out can be forgotten.
public final class MemoryMeter: Sendable {
    private let count = Atomic<Int>(0)
    /// Keeps the counts of two shards out of one cache line, for which their threads would fight.
    private let padding: (UInt64, UInt64, UInt64, UInt64, UInt64, UInt64, UInt64, UInt64) =
        (0, 0, 0, 0, 0, 0, 0, 0)

    public init() {}

    var bytes: Int { count.load(ordering: .relaxed) }

    @inline(__always)
    func add(_ bytes: Int) { count.wrappingAdd(bytes, ordering: .relaxed) }
}
