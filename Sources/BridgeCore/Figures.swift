/// What the receiving half of a route has counted since the start.
public struct IntakeCounters: Sendable, Equatable {
    public var received: UInt64 = 0
    public var stored: UInt64 = 0
    /// Not for this route: the bridge's own topics, retained commands.
    public var skipped: UInt64 = 0
    /// QoS 0 while the store was full.
    public var droppedFull: UInt64 = 0

    public init() {}
}

/// What the sending half of a route has counted since the start.
public struct ForwarderCounters: Sendable, Equatable {
    public var forwarded: UInt64 = 0
    public var refused: UInt64 = 0
    /// Their message expiry interval ended in the store.
    public var expired: UInt64 = 0
    /// Numbers that the store should hold and does not.
    public var unreadable: UInt64 = 0

    public init() {}
}

/// One route at one moment.
public struct RouteFigures: Sendable, Equatable {
    public var intake: IntakeCounters
    public var forwarder: ForwarderCounters
    /// Messages that wait for the other side's answer.
    public var queueDepth: UInt64
    /// Bytes of them in the store; deletion comes in batches and later.
    public var queueBytes: Int
    public var inFlight: Int
    public var oldestAgeMilliseconds: UInt64?
    public var isFull: Bool
}
