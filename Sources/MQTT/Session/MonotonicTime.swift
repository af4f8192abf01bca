/// A point on a clock that only goes forward; cores are told the time, they never ask for it.
///
/// Nanoseconds since an unspecified start (the shell uses `CLOCK_BOOTTIME`, clock_gettime(2), so that
/// time asleep counts; the simulation uses a virtual clock).
public struct MonotonicTime: Comparable, Hashable, Sendable {
    /// Nanoseconds since the clock's start.
    public var nanoseconds: UInt64

    /// A point `nanoseconds` after the clock's start.
    @inlinable
    public init(nanoseconds: UInt64) {
        self.nanoseconds = nanoseconds
    }

    /// Before every point that a clock gives.
    public static let zero = MonotonicTime(nanoseconds: 0)

    /// After every point that a clock gives: "never" as a deadline.
    public static let distantFuture = MonotonicTime(nanoseconds: .max)

    @inlinable
    public static func < (left: MonotonicTime, right: MonotonicTime) -> Bool {
        left.nanoseconds < right.nanoseconds
    }

    /// The point `duration` later; saturates at `distantFuture` and at `zero`.
    public static func + (time: MonotonicTime, duration: Duration) -> MonotonicTime {
        let (seconds, attoseconds) = duration.components
        let (whole, overflow) = seconds.multipliedReportingOverflow(by: 1_000_000_000)
        guard !overflow else { return seconds > 0 ? .distantFuture : .zero }
        let (delta, carry) = whole.addingReportingOverflow(attoseconds / 1_000_000_000)
        guard !carry else { return whole > 0 ? .distantFuture : .zero }
        if delta >= 0 {
            let (sum, past) = time.nanoseconds.addingReportingOverflow(UInt64(delta))
            return past ? .distantFuture : MonotonicTime(nanoseconds: sum)
        }
        let back = delta.magnitude
        return back > time.nanoseconds ? .zero : MonotonicTime(nanoseconds: time.nanoseconds - back)
    }

    /// The span from `earlier` to `later`; negative when they are swapped.
    public static func - (later: MonotonicTime, earlier: MonotonicTime) -> Duration {
        later >= earlier
            ? .nanoseconds(Int64(clamping: later.nanoseconds - earlier.nanoseconds))
            : .nanoseconds(-Int64(clamping: earlier.nanoseconds - later.nanoseconds))
    }
}
