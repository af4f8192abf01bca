/// A range of offsets into the bytes that a packet was decoded from.
///
/// Eight bytes, so that packets stay small. Use it as `bytes.extracting(range.range)`. Offsets are
/// 32 bits wide: the largest packet has 268,435,460 bytes.
public struct ByteRange: Hashable, Sendable {
    @usableFromInline let start: UInt32
    @usableFromInline let stop: UInt32

    /// The offsets from `lowerBound` up to, without, `upperBound`.
    @inlinable
    public init(lowerBound: Int, upperBound: Int) {
        precondition(lowerBound <= upperBound, "a range does not end before it begins")
        start = UInt32(lowerBound)
        stop = UInt32(upperBound)
    }

    /// The offsets of `range`.
    @inlinable
    public init(_ range: Range<Int>) {
        start = UInt32(range.lowerBound)
        stop = UInt32(range.upperBound)
    }

    /// No bytes, at offset 0.
    public static let empty = ByteRange(lowerBound: 0, upperBound: 0)

    /// The first offset.
    @inlinable
    public var lowerBound: Int { Int(start) }

    /// The offset after the last.
    @inlinable
    public var upperBound: Int { Int(stop) }

    /// How many bytes.
    @inlinable
    public var count: Int { Int(stop &- start) }

    /// Whether there are no bytes.
    @inlinable
    public var isEmpty: Bool { start == stop }

    /// The same offsets as the standard library's range, for `Span.extracting(_:)`.
    @inlinable
    public var range: Range<Int> { Int(start)..<Int(stop) }
}
