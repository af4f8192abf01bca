import FleetModel
public import MQTT

/// What a shell knows of the time when something happens.
public struct Moment: Hashable, Sendable {
    /// CLOCK_BOOTTIME: for every age and every deadline.
    public var monotonic: MonotonicTime
    /// The wall clock, which may be wrong or jump; only ever written into payloads.
    public var unixMilliseconds: Int64

    public init(monotonic: MonotonicTime, unixMilliseconds: Int64) {
        self.monotonic = monotonic
        self.unixMilliseconds = unixMilliseconds
    }

    /// Milliseconds since the machine's boot.
    public var uptimeMilliseconds: Int64 { Int64(clamping: monotonic.nanoseconds / 1_000_000) }

    var timestamp: Timestamp { Timestamp(unixMilliseconds: unixMilliseconds) }
}
