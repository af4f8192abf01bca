/// What one commit writes; all of it or nothing.
public struct StoreTransaction: Sendable, Equatable {
    /// New messages, numbered.
    public var batches: PerRoute<[MessageBatch]>
    /// The number that the next message gets; survives the deletion of the messages.
    public var nextSequence: PerRoute<UInt64>
    /// Batches whose last number is not above this are deleted.
    public var acknowledgedThrough: PerRoute<UInt64>
    public var refused: [RefusedMessage]

    /// Whether it brings new messages, and not answers alone.
    public var hasMessages: Bool { !batches.up.isEmpty || !batches.down.isEmpty }
}

/// The table of refused messages.
public struct RefusedTotals: Sendable, Equatable {
    /// Rows in it.
    public var kept: Int
    /// Those that had to give way to newer ones, since the store was made.
    public var evicted: Int

    public init(kept: Int = 0, evicted: Int = 0) {
        self.kept = kept
        self.evicted = evicted
    }
}

/// What the store says when a transaction is in it.
public struct CommitResult: Sendable, Equatable {
    /// Bytes of the batches that were deleted.
    public var freedBytes: PerRoute<Int>
    /// `nil` when the transaction refused nothing.
    public var refused: RefusedTotals?

    public init(freedBytes: PerRoute<Int>, refused: RefusedTotals?) {
        self.freedBytes = freedBytes
        self.refused = refused
    }
}

/// What a store holds when it is opened.
public struct StoredState: Sendable, Equatable {
    /// 64 random bits made with the store; a new store has new ones.
    public var epoch: UInt64
    public var nextSequence: PerRoute<UInt64>
    public var acknowledgedThrough: PerRoute<UInt64>
    public var bytes: PerRoute<Int>
    public var refused = RefusedTotals()

    /// A new and empty store.
    public init(epoch: UInt64) {
        self.epoch = epoch
        nextSequence = PerRoute(up: 1, down: 1)
        acknowledgedThrough = PerRoute(up: 0, down: 0)
        bytes = PerRoute(up: 0, down: 0)
    }
}
