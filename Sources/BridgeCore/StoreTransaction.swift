/// What one commit writes; all of it or nothing.
public struct StoreTransaction: Sendable, Equatable {
    /// New messages, numbered.
    public var batches: PerRoute<[MessageBatch]>
    /// The number that the next message gets; survives the deletion of the messages.
    public var nextSequence: PerRoute<UInt64>
    /// Batches whose last number is not above this are deleted.
    public var acknowledgedThrough: PerRoute<UInt64>
    public var refused: [RefusedMessage]
}

/// What the store says when a transaction is in it.
public struct CommitResult: Sendable, Equatable {
    /// Bytes of the batches that were deleted.
    public var freedBytes: PerRoute<Int>
    /// Rows in the table of refused messages.
    public var refusedKept: Int
    /// Refused messages that had to give way to newer ones, since the store was made.
    public var refusedEvicted: Int

    public init(freedBytes: PerRoute<Int>, refusedKept: Int, refusedEvicted: Int) {
        self.freedBytes = freedBytes
        self.refusedKept = refusedKept
        self.refusedEvicted = refusedEvicted
    }
}

/// What a store holds when it is opened.
public struct StoredState: Sendable, Equatable {
    /// 64 random bits made with the store; a new store has new ones.
    public var epoch: UInt64
    public var nextSequence: PerRoute<UInt64>
    public var acknowledgedThrough: PerRoute<UInt64>
    public var bytes: PerRoute<Int>
    public var refusedKept: Int
    public var refusedEvicted: Int

    /// A new and empty store.
    public init(epoch: UInt64) {
        self.epoch = epoch
        nextSequence = PerRoute(up: 1, down: 1)
        acknowledgedThrough = PerRoute(up: 0, down: 0)
        bytes = PerRoute(up: 0, down: 0)
        refusedKept = 0
        refusedEvicted = 0
    }
}
