import MQTT

/// A filter that a role allows or denies, in which a level `%u` stands for the user and a level `%c` for
/// the client identifier.
public struct AccessRule: Hashable, Sendable {
    public enum Effect: Hashable, Sendable { case allow, deny }
    public enum Action: String, Hashable, Sendable { case publish, subscribe }

    public let effect: Effect
    public let action: Action
    /// As the configuration writes it.
    public let text: String
    /// Where it was written, for people.
    public let origin: String

    private let filter: TopicFilter
    /// The levels of the filter, where some of them are placeholders; else empty.
    private let levels: [Level]

    private enum Level: Hashable, Sendable {
        case fixed([UInt8])
        case user
        case client
    }

    /// More levels than any listener takes.
    private static let limits = TopicLimits(maximumLevels: 1_024)

    /// Checks the filter. What it throws says what is wrong with it, without the text.
    public init(
        _ effect: Effect, _ action: Action, _ text: String, origin: String = ""
    ) throws(AccessRuleError) {
        self.effect = effect
        self.action = action
        self.text = text
        self.origin = origin
        do throws(TopicError) {
            filter = try TopicFilter(text, limits: Self.limits, sharedSubscriptions: false)
        } catch {
            throw .filter(error.detail)
        }
        if text.hasPrefix("$share/") { throw .shared }
        if action == .publish && effect == .allow && (text == "$SYS" || text.hasPrefix("$SYS/")) {
            throw .servers
        }
        let parts = text.utf8.split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false)
        var levels: [Level] = []
        for part in parts.map({ Array($0) }) {
            switch part {
            case Self.user: levels.append(.user)
            case Self.client: levels.append(.client)
            case let level where Self.mentionsPlaceholder(level): throw .placeholder
            default: levels.append(.fixed(part))
            }
        }
        let hasPlaceholder = levels.contains(.user) || levels.contains(.client)
        self.levels = hasPlaceholder ? levels : []
    }

    private static let user = Array("%u".utf8)
    private static let client = Array("%c".utf8)

    private static func mentionsPlaceholder(_ level: [UInt8]) -> Bool {
        zip(level, level.dropFirst()).contains { [$0, $1] == user || [$0, $1] == client }
    }

    /// Whether it is the same for everybody.
    var isFixed: Bool { levels.isEmpty }

    /// The filter for one principal; `nil` when the rule says nothing about it.
    ///
    /// Where a name cannot stand for a level, a rule that allows matches nothing, and one that denies
    /// every name: no name opens what others are kept out of.
    func filter(for principal: Principal) -> TopicFilter? {
        if isFixed { return filter }
        var bytes: [UInt8] = []
        for (index, level) in levels.enumerated() {
            if index > 0 { bytes.append(UInt8(ascii: "/")) }
            let name: [UInt8]
            switch level {
            case .fixed(let text):
                bytes += text
                continue
            case .user: name = principal.user ?? []
            case .client: name = principal.clientID
            }
            if Principal.canFillLevel(name) {
                bytes += name
            } else if effect == .deny {
                bytes.append(UInt8(ascii: "+"))
            } else {
                return nil
            }
        }
        do throws(TopicError) {
            return try TopicFilter(
                validating: bytes.span, limits: Self.limits, sharedSubscriptions: false)
        } catch {
            // A name that makes it longer than a topic can be: there is nothing that it could match.
            return nil
        }
    }
}

/// What is wrong with a rule's filter.
public enum AccessRuleError: Error, Hashable, Sendable, CustomStringConvertible {
    /// No topic filter, for this reason.
    case filter(String)
    case shared
    case servers
    case placeholder

    public var description: String {
        switch self {
        case .filter(let detail): "this is no topic filter: \(detail)"
        case .shared: "write the filter alone, without $share/ and the group's name"
        case .servers: "only the server publishes to $SYS and below it"
        case .placeholder: "a placeholder (%u, %c) must fill its level"
        }
    }
}
