import FleetModel
import MQTT

/// One digital input: its counter, and a limit on how fast its edges are published.
struct InputState {
    /// More edges than this in a second are dropped; the kernel's sequence numbers show the gap.
    static let edgesPerSecond = 100

    let name: InputName
    private var number = 0
    private var windowStart = MonotonicTime.zero
    private var edgesInWindow = 0

    init(name: InputName) { self.name = name }

    /// The last refused edge was the first of its second.
    var isFirstDropped: Bool { edgesInWindow == Self.edgesPerSecond + 1 }

    /// The next number, or `nil` for an edge that is one too many.
    mutating func takeNumber(now: MonotonicTime) -> Int? {
        if now - windowStart >= .seconds(1) {
            windowStart = now
            edgesInWindow = 0
        }
        edgesInWindow += 1
        guard edgesInWindow <= Self.edgesPerSecond else { return nil }
        number += 1
        return number
    }
}
