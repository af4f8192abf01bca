/// The payload of `cmd/<verb>/<id>`: a request. An empty payload is a request without arguments.
public struct Command: Hashable, Sendable {
    /// A time after which it must not run.
    public var expires: Timestamp?
    /// Who asks, for the node's log.
    public var by: String?
    /// All members, those of the verb among them.
    public var arguments: JSONObject

    public init(expires: Timestamp? = nil, by: String? = nil, arguments: JSONObject = [:]) {
        self.expires = expires
        self.by = by
        self.arguments = arguments
    }

    public init(json: JSONValue) throws(PayloadError) {
        guard let object = json.object else {
            throw PayloadError(member: "", expected: "an object")
        }
        // An unreadable expiry must not become "never".
        if let expiry = object["exp"] {
            guard let time = expiry.string.flatMap({ Timestamp($0) }) else {
                throw PayloadError(member: "exp", expected: "an RFC 3339 time")
            }
            expires = time
        }
        by = object["by"]?.string
        arguments = JSONObject(object.members.filter { $0.name != "exp" && $0.name != "by" })
    }

    public var json: JSONValue {
        var object = JSONObject()
        object.append("exp", expires?.description)
        object.append("by", by)
        object.members += arguments.members
        return .object(object)
    }

    public func encode() -> [UInt8] { json.encoded() }
}

/// The payload of `res/<verb>/<id>`: how a request fares.
public struct Response: Hashable, Sendable {
    public enum State: String, Hashable, Sendable {
        case accepted, running, done, failed, expired, stale

        /// Whether no further response follows.
        public var isFinal: Bool { self != .accepted && self != .running }
    }

    public var state: State
    public var taken: TakenAt
    public var instance: Instance?
    /// Why it failed.
    public var why: String?
    /// What the verb answers.
    public var data: JSONValue?

    public init(
        state: State, taken: TakenAt, instance: Instance? = nil, why: String? = nil,
        data: JSONValue? = nil
    ) {
        self.state = state
        self.taken = taken
        self.instance = instance
        self.why = why
        self.data = data
    }

    public init(json: JSONValue) throws(PayloadError) {
        try json.requireObject()
        guard let state = State(rawValue: try json.requireString("state")) else {
            throw PayloadError(member: "state", expected: "a state of a request")
        }
        self.state = state
        taken = try json.requireTaken()
        instance = json["instance"]?.string.flatMap { Instance($0) }
        why = json["why"]?.string
        data = json["data"]
    }

    public var json: JSONValue {
        var object = JSONObject()
        object.append("state", state.rawValue)
        object.append(taken)
        object.append("instance", instance?.description)
        object.append("why", why)
        object.append("data", data)
        return .object(object)
    }

    public func encode() -> [UInt8] { json.encoded() }
}
