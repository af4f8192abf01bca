/// Whether a connection is there: `online`, or `offline` as its will says.
public enum Presence: String, Hashable, Sendable, CaseIterable {
    case online, offline

    init(json: JSONValue) throws(PayloadError) {
        guard let presence = Presence(rawValue: try json.requireString("state")) else {
            throw PayloadError(member: "state", expected: "\"online\" or \"offline\"")
        }
        self = presence
    }
}
