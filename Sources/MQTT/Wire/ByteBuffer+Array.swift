// What Swift 6.2's arrays and spans do not have; byte by byte it would take many times as long.
extension [UInt8] {
    /// A copy of `span`.
    package init(copying span: Span<UInt8>) {
        // SAFETY: the span's bytes are lent for the call, which copies them.
        self = unsafe span.withUnsafeBufferPointer { unsafe Array($0) }
    }

    /// Appends the bytes of `span`.
    package mutating func append(contentsOf span: Span<UInt8>) {
        // SAFETY: the span's bytes are lent for the call, which copies them.
        unsafe span.withUnsafeBufferPointer { unsafe append(contentsOf: $0) }
    }
}

extension [UInt8] {
    /// Whether `other` has the same bytes.
    @inlinable
    package func isEqual(to other: Span<UInt8>) -> Bool { span.isEqual(to: other) }
}

extension Span where Element == UInt8 {
    /// Whether `other` has the same bytes; eight at a time.
    @inlinable
    package func isEqual(to other: Span<UInt8>) -> Bool {
        guard count == other.count else { return false }
        guard count >= 8 else {
            for index in indices where self[index] != other[index] { return false }
            return true
        }
        // SAFETY: any bytes make a number.
        let left = unsafe bytes
        let right = unsafe other.bytes
        let last = count &- 8
        var offset = 0
        while offset < last {
            // SAFETY: eight bytes stand behind an offset below `last`, in both.
            if unsafe left.unsafeLoadUnaligned(fromUncheckedByteOffset: offset, as: UInt64.self)
                != right.unsafeLoadUnaligned(fromUncheckedByteOffset: offset, as: UInt64.self)
            {
                return false
            }
            offset &+= 8
        }
        // SAFETY: `last` is not negative; some of these eight were seen already.
        return unsafe left.unsafeLoadUnaligned(fromUncheckedByteOffset: last, as: UInt64.self)
            == right.unsafeLoadUnaligned(fromUncheckedByteOffset: last, as: UInt64.self)
    }
}
