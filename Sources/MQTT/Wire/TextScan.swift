/// What the bytes of a string are made of; found in one pass without branches, so that the compiler
/// can take sixteen bytes at a time.
struct TextScan: OptionSet {
    let rawValue: UInt8

    /// A byte above 0x7F: the string must be looked at more closely.
    static let beyondASCII = TextScan(rawValue: 0x80)
    /// U+0000.
    static let null = TextScan(rawValue: 0x01)
    /// `+` or `#`.
    static let wildcard = TextScan(rawValue: 0x02)

    init(rawValue: UInt8) { self.rawValue = rawValue }

    @inline(__always)
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

    /// How many code points well-formed UTF-8 holds.
    static func codePoints(in text: Span<UInt8>) -> Int {
        var count = 0
        for index in text.indices where text[index] & 0xC0 != 0x80 { count += 1 }
        return count
    }
}
