/// How surely a message arrives.
public enum QoS: UInt8, Hashable, Sendable, Comparable, CaseIterable {
    /// QoS 0: not acknowledged.
    case atMostOnce = 0
    /// QoS 1: acknowledged, may come twice.
    case atLeastOnce = 1
    /// QoS 2: acknowledged in two steps, comes once.
    case exactlyOnce = 2

    @inlinable
    public static func < (left: QoS, right: QoS) -> Bool { left.rawValue < right.rawValue }
}
