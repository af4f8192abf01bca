/// The payload of `health`: how the machine is, every minute and at once past a threshold.
public struct Health: Hashable, Sendable {
    /// Bytes in all and bytes that a program can still have.
    public struct Space: Hashable, Sendable {
        public var total: Int
        public var available: Int

        public init(total: Int, available: Int) {
            self.total = total
            self.available = available
        }

        /// 0 to 1; 1 where the total is unknown.
        public var availableRatio: Double {
            total > 0 ? Double(available) / Double(total) : 1
        }

        init?(json: JSONValue?) {
            guard let total = json?.count("total"), let available = json?.count("available") else {
                return nil
            }
            self.init(total: total, available: available)
        }

        var json: JSONValue {
            .object(["total": .integer(Int64(total)), "available": .integer(Int64(available))])
        }
    }

    public var taken: TakenAt
    public var uptimeSeconds: Double?
    /// Load averages over 1, 5 and 15 minutes (proc_loadavg(5)).
    public var load: [Double]
    public var memory: Space?
    /// The file system of the agent's state folder.
    public var disk: Space?
    /// The processor's temperature in degrees Celsius.
    public var temperature: Double?
    /// The firmware's word on under-voltage and throttling, as `vcgencmd get_throttled` shows it.
    public var throttled: Int?
    /// Whether the clock was synchronised since boot.
    public var clockSynchronised: Bool
    /// Bytes written to the machine's flash or disk since boot.
    public var bytesWritten: Int?

    public init(
        taken: TakenAt, uptimeSeconds: Double? = nil, load: [Double] = [], memory: Space? = nil,
        disk: Space? = nil, temperature: Double? = nil, throttled: Int? = nil,
        clockSynchronised: Bool, bytesWritten: Int? = nil
    ) {
        self.taken = taken
        self.uptimeSeconds = uptimeSeconds
        self.load = load
        self.memory = memory
        self.disk = disk
        self.temperature = temperature
        self.throttled = throttled
        self.clockSynchronised = clockSynchronised
        self.bytesWritten = bytesWritten
    }

    public init(json: JSONValue) throws(PayloadError) {
        try json.requireObject()
        taken = try json.requireTaken()
        uptimeSeconds = json["uptime"]?.number
        load = json["load"]?.array?.compactMap(\.number) ?? []
        memory = Space(json: json["memory"])
        disk = Space(json: json["disk"])
        temperature = json["temperature"]?.number
        throttled = json.count("throttled")
        clockSynchronised = json["clock_sync"]?.bool ?? false
        bytesWritten = json.count("written")
    }

    public var json: JSONValue {
        var object = JSONObject()
        object.append(taken)
        object.append("uptime", number: uptimeSeconds)
        if !load.isEmpty { object.append("load", .array(load.map { .number($0) })) }
        object.append("memory", memory?.json)
        object.append("disk", disk?.json)
        object.append("temperature", number: temperature)
        object.append("throttled", integer: throttled)
        object.append("clock_sync", .bool(clockSynchronised))
        object.append("written", integer: bytesWritten)
        return .object(object)
    }

    public func encode() -> [UInt8] { json.encoded() }
}
