/// Why a JSON value is not the payload that its topic asks for.
public struct PayloadError: Error, Hashable, Sendable, CustomStringConvertible {
    /// The member at fault; empty for the whole value.
    public let member: String
    /// What it should have been.
    public let expected: String

    public init(member: String, expected: String) {
        self.member = member
        self.expected = expected
    }

    public var description: String {
        let what = member.isEmpty ? "the payload" : "member \"\(member)\""
        return "\(what) is not \(expected)"
    }
}

extension JSONValue {
    func requireObject() throws(PayloadError) {
        if object == nil { throw PayloadError(member: "", expected: "an object") }
    }

    func requireString(_ name: String) throws(PayloadError) -> String {
        guard let text = self[name]?.string else {
            throw PayloadError(member: name, expected: "a string")
        }
        return text
    }

    func requireCount(_ name: String) throws(PayloadError) -> Int {
        guard let value = self[name]?.integer, value >= 0 else {
            throw PayloadError(member: name, expected: "a whole number of at least 0")
        }
        return Int(value)
    }

    func requireTaken() throws(PayloadError) -> TakenAt {
        guard let taken = TakenAt(json: self) else {
            throw PayloadError(member: "t", expected: "an RFC 3339 time, nor is \"up\" given")
        }
        return taken
    }

    func count(_ name: String) -> Int? {
        guard let value = self[name]?.integer, value >= 0 else { return nil }
        return Int(value)
    }

    func timestamp(_ name: String) -> Timestamp? {
        self[name]?.string.flatMap { Timestamp($0) }
    }
}
