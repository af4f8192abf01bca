/// What a decoder takes from a peer before it refuses.
///
/// Kept in 32 bits each: there is one for every connection.
public struct WireLimits: Hashable, Sendable {
    /// The largest packet that the fixed header can announce: 5 bytes and 268,435,455 more.
    public static let largestPacketSize = 268_435_460
    /// The longest string or binary value that its two length bytes can announce.
    public static let longestString = 65_535

    /// Bytes of a whole packet, fixed header included; above it `packetTooLarge`, from the fixed
    /// header alone.
    public var maximumPacketSize: Int { Int(packetSize) }
    /// The same for CONNECT, where the sender is still a stranger.
    public var maximumConnectSize: Int { Int(connectSize) }
    /// User properties in one packet (will's and CONNECT's counted apart) and subscription
    /// identifiers in one PUBLISH; above it `quotaExceeded`, the code that the standard has for a
    /// limit that an implementation imposes.
    public var maximumProperties: Int { Int(properties) }
    /// Bytes of one string; above it `quotaExceeded`.
    public var maximumStringLength: Int { Int(stringLength) }

    private let packetSize: UInt32
    private let connectSize: UInt32
    private let properties: UInt32
    private let stringLength: UInt32

    public init(
        maximumPacketSize: Int = largestPacketSize,
        maximumConnectSize: Int = 512 * 1024,
        maximumProperties: Int = 256,
        maximumStringLength: Int = longestString
    ) {
        packetSize = UInt32(clamping: min(maximumPacketSize, Self.largestPacketSize))
        connectSize = UInt32(clamping: min(maximumConnectSize, Self.largestPacketSize))
        properties = UInt32(clamping: maximumProperties)
        stringLength = UInt32(clamping: min(maximumStringLength, Self.longestString))
    }
}
