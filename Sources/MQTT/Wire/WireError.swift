/// Why bytes are no packet, or none that a peer may send here.
///
/// It never holds bytes of the packet: neither payload nor credentials reach a log through it.
public struct WireError: Error, Equatable, Sendable {
    /// What a 5.0 peer is told in CONNACK or DISCONNECT; for 3.x see `ConnAck.returnCode(for:version:)`.
    public let reasonCode: ReasonCode
    /// The normative statement, as `MQTT-3.3.1-2` of the text of the version in use, or the section
    /// where the text has a rule without a number.
    public let clause: StaticString
    /// What is wrong, for people.
    public let detail: StaticString

    public init(reasonCode: ReasonCode, clause: StaticString, detail: StaticString) {
        self.reasonCode = reasonCode
        self.clause = clause
        self.detail = detail
    }

    public static func == (left: WireError, right: WireError) -> Bool {
        left.reasonCode == right.reasonCode
            && left.clause.description == right.clause.description
            && left.detail.description == right.detail.description
    }

    /// Not an error: the packet is well-formed as far as it has arrived. Never leaves the decoder.
    static let incomplete = WireError(reasonCode: .success, clause: "", detail: "")

    static let pastEndDetail: StaticString = "a field reaches past the end of its packet"

    /// Whether a field reaches past the end of its packet.
    var isPastEnd: Bool { detail.description == WireError.pastEndDetail.description }

    /// Whether this is `incomplete`.
    var isIncomplete: Bool { reasonCode == .success }
}

extension WireError: CustomStringConvertible {
    public var description: String { "\(detail) (\(reasonCode.name), \(clause))" }
}
