/// What the bytes of a string are made of.
struct TextScan: OptionSet {
    let rawValue: UInt8

    /// A byte above 0x7F: the string must be looked at more closely.
    static let beyondASCII = TextScan(rawValue: 0x80)
    /// U+0000.
    static let null = TextScan(rawValue: 0x01)
    /// `+` or `#`.
    static let wildcard = TextScan(rawValue: 0x02)

    init(rawValue: UInt8) { self.rawValue = rawValue }

    init(_ text: Span<UInt8>) {
        var found: UInt8 = 0
        for index in text.indices {
            let byte = text[index]
            found |= byte & 0x80
            found |= byte == 0 ? 1 : 0
            found |= byte == 0x2B || byte == 0x23 ? 2 : 0
        }
        rawValue = found
    }

    /// Whether a text is ASCII without U+0000, `+` and `#`, as nearly all topics are: nothing about
    /// it needs a closer look.
    ///
    /// Eight bytes at a time. The compiler makes one load of eight, and the checks of their
    /// bounds two.
    @inline(__always)
    static func isPlain(_ text: Span<UInt8>) -> Bool {
        let count = text.count
        guard count >= 8 else {
            for index in text.indices {
                let byte = text[index]
                // `+` and `#` differ in one bit only.
                if byte &- 1 >= 0x7F || byte & 0xF7 == 0x23 { return false }
            }
            return true
        }
        var index = 0
        while count &- index >= 8 {
            if !isPlain(word(text, index)) { return false }
            index &+= 8
        }
        // The last eight bytes, some of them again.
        return isPlain(word(text, count &- 8))
    }

    /// The same for eight bytes in a word: the highest bit of a byte is set below if the byte is
    /// above 0x7F, or 0, or, in `wildcard`, 0 again.
    @inline(__always)
    private static func isPlain(_ word: UInt64) -> Bool {
        let ones: UInt64 = 0x0101_0101_0101_0101
        let wildcard = (word & 0xF7F7_F7F7_F7F7_F7F7) ^ 0x2323_2323_2323_2323
        let found = word | (word &- ones) | ((wildcard &- ones) & ~wildcard)
        return found & 0x8080_8080_8080_8080 == 0
    }

    @inline(__always)
    private static func word(_ text: Span<UInt8>, _ index: Int) -> UInt64 {
        let last = UInt64(text[index &+ 7]) << 56
        return UInt64(text[index]) | UInt64(text[index &+ 1]) << 8
            | UInt64(text[index &+ 2]) << 16 | UInt64(text[index &+ 3]) << 24
            | UInt64(text[index &+ 4]) << 32 | UInt64(text[index &+ 5]) << 40
            | UInt64(text[index &+ 6]) << 48 | last
    }

    /// Whether the bytes are well-formed UTF-8 as Unicode defines it (table 3-7): no overlong form,
    /// no surrogate, nothing above U+10FFFF.
    static func isWellFormed(_ text: Span<UInt8>) -> Bool {
        var index = 0
        while index < text.count {
            let lead = text[index]
            let length: Int
            var second: ClosedRange<UInt8> = 0x80...0xBF
            switch lead {
            case 0x00...0x7F: length = 1
            case 0xC2...0xDF: length = 2
            case 0xE0: (length, second) = (3, 0xA0...0xBF)
            case 0xED: (length, second) = (3, 0x80...0x9F)
            case 0xE1...0xEF: length = 3
            case 0xF0: (length, second) = (4, 0x90...0xBF)
            case 0xF1...0xF3: length = 4
            case 0xF4: (length, second) = (4, 0x80...0x8F)
            default: return false
            }
            guard length <= text.count - index else { return false }
            if length > 1 {
                guard second.contains(text[index + 1]) else { return false }
                for next in index + 2..<max(index + length, index + 2) {
                    guard 0x80...0xBF ~= text[next] else { return false }
                }
            }
            index += length
        }
        return true
    }
}
