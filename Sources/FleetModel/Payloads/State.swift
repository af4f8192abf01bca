/// The payload of `state`: the last value of every sensor, for whoever joins late.
public struct State: Hashable, Sendable {
    public struct Entry: Hashable, Sendable {
        public var taken: TakenAt
        public var value: Double?
        public var quality: Quality
        public var why: String?

        public init(
            taken: TakenAt, value: Double?, quality: Quality = .good, why: String? = nil
        ) {
            self.taken = taken
            self.value = value
            self.quality = quality
            self.why = why
        }

        init(json: JSONValue) throws(PayloadError) {
            taken = try json.requireTaken()
            value = json["v"]?.number
            quality = Quality(json: json["q"])
            why = json["why"]?.string
        }

        var json: JSONValue {
            var object = JSONObject()
            object.append(taken)
            object.append("v", number: value)
            object.append(quality)
            object.append("why", why)
            return .object(object)
        }
    }

    /// In the order of the agent's configuration.
    public var sensors: [(name: SensorName, entry: Entry)]

    public init(sensors: [(name: SensorName, entry: Entry)] = []) { self.sensors = sensors }

    /// Members that are not sensors of this version are ignored.
    public init(json: JSONValue) throws(PayloadError) {
        guard let object = json.object else {
            throw PayloadError(member: "", expected: "an object")
        }
        sensors = object.members.compactMap { member in
            guard let name = try? SensorName(member.name),
                let entry = try? Entry(json: member.value)
            else { return nil }
            return (name, entry)
        }
    }

    public var json: JSONValue {
        .object(JSONObject(sensors.map { .init($0.name.text, $0.entry.json) }))
    }

    public func encode() -> [UInt8] { json.encoded() }

    public subscript(name: SensorName) -> Entry? { sensors.first { $0.name == name }?.entry }

    public static func == (left: State, right: State) -> Bool { left.json == right.json }
    public func hash(into hasher: inout Hasher) { hasher.combine(json) }
}
