/// The payload of `clock`: what `up` meant in boots that began without a clock, the last eight.
public struct ClockOffsets: Hashable, Sendable {
    public struct Boot: Hashable, Sendable {
        public var boot: BootID
        /// Unix milliseconds at the boot: `t` = offset + `up`.
        public var offsetMilliseconds: Int

        public init(boot: BootID, offsetMilliseconds: Int) {
            self.boot = boot
            self.offsetMilliseconds = offsetMilliseconds
        }
    }

    /// How many boots are kept.
    public static let maximumBoots = 8

    /// Oldest first.
    public private(set) var boots: [Boot]

    public init(boots: [Boot] = []) { self.boots = Array(boots.suffix(Self.maximumBoots)) }

    /// Adds a boot as the newest, or corrects it, and forgets the oldest beyond eight.
    public mutating func add(_ boot: Boot) {
        boots.removeAll { $0.boot == boot.boot }
        boots.append(boot)
        boots = Array(boots.suffix(Self.maximumBoots))
    }

    public init(json: JSONValue) throws(PayloadError) {
        guard let list = json["boots"]?.array else {
            throw PayloadError(member: "boots", expected: "an array")
        }
        self.init(
            boots: list.compactMap { entry in
                guard let boot = entry["b"]?.string.flatMap({ BootID($0) }),
                    let offset = entry["offset"]?.integer
                else { return nil }
                return Boot(boot: boot, offsetMilliseconds: Int(offset))
            })
    }

    public var json: JSONValue {
        let list = boots.map { boot -> JSONValue in
            .object([
                "b": .string(boot.boot.description),
                "offset": .integer(Int64(boot.offsetMilliseconds)),
            ])
        }
        return .object(["boots": .array(list)])
    }

    public func encode() -> [UInt8] { json.encoded() }
}
