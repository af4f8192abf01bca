/// A JSON value (RFC 8259); objects keep the order of their members.
public enum JSONValue: Hashable, Sendable {
    case null
    case bool(Bool)
    case integer(Int64)
    /// Never written as NaN or infinity: JSON has neither, so `null` stands for them.
    case number(Double)
    case string(String)
    case array([JSONValue])
    case object(JSONObject)
}

/// The members of a JSON object in order.
public struct JSONObject: Hashable, Sendable, ExpressibleByDictionaryLiteral {
    public struct Member: Hashable, Sendable {
        public var name: String
        public var value: JSONValue
        public init(_ name: String, _ value: JSONValue) {
            self.name = name
            self.value = value
        }
    }

    public var members: [Member]

    public init(_ members: [Member] = []) { self.members = members }

    public init(dictionaryLiteral elements: (String, JSONValue)...) {
        members = elements.map { Member($0.0, $0.1) }
    }

    /// The first member of that name; setting replaces it or appends, `nil` removes it.
    public subscript(name: String) -> JSONValue? {
        get { members.first { $0.name == name }?.value }
        set {
            let index = members.firstIndex { $0.name == name }
            switch (index, newValue) {
            case (let index?, let value?): members[index].value = value
            case (let index?, nil): members.remove(at: index)
            case (nil, let value?): members.append(Member(name, value))
            case (nil, nil): break
            }
        }
    }

    /// Appends without looking for the name; what is `nil` is left out.
    mutating func append(_ name: String, _ value: JSONValue?) {
        if let value { members.append(Member(name, value)) }
    }

    mutating func append(_ name: String, _ text: String?) {
        append(name, text.map { .string($0) })
    }

    mutating func append(_ name: String, integer: Int?) {
        append(name, integer.map { .integer(Int64($0)) })
    }

    mutating func append(_ name: String, number: Double?) {
        append(name, number.map { .number($0) })
    }
}

extension JSONValue {
    public var string: String? {
        if case .string(let text) = self { text } else { nil }
    }

    public var bool: Bool? {
        if case .bool(let value) = self { value } else { nil }
    }

    /// Whole numbers, also when written as `21.0`.
    public var integer: Int64? {
        switch self {
        case .integer(let value): value
        case .number(let value): Self.wholeNumber(value)
        default: nil
        }
    }

    // `Int64(exactly:)` would pull in libm, which nothing here links.
    private static func wholeNumber(_ value: Double) -> Int64? {
        guard value >= -0x1p63, value < 0x1p63 else { return nil }
        let whole = Int64(value)
        return Double(whole) == value ? whole : nil
    }

    /// Any number.
    public var number: Double? {
        switch self {
        case .integer(let value): Double(value)
        case .number(let value): value
        default: nil
        }
    }

    public var array: [JSONValue]? {
        if case .array(let values) = self { values } else { nil }
    }

    public var object: JSONObject? {
        if case .object(let object) = self { object } else { nil }
    }

    /// The member of an object; `nil` on anything else.
    public subscript(name: String) -> JSONValue? { object?[name] }
}
