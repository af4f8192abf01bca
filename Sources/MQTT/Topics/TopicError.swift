/// Why a topic name or a topic filter was refused.
///
/// It holds no byte of the topic, so it can be logged and sent to anyone.
public struct TopicError: Error, Hashable, Sendable, CustomStringConvertible {
    /// The class of the fault; the raw value is the MQTT 5 reason code that answers it.
    public enum Kind: UInt8, Sendable {
        /// Not a string that MQTT can carry (ill-formed UTF-8, U+0000): the connection ends.
        case malformed = 0x81
        /// A filter that breaks the rules of 4.7 or 4.8, or is longer than this side takes.
        case invalidFilter = 0x8F
        /// A name that breaks the rules of 4.7, or is longer than this side takes.
        case invalidName = 0x90
    }

    public let kind: Kind

    /// What MQTT 5 calls the fault.
    public var reasonCode: ReasonCode { ReasonCode(rawValue: kind.rawValue) }

    /// The normative statement of MQTT 5.0, such as `MQTT-4.7.1-1`. A limit of ours has none, and
    /// names the limit instead.
    public let clause: String

    /// What is wrong, for people.
    public let detail: String

    public var description: String { "\(detail) [\(clause)]" }

    init(_ kind: Kind, _ clause: StaticString, _ detail: StaticString) {
        self.kind = kind
        self.clause = clause.description
        self.detail = detail.description
    }
}
