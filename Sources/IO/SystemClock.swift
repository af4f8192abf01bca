import MQTT

/// The machine's clocks.
public enum SystemClock {
    /// `CLOCK_BOOTTIME`: goes only forward, and goes on while the machine sleeps.
    ///
    /// Inside a loop, `EventLoop.now` is the tick's time and costs nothing.
    public static func monotonic() -> MonotonicTime {
        MonotonicTime(nanoseconds: Syscalls.bootTime())
    }

    /// Milliseconds since 1970-01-01T00:00:00Z, leap seconds not counted; may jump, and is wrong on a Pi
    /// until the network has set it.
    public static func unixMilliseconds() -> Int64 {
        let time = Syscalls.realTime()
        return time.seconds * 1_000 + time.nanoseconds / 1_000_000
    }
}

/// The kernel's random numbers, getrandom(2), fit for keys.
public struct SystemRandom: RandomNumberGenerator, Sendable {
    public init() {}

    public mutating func next() -> UInt64 {
        Self.bytes(8).reduce(0) { $0 << 8 | UInt64($1) }
    }

    /// `count` random bytes.
    public static func bytes(_ count: Int) -> [UInt8] {
        Syscalls.random(count: count)
    }
}
