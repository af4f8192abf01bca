// Copies from spans into arrays, which Swift 6.2's arrays do not have; byte by byte it would take
// twenty times as long.
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
