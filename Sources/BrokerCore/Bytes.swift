/// Appending what packets are made of to an array, where the bytes are kept or sent many times.
extension [UInt8] {
    @inline(__always)
    mutating func append(variableByteInteger value: Int) {
        var rest = value
        while rest >= 0x80 {
            append(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        append(UInt8(truncatingIfNeeded: rest))
    }
}

/// How many bytes a variable byte integer takes.
@inline(__always)
func variableByteIntegerSize(_ value: Int) -> Int {
    value < 0x80 ? 1 : value < 0x4000 ? 2 : value < 0x20_0000 ? 3 : 4
}
