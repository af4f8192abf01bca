/// The payload of `status` and of `link/<upstream>`: retained, and the will.
///
/// The will carries instance and session but no time: it is written before what it tells happens.
public struct Status: Hashable, Sendable {
    public var state: Presence
    /// Which installation wrote it; another one under the same name is a clone.
    public var instance: Instance?
    /// Grows with every start: max(last + 1, Unix seconds).
    public var session: Int?
    /// Since when the state holds; absent while the clock was never set, and in the will.
    public var since: Timestamp?
    /// The version of the program that wrote it.
    public var version: String?
    /// Why it is offline, for people: `stopped`, `another machine has this name`.
    public var why: String?

    public init(
        state: Presence, instance: Instance? = nil, session: Int? = nil, since: Timestamp? = nil,
        version: String? = nil, why: String? = nil
    ) {
        self.state = state
        self.instance = instance
        self.session = session
        self.since = since
        self.version = version
        self.why = why
    }

    public init(json: JSONValue) throws(PayloadError) {
        try json.requireObject()
        state = try Presence(json: json)
        instance = json["instance"]?.string.flatMap { Instance($0) }
        session = json.count("session")
        since = json.timestamp("since")
        version = json["version"]?.string
        why = json["why"]?.string
    }

    public var json: JSONValue {
        var object = JSONObject()
        object.append("state", state.rawValue)
        object.append("instance", instance?.description)
        object.append("session", integer: session)
        object.append("since", since?.description)
        object.append("version", version)
        object.append("why", why)
        return .object(object)
    }

    public func encode() -> [UInt8] { json.encoded() }
}

/// The payload of `link/<upstream>`: the same as `status`, written on the upstream by the bridge.
public typealias Link = Status
