import MQTT

/// One direction of a bridge, with its own numbering, queue and window.
public enum Route: UInt8, CaseIterable, Sendable {
    /// From the edge to the upstream.
    case up = 0
    /// From the upstream to the edge: commands, as a rule.
    case down = 1

    /// The name in the `fleet` property and in `service/bridge`.
    public var name: StaticString {
        switch self {
        case .up: "up"
        case .down: "down"
        }
    }

    /// The name as text, for logs.
    public var text: String { "\(name)" }
}

/// One value for each route.
public struct PerRoute<Value> {
    public var up: Value
    public var down: Value

    @inlinable
    public init(up: Value, down: Value) {
        self.up = up
        self.down = down
    }

    @inlinable
    public subscript(route: Route) -> Value {
        get { route == .up ? up : down }
        _modify {
            switch route {
            case .up: yield &up
            case .down: yield &down
            }
        }
    }
}

extension PerRoute: Sendable where Value: Sendable {}
extension PerRoute: Equatable where Value: Equatable {}

/// The time as a shell sees it: one clock that only goes forward, and the wall's.
public struct Moment: Sendable, Equatable {
    /// Time since the machine started; ages within one boot are measured with it.
    public var monotonic: MonotonicTime
    /// Milliseconds since 1970, as well as the machine knows.
    public var unixMilliseconds: UInt64

    public init(monotonic: MonotonicTime, unixMilliseconds: UInt64) {
        self.monotonic = monotonic
        self.unixMilliseconds = unixMilliseconds
    }

    /// Milliseconds since the machine started.
    public var uptimeMilliseconds: UInt64 { monotonic.nanoseconds / 1_000_000 }
}

/// When a message was taken, so that its age can be told after a restart as well.
public struct Taken: Sendable, Equatable {
    public var unixMilliseconds: UInt64
    public var uptimeMilliseconds: UInt64
    /// The boot in which it was taken.
    public var boot: UInt64

    public init(unixMilliseconds: UInt64, uptimeMilliseconds: UInt64, boot: UInt64) {
        self.unixMilliseconds = unixMilliseconds
        self.uptimeMilliseconds = uptimeMilliseconds
        self.boot = boot
    }

    /// Milliseconds in the store: by the monotonic clock within one boot, by the wall clock across
    /// boots, and never negative (a wall clock that went back gives 0, so nothing expires early).
    public func ageMilliseconds(at now: Moment, boot current: UInt64) -> UInt64 {
        let (end, start) =
            boot == current
            ? (now.uptimeMilliseconds, uptimeMilliseconds)
            : (now.unixMilliseconds, unixMilliseconds)
        return end > start ? end - start : 0
    }
}
