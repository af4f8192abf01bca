/// The payload of `m/<sensor>`: one measurement.
public struct Measurement: Hashable, Sendable {
    /// When it was taken, never when it was sent.
    public var taken: TakenAt
    /// Absent when the quality is `bad`: a stale number must never look like a fresh one.
    public var value: Double?
    public var unit: String?
    public var quality: Quality
    /// Why the quality is `bad`.
    public var why: String?
    /// Counts from 1 for each sensor within `boot`, without gaps.
    public var number: Int
    public var boot: BootID

    public init(
        taken: TakenAt, value: Double?, unit: String? = nil, quality: Quality = .good,
        why: String? = nil, number: Int, boot: BootID
    ) {
        self.taken = taken
        self.value = value
        self.unit = unit
        self.quality = quality
        self.why = why
        self.number = number
        self.boot = boot
    }

    public init(json: JSONValue) throws(PayloadError) {
        try json.requireObject()
        taken = try json.requireTaken()
        value = json["v"]?.number
        unit = json["u"]?.string
        quality = Quality(json: json["q"])
        why = json["why"]?.string
        number = try json.requireCount("n")
        guard let boot = BootID(try json.requireString("b")) else {
            throw PayloadError(member: "b", expected: "16 hexadecimal digits")
        }
        self.boot = boot
        if value == nil, quality != .bad {
            throw PayloadError(member: "v", expected: "a number")
        }
    }

    public var json: JSONValue {
        var object = JSONObject()
        object.append(taken)
        object.append("v", number: value)
        object.append("u", unit)
        object.append(quality)
        object.append("why", why)
        object.append("n", integer: number)
        object.append("b", boot.description)
        return .object(object)
    }

    public func encode() -> [UInt8] { json.encoded() }
}
