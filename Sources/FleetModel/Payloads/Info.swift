/// The payload of `info`: what the machine is, up to 4 KiB, retained.
public struct Info: Hashable, Sendable {
    /// A sensor as others need to know it to show it.
    public struct Sensor: Hashable, Sendable {
        public var name: SensorName
        public var unit: String?
        /// Where its values come from: `thermal`, `w1`, `simulated`.
        public var source: String?
        public var minimum: Double?
        public var maximum: Double?
        public var intervalSeconds: Double?

        public init(
            name: SensorName, unit: String? = nil, source: String? = nil, minimum: Double? = nil,
            maximum: Double? = nil, intervalSeconds: Double? = nil
        ) {
            self.name = name
            self.unit = unit
            self.source = source
            self.minimum = minimum
            self.maximum = maximum
            self.intervalSeconds = intervalSeconds
        }

        init?(json: JSONValue) {
            guard let text = json["name"]?.string, let name = try? SensorName(text) else {
                return nil
            }
            self.init(
                name: name, unit: json["unit"]?.string, source: json["source"]?.string,
                minimum: json["min"]?.number, maximum: json["max"]?.number,
                intervalSeconds: json["interval"]?.number)
        }

        var json: JSONValue {
            var object = JSONObject()
            object.append("name", name.text)
            object.append("unit", unit)
            object.append("source", source)
            object.append("min", number: minimum)
            object.append("max", number: maximum)
            object.append("interval", number: intervalSeconds)
            return .object(object)
        }
    }

    /// The size that `info` is held to; sensors are left out from the end to keep it, and counted.
    public static let maximumBytes = 4096

    public var instance: Instance?
    public var model: String?
    public var serial: String?
    public var operatingSystem: String?
    public var kernel: String?
    public var architecture: String?
    public var addresses: [String] = []
    /// Fleet's packages with their versions, by name.
    public var packages: [(name: String, version: String)] = []
    public var sensors: [Sensor] = []
    /// How many sensors did not fit.
    public var sensorsLeftOut = 0

    public init() {}

    public init(json: JSONValue) throws(PayloadError) {
        try json.requireObject()
        instance = json["instance"]?.string.flatMap { Instance($0) }
        model = json["model"]?.string
        serial = json["serial"]?.string
        operatingSystem = json["os"]?.string
        kernel = json["kernel"]?.string
        architecture = json["architecture"]?.string
        addresses = json["addresses"]?.array?.compactMap(\.string) ?? []
        packages = (json["packages"]?.object?.members ?? []).compactMap { member in
            member.value.string.map { (member.name, $0) }
        }
        sensors = json["sensors"]?.array?.compactMap { Sensor(json: $0) } ?? []
        sensorsLeftOut = json.count("sensors_left_out") ?? 0
    }

    public var json: JSONValue {
        var object = JSONObject()
        object.append("instance", instance?.description)
        object.append("model", model)
        object.append("serial", serial)
        object.append("os", operatingSystem)
        object.append("kernel", kernel)
        object.append("architecture", architecture)
        if !addresses.isEmpty { object.append("addresses", .array(addresses.map { .string($0) })) }
        if !packages.isEmpty {
            let members = packages.map { JSONObject.Member($0.name, .string($0.version)) }
            object.append("packages", .object(JSONObject(members)))
        }
        if !sensors.isEmpty { object.append("sensors", .array(sensors.map(\.json))) }
        if sensorsLeftOut > 0 { object.append("sensors_left_out", integer: sensorsLeftOut) }
        return .object(object)
    }

    /// At most `maximumBytes`, unless the inventory without sensors is already longer.
    public func encode() -> [UInt8] {
        var fitting = self
        var bytes = fitting.json.encoded()
        while bytes.count > Self.maximumBytes, fitting.sensors.popLast() != nil {
            fitting.sensorsLeftOut += 1
            bytes = fitting.json.encoded()
        }
        return bytes
    }

    public static func == (left: Info, right: Info) -> Bool { left.json == right.json }
    public func hash(into hasher: inout Hasher) { hasher.combine(json) }
}
