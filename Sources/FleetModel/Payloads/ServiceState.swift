/// The payload of `service/<name>`: how a daemon is, retained, with a will.
public struct ServiceState: Hashable, Sendable {
    public var state: Presence
    public var version: String?
    public var instance: Instance?
    public var session: Int?
    public var since: Timestamp?
    /// The service's own figures, in order: `connections`, `queue`, `oldest_seconds`,
    /// `dropped` (an object by reason).
    public var counters: JSONObject

    public init(
        state: Presence, version: String? = nil, instance: Instance? = nil, session: Int? = nil,
        since: Timestamp? = nil, counters: JSONObject = [:]
    ) {
        self.state = state
        self.version = version
        self.instance = instance
        self.session = session
        self.since = since
        self.counters = counters
    }

    public init(json: JSONValue) throws(PayloadError) {
        try json.requireObject()
        state = try Presence(json: json)
        version = json["version"]?.string
        instance = json["instance"]?.string.flatMap { Instance($0) }
        session = json.count("session")
        since = json.timestamp("since")
        counters = json["counters"]?.object ?? [:]
    }

    public var json: JSONValue {
        var object = JSONObject()
        object.append("state", state.rawValue)
        object.append("version", version)
        object.append("instance", instance?.description)
        object.append("session", integer: session)
        object.append("since", since?.description)
        if !counters.members.isEmpty { object.append("counters", .object(counters)) }
        return .object(object)
    }

    public func encode() -> [UInt8] { json.encoded() }

    /// A whole-number counter by name.
    public func counter(_ name: String) -> Int? { JSONValue.object(counters).count(name) }
}
