/// The integer of one to four bytes that lengths and subscription identifiers use (2.2.3 of 3.1.1,
/// 1.5.5 of 5.0).
public enum VariableByteInteger {
    /// The largest value: 28 bits.
    public static let maximum = 268_435_455

    /// How many bytes `value` takes.
    @inlinable
    public static func encodedSize(of value: Int) -> Int {
        switch value {
        case ..<0x80: 1
        case ..<0x4000: 2
        case ..<0x20_0000: 3
        default: 4
        }
    }
}
