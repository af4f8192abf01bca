/// Who acts, as far as rights depend on it.
public struct Principal: Hashable, Sendable {
    /// The user whom a password, a certificate or a key has proven; `nil` for everybody else.
    public var user: [UInt8]?
    /// What the client calls itself, which proves nothing.
    public var clientID: [UInt8]
    /// The address of the listener it came through, as the configuration writes it; empty for none.
    public var listener: String

    public init(user: [UInt8]?, clientID: [UInt8], listener: String = "") {
        self.user = user
        self.clientID = clientID
        self.listener = listener
    }

    /// Whether a name may stand for a level of a rule.
    ///
    /// One with a wildcard or a separator would reach into the topics of others, one that begins with
    /// `$` into the server's; a `%` could be a placeholder again wherever rules are handed on.
    static func canFillLevel(_ name: [UInt8]) -> Bool {
        guard let first = name.first, first != UInt8(ascii: "$") else { return false }
        return !name.contains { byte in
            switch byte {
            case 0, UInt8(ascii: "+"), UInt8(ascii: "#"), UInt8(ascii: "/"), UInt8(ascii: "%"): true
            default: false
            }
        }
    }
}
