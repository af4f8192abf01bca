/// The payload of `event/<input>`: an edge of a digital input.
public struct Event: Hashable, Sendable {
    public enum Edge: String, Hashable, Sendable {
        case rising, falling
    }

    public var taken: TakenAt
    public var edge: Edge
    /// The kernel's time stamp of the edge in nanoseconds of its monotonic clock (gpio(4)).
    public var kernelNanoseconds: Int?
    /// The kernel's sequence number of the edge on this line, where it gives one.
    public var sequence: Int?
    public var number: Int
    public var boot: BootID

    public init(
        taken: TakenAt, edge: Edge, kernelNanoseconds: Int? = nil, sequence: Int? = nil,
        number: Int, boot: BootID
    ) {
        self.taken = taken
        self.edge = edge
        self.kernelNanoseconds = kernelNanoseconds
        self.sequence = sequence
        self.number = number
        self.boot = boot
    }

    public init(json: JSONValue) throws(PayloadError) {
        try json.requireObject()
        taken = try json.requireTaken()
        guard let edge = Edge(rawValue: try json.requireString("edge")) else {
            throw PayloadError(member: "edge", expected: "\"rising\" or \"falling\"")
        }
        self.edge = edge
        kernelNanoseconds = json.count("kernel_ns")
        sequence = json.count("seq")
        number = try json.requireCount("n")
        guard let boot = BootID(try json.requireString("b")) else {
            throw PayloadError(member: "b", expected: "16 hexadecimal digits")
        }
        self.boot = boot
    }

    public var json: JSONValue {
        var object = JSONObject()
        object.append(taken)
        object.append("edge", edge.rawValue)
        object.append("kernel_ns", integer: kernelNanoseconds)
        object.append("seq", integer: sequence)
        object.append("n", integer: number)
        object.append("b", boot.description)
        return .object(object)
    }

    public func encode() -> [UInt8] { json.encoded() }
}
