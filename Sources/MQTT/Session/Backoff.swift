/// How long a client waits before it connects again: exponential, with full jitter.
///
/// The n-th wait in a row is random between 0 and min(maximum, minimum * 2^n), but never below a
/// tenth of `minimum`, so that a thousand clients that lost the same server come back spread out.
/// A connection that held for `stableAfter` starts the count over; one that breaks at once does not.
public struct Backoff: Sendable {
    /// The named limits.
    public struct Limits: Sendable, Equatable {
        /// The ceiling of the first wait.
        public var minimum: Duration
        /// The ceiling of every wait.
        public var maximum: Duration
        /// A connection that lived this long was a good one.
        public var stableAfter: Duration

        public init(
            minimum: Duration = .seconds(1), maximum: Duration = .seconds(60),
            stableAfter: Duration = .seconds(30)
        ) {
            self.minimum = max(minimum, .milliseconds(1))
            self.maximum = max(maximum, self.minimum)
            self.stableAfter = stableAfter
        }
    }

    private let limits: Limits
    private var attempts = 0

    public init(_ limits: Limits = Limits()) {
        self.limits = limits
    }

    /// Failed attempts in a row.
    public var failures: Int { attempts }

    /// The next wait.
    public mutating func next(using generator: inout some RandomNumberGenerator) -> Duration {
        let ceiling = min(limits.maximum, limits.minimum * (1 << min(attempts, 20)))
        attempts += 1
        let floor = limits.minimum / 10
        let (seconds, attoseconds) = (ceiling - floor).components
        let nanoseconds = seconds * 1_000_000_000 + attoseconds / 1_000_000_000
        return floor + .nanoseconds(Int64.random(in: 0...max(nanoseconds, 0), using: &generator))
    }

    /// A connection ended that was open (CONNACK with success) for `lifetime`.
    public mutating func connectionEnded(after lifetime: Duration) {
        if lifetime >= limits.stableAfter { attempts = 0 }
    }
}
