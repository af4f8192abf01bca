/// 64 random bits that tell one installation from its clones; 16 lower-case hexadecimal digits.
public struct Instance: Hashable, Comparable, Sendable, CustomStringConvertible {
    public let bits: UInt64

    public init(bits: UInt64) { self.bits = bits }

    /// Reads exactly 16 hexadecimal digits.
    public init?(_ text: String) {
        guard let bits = UInt64(exactHexadecimal: text) else { return nil }
        self.bits = bits
    }

    public var description: String { bits.hexadecimal }
    public static func < (left: Self, right: Self) -> Bool { left.bits < right.bits }
}

/// What `n` counts within: one run of an agent in one boot of its machine; 16 hexadecimal digits.
public struct BootID: Hashable, Comparable, Sendable, CustomStringConvertible {
    public let bits: UInt64

    public init(bits: UInt64) { self.bits = bits }

    /// Reads exactly 16 hexadecimal digits.
    public init?(_ text: String) {
        guard let bits = UInt64(exactHexadecimal: text) else { return nil }
        self.bits = bits
    }

    /// The kernel's boot (the first 32 bits of its UUID, random(4)), 16 bits of the instance, and the
    /// agent's run in that boot.
    ///
    /// The counters begin anew with each run, so runs must differ; an agent that lost its state
    /// counts its runs anew, and has a new instance. The prefix shows the same boot.
    public init?(kernelBootID: String, instance: Instance, run: UInt16) {
        let digits = kernelBootID.filter { $0 != "-" && !$0.isWhitespace }
        guard digits.count == 32, let boot = UInt64(String(digits.prefix(8)), radix: 16) else {
            return nil
        }
        bits = boot << 32 | (instance.bits >> 48) << 16 | UInt64(run)
    }

    public var description: String { bits.hexadecimal }
    public static func < (left: Self, right: Self) -> Bool { left.bits < right.bits }
}

/// The id of a command: 1 to 64 of `[A-Za-z0-9_-]`, a UUID where a program makes it.
public struct RequestID: Hashable, Comparable, Sendable, CustomStringConvertible {
    public let text: String
    /// The longest id, in bytes; ids are kept for days, so they are bounded.
    public static let maximumLength = 64

    public init(_ text: some StringProtocol) throws(NameError) {
        let text = String(text)
        if text.isEmpty { throw NameError(noun: "request", text: "", problem: .empty) }
        if text.utf8.count > Self.maximumLength {
            throw NameError(noun: "request", text: text, problem: .tooLong(text.utf8.count))
        }
        for byte in text.utf8 where !Self.isAllowed(byte) {
            throw NameError(
                noun: "request", text: text,
                problem: .character(byte, allowed: "A-Z, a-z, 0-9, '-' and '_'", first: false))
        }
        self.text = text
    }

    private static func isAllowed(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "_"):
            return true
        default: return false
        }
    }

    public var description: String { text }
    public static func < (left: Self, right: Self) -> Bool { left.text < right.text }
}

extension UInt64 {
    /// Reads exactly 16 hexadecimal digits, no sign.
    init?(exactHexadecimal text: String) {
        guard text.utf8.count == 16, text.allSatisfy({ $0.isASCII && $0.isHexDigit }),
            let bits = UInt64(text, radix: 16)
        else { return nil }
        self = bits
    }

    /// 16 lower-case hexadecimal digits.
    var hexadecimal: String {
        let digits = String(self, radix: 16)
        return String(repeating: "0", count: 16 - digits.count) + digits
    }
}

extension String {
    /// The text of UTF-8 bytes; ill-formed sequences become U+FFFD.
    public init(lossy bytes: Span<UInt8>) {
        var copy: [UInt8] = []
        copy.reserveCapacity(bytes.count)
        for index in bytes.indices { copy.append(bytes[index]) }
        self.init(decoding: copy, as: UTF8.self)
    }
}
