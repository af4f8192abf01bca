import MQTT

/// What one run of the load generator does; every field is a `--flag value` of the program.
struct Scenario {
    var port: UInt16 = 1_883
    var version: ProtocolVersion = .v3_1_1
    /// Each publishes to a topic of its own, `load/<number>`.
    var publishers = 50
    var subscribers = 1
    /// True: subscriber k reads the topic of publisher k; false: every subscriber reads `load/#`.
    var pairs = false
    var qos: QoS = .atMostOnce
    /// Messages in all, a multiple of publishers times batch.
    var messages = 200_000
    var payloadBytes = 64
    /// Messages a write.
    var batch = 32
    /// Deliveries under way at most; publishers wait when the broker or a subscriber is behind, so
    /// that nothing is dropped and every message can be counted.
    var outstandingLimit: Int { max(4_096, 512 * copies) }

    /// How many subscribers get each message.
    var copies: Int { pairs ? 1 : subscribers }

    var deliveries: Int { messages * copies }

    /// Reads `--name value` pairs; `nil` and a sentence when something is not understood.
    static func parse(_ arguments: some Sequence<String>) -> Result<Scenario, UsageError> {
        var scenario = Scenario()
        var iterator = arguments.makeIterator()
        while let flag = iterator.next() {
            guard let text = iterator.next() else { return .failure("\(flag) needs a value") }
            guard scenario.set(flag, text) else {
                return .failure("not understood: \(flag) \(text)")
            }
        }
        let unit = scenario.publishers * scenario.batch
        scenario.messages = max(unit, scenario.messages / unit * unit)
        return .success(scenario)
    }

    private mutating func set(_ flag: String, _ text: String) -> Bool {
        guard let number = Int(text), number >= 0 else { return false }
        switch flag {
        case "--port": port = UInt16(clamping: number)
        case "--mqtt":
            guard let found = ProtocolVersion(rawValue: UInt8(clamping: number)) else {
                return false
            }
            version = found
        case "--publishers": publishers = max(1, number)
        case "--subscribers": subscribers = max(1, number)
        case "--pairs": pairs = number != 0
        case "--qos":
            guard let found = QoS(rawValue: UInt8(clamping: number)) else { return false }
            qos = found
        case "--messages": messages = number
        case "--payload": payloadBytes = number
        case "--batch": batch = max(1, number)
        default: return false
        }
        return true
    }
}

/// What was wrong with the arguments.
struct UsageError: Error, ExpressibleByStringInterpolation {
    let message: String

    init(stringLiteral message: String) {
        self.message = message
    }
}
