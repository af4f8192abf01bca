/// Hands out packet identifiers one after the other: 1...65,535, then 1 again [MQTT-2.2.1-3].
///
/// It does not know which identifiers are in use; `InFlightWindow` keeps them in the order in which
/// they were given, so an identifier is free again as soon as the window has moved past it.
public struct PacketIDAllocator: Sendable {
    @usableFromInline var upcoming: UInt16

    /// The identifier that the next call gives.
    @inlinable
    public var next: UInt16 { upcoming }

    /// Starts with `first`; 0 is no packet identifier and becomes 1.
    @inlinable
    public init(first: UInt16 = 1) {
        upcoming = max(first, 1)
    }

    /// The next identifier.
    @inlinable
    public mutating func allocate() -> UInt16 {
        let id = upcoming
        upcoming = Self.successor(of: id)
        return id
    }

    /// How many different identifiers there are.
    @inlinable
    public static var identifierCount: Int { 65_535 }

    /// The identifier that follows `id`.
    @inlinable
    public static func successor(of id: UInt16) -> UInt16 {
        id == .max ? 1 : id + 1
    }

    /// How many steps lead from `first` to `id`, 0...65,534. Neither may be 0.
    @inlinable
    public static func steps(from first: UInt16, to id: UInt16) -> Int {
        id >= first ? Int(id - first) : Int(id) + identifierCount - Int(first)
    }
}
