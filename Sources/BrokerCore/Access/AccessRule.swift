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
    /// `nil` where the filter has no placeholder.
    private let template: LevelTemplate?

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
        guard let template = LevelTemplate(text) else { throw .placeholder }
        self.template = template.isFixed ? nil : template
    }

    /// Whether it is the same for everybody.
    var isFixed: Bool { template == nil }

    /// The filter for one principal; `nil` when the rule says nothing about it.
    ///
    /// Where a name cannot stand for a level, a rule that allows matches nothing, and one that denies
    /// every name: no name opens what others are kept out of.
    func filter(for principal: Principal) -> TopicFilter? {
        guard let template else { return filter }
        let standIn = effect == .deny ? UInt8(ascii: "+") : nil
        guard let bytes = template.bytes(for: principal, standIn: standIn) else { return nil }
        do throws(TopicError) {
            return try TopicFilter(
                validating: bytes.span, limits: Self.limits, sharedSubscriptions: false)
        } catch {
            // A name that makes it longer than a topic can be: there is nothing that it could match.
            return nil
        }
    }
}

/// What is wrong with a rule's filter, or with another text that has placeholders.
public enum AccessRuleError: Error, Hashable, Sendable, CustomStringConvertible {
    /// No topic filter, for this reason.
    case filter(String)
    /// No topic name, for this reason.
    case name(String)
    case shared
    case servers
    case placeholder

    public var description: String {
        switch self {
        case .filter(let detail): "this is no topic filter: \(detail)"
        case .name(let detail): "this is no topic name: \(detail)"
        case .shared: "write the filter alone, without $share/ and the group's name"
        case .servers: "only the server publishes to $SYS and below it"
        case .placeholder: "a placeholder (%u, %c) must fill its level"
        }
    }
}
