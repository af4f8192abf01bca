/// What a kind of name is called in messages, and which characters it may hold.
public protocol NameKind: Sendable {
    /// The word for people: "site", "node", "sensor".
    static var noun: String { get }
    /// Whether `.` and `_` may follow the first character.
    static var allowsDotAndUnderscore: Bool { get }
}

/// A checked name of one kind: 1 to 63 bytes, `[a-z0-9][a-z0-9-]*`, and also `.` and `_` inside
/// where the kind allows them. It is always one MQTT topic level and never a wildcard.
public struct Name<Kind: NameKind>: Hashable, Comparable, Sendable, CustomStringConvertible {
    /// The name as it stands in topics.
    public let text: String

    /// The longest name, in bytes.
    public static var maximumLength: Int { 63 }

    /// Checks `text`; throws what is wrong with it in words for whoever typed it.
    public init(_ text: some StringProtocol) throws(NameError) {
        let text = String(text)
        try self.init(bytes: text.utf8.span, text: text)
    }

    /// Checks UTF-8 `bytes`, such as one level of a topic.
    public init(bytes: Span<UInt8>) throws(NameError) {
        try self.init(bytes: bytes, text: nil)
    }

    private init(bytes: Span<UInt8>, text: String?) throws(NameError) {
        if let problem = Self.problem(in: bytes) {
            throw NameError(noun: Kind.noun, text: text ?? String(lossy: bytes), problem: problem)
        }
        self.text = text ?? String(lossy: bytes)
    }

    private static func problem(in bytes: Span<UInt8>) -> NameError.Problem? {
        if bytes.isEmpty { return .empty }
        if bytes.count > maximumLength { return .tooLong(bytes.count) }
        for index in bytes.indices {
            switch bytes[index] {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"):
                continue
            case UInt8(ascii: "-") where index > 0:
                continue
            case UInt8(ascii: "."), UInt8(ascii: "_"):
                if index > 0, Kind.allowsDotAndUnderscore { continue }
            default:
                break
            }
            let allowed =
                Kind.allowsDotAndUnderscore ? "a-z, 0-9, '-', '.' and '_'" : "a-z, 0-9 and '-'"
            return .character(bytes[index], allowed: allowed, first: index == 0)
        }
        return nil
    }

    public static func < (left: Self, right: Self) -> Bool { left.text < right.text }
    public var description: String { text }
}

/// Why a text is not a name.
public struct NameError: Error, Hashable, Sendable, CustomStringConvertible {
    enum Problem: Hashable, Sendable {
        case empty
        case tooLong(Int)
        case character(UInt8, allowed: String, first: Bool)
    }

    let noun: String
    let text: String
    let problem: Problem

    public var description: String {
        switch problem {
        case .empty:
            return "a \(noun) name must not be empty"
        case .tooLong(let count):
            return "the \(noun) name '\(text.prefix(20))…' has \(count) bytes, which is too long"
        case .character(let byte, let allowed, let first):
            let what = 0x21...0x7E ~= byte ? "'\(Character(UnicodeScalar(byte)))'" : "byte \(byte)"
            let rule = first ? "it must begin with a-z or 0-9" : "only \(allowed) are allowed"
            let hint = UInt8(ascii: "A")...UInt8(ascii: "Z") ~= byte ? "; use lower case" : ""
            return "the \(noun) name '\(text.prefix(63))' holds \(what): \(rule)\(hint)"
        }
    }
}

/// The kinds of names; each is only a word and a rule, never a value.
public enum SiteKind: NameKind {
    public static var noun: String { "site" }
    public static var allowsDotAndUnderscore: Bool { false }
}
public enum NodeKind: NameKind {
    public static var noun: String { "node" }
    public static var allowsDotAndUnderscore: Bool { false }
}
public enum SensorKind: NameKind {
    public static var noun: String { "sensor" }
    public static var allowsDotAndUnderscore: Bool { true }
}
public enum InputKind: NameKind {
    public static var noun: String { "input" }
    public static var allowsDotAndUnderscore: Bool { true }
}
public enum RuleKind: NameKind {
    public static var noun: String { "rule" }
    public static var allowsDotAndUnderscore: Bool { true }
}
public enum ServiceKind: NameKind {
    public static var noun: String { "service" }
    public static var allowsDotAndUnderscore: Bool { true }
}
public enum VerbKind: NameKind {
    public static var noun: String { "verb" }
    public static var allowsDotAndUnderscore: Bool { true }
}
public enum UpstreamKind: NameKind {
    public static var noun: String { "upstream" }
    public static var allowsDotAndUnderscore: Bool { true }
}

/// A place with one edge broker.
public typealias Site = Name<SiteKind>
/// One machine: a Pi, a gateway.
public typealias NodeName = Name<NodeKind>
/// One measured quantity.
public typealias SensorName = Name<SensorKind>
/// A digital input whose edges are events.
public typealias InputName = Name<InputKind>
/// An alarm rule.
public typealias RuleName = Name<RuleKind>
/// A daemon on a node: `broker`, `agent`, `bridge`.
public typealias ServiceName = Name<ServiceKind>
/// What a command asks for: `ping`, `inventory`.
public typealias Verb = Name<VerbKind>
/// The name of a cloud-side broker.
public typealias UpstreamName = Name<UpstreamKind>

extension Name where Kind == SiteKind {
    /// The site of a machine that has not been told one.
    public static var standardText: String { "home" }
}
