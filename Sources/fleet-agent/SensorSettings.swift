import AgentCore
import Config
import FleetModel
import GPIO
import Sensors

extension SensorSettings {
    /// The words after `source =`.
    enum SourceWord: String, CaseIterable {
        case load, memory, disk, uptime, thermal, hwmon, w1, gpio, simulated
    }

    static let defaultInterval = Duration.seconds(30)

    /// Reads one `[[sensor]]`; `nil` when something is missing, of which the reader then knows.
    init?(_ reader: ConfigurationReader) {
        let name = reader.requiredParsed("name", hint: "write name = \"attic\"") {
            try SensorName($0)
        }
        let word = reader.requiredParsed("source", hint: "write source = \"w1\"") { text in
            guard let word = SourceWord(rawValue: text) else {
                let all = SourceWord.allCases.map(\.rawValue).joined(separator: ", ")
                throw ConfigurationProblem("must be one of \(all)")
            }
            return word
        }
        let interval = reader.duration(
            "interval", default: Self.defaultInterval,
            in: .milliseconds(100)...(.seconds(86_400)))
        let timeout = reader.duration(
            "timeout", default: .seconds(10), in: .milliseconds(100)...(.seconds(600)))
        let heartbeat = reader.duration(
            "heartbeat", default: .seconds(300), in: .seconds(1)...(.seconds(86_400)))
        let unit = reader.parsed("unit") { text in
            guard let unit = Unit(text) else {
                throw ConfigurationProblem(
                    "is no unit of SenML (RFC 8428)",
                    hint: "degrees Celsius are \"Cel\", percent \"%\", relative humidity \"%RH\"")
            }
            return unit
        }
        let minimum = reader.number("minimum", in: -1e300...1e300)
        let maximum = reader.number("maximum", in: -1e300...1e300)
        let qos = reader.integer("qos", default: 1, in: 0...1)
        guard let word, let name, let source = Self.source(word, name: name, reader) else {
            return nil
        }
        var configuration = SensorConfiguration(name: name, unit: unit ?? source.defaultUnit)
        configuration.interval = interval
        configuration.heartbeat = heartbeat
        configuration.minimum = minimum
        configuration.maximum = maximum
        configuration.isSimulated = word == .simulated
        configuration.isUnreliable = qos == 0
        self.configuration = configuration
        self.reader = SensorReader.Sensor(source, timeout: timeout)
    }

    private static func source(
        _ word: SourceWord, name: SensorName, _ reader: ConfigurationReader
    ) -> SensorSource? {
        switch word {
        case .load:
            let minutes = reader.integer("minutes", default: 1, in: 1...15)
            if ![1, 5, 15].contains(minutes) { reader.problem("minutes", "must be 1, 5 or 15") }
            return .load(minutes: minutes)
        case .memory: return .memory
        case .disk: return .disk(path: reader.string("path", default: "/"))
        case .uptime: return .uptime
        case .thermal: return .thermal(zone: reader.string("zone"))
        case .hwmon:
            let chip = reader.required("chip", hint: "the name in /sys/class/hwmon/hwmon*/name")
            return .hwmon(chip: chip, input: reader.string("input", default: "temp1"))
        case .w1: return .oneWire(id: reader.parsed("id", parse: oneWireID))
        case .gpio: return gpio(reader)
        case .simulated: return .simulated(simulation(name, reader))
        }
    }

    /// An id becomes part of a path, so it is only what the kernel makes: `28-0316a2795f12`.
    private static func oneWireID(_ text: String) throws -> String {
        let isID = text.allSatisfy { ($0.isASCII && $0.isHexDigit) || $0 == "-" }
        guard isID, text.count == 15 else {
            throw ConfigurationProblem(
                "is no 1-Wire id such as \"28-0316a2795f12\"",
                hint: "ls /sys/bus/w1/devices shows them")
        }
        return text
    }

    private static func gpio(_ reader: ConfigurationReader) -> SensorSource? {
        let chip = reader.string("chip")
        let line = reader.string("line")
        let offset = reader.integer("offset", in: 0...1023)
        let place: GPIOLineRequest.Place
        switch (line, offset, chip) {
        case (let line?, nil, _): place = .name(line, chip: chip)
        case (nil, let offset?, let chip?): place = .offset(UInt32(offset), chip: chip)
        default:
            reader.reportMissing(
                "line",
                hint: "write line = \"GPIO17\", or chip = \"pinctrl-bcm2711\" and offset = 17")
            return nil
        }
        let edges = reader.parsed("edges", default: "none") { text in
            switch text {
            case "none": return (rising: false, falling: false)
            case "rising": return (rising: true, falling: false)
            case "falling": return (rising: false, falling: true)
            case "both": return (rising: true, falling: true)
            default: throw ConfigurationProblem("must be none, rising, falling or both")
            }
        }
        return .gpio(
            GPIOLineRequest(
                place, isActiveLow: reader.boolean("active_low", default: false),
                bias: reader.choice("bias", default: GPIOLineRequest.Bias.asIs),
                wantsRisingEdges: edges.rising, wantsFallingEdges: edges.falling))
    }

    private static func simulation(
        _ name: SensorName, _ reader: ConfigurationReader
    ) -> Simulation {
        // A seed from the name: sensors differ, and every start repeats them.
        let seed = name.text.utf8.reduce(UInt64(0xCBF2_9CE4_8422_2325)) {
            ($0 ^ UInt64($1)) &* 0x0000_0100_0000_01B3
        }
        return Simulation(
            kind: reader.choice("kind", default: Simulation.Kind.sine),
            mean: reader.number("mean", default: 20, in: -1e9...1e9),
            amplitude: reader.number("amplitude", default: 5, in: 0...1e9),
            period: reader.integer("period", default: 60, in: 1...1_000_000),
            seed: reader.integer("seed", in: 0...Int.max).map { UInt64($0) } ?? seed)
    }

    /// The sensors that every machine has, and the 1-Wire thermometers that are wired to this one.
    static func ofMachine(_ facts: MachineFacts) -> [SensorSettings] {
        var found: [(String, SensorSource)] = [
            ("load", .load(minutes: 1)), ("memory", .memory), ("disk", .disk(path: "/")),
        ]
        if facts.hasThermalZone { found.append(("temperature", .thermal(zone: nil))) }
        found += facts.oneWireIDs.map { ($0, .oneWire(id: $0)) }
        return found.prefix(AgentLimits.sensors).compactMap { text, source in
            guard let name = try? SensorName(text) else { return nil }
            return SensorSettings(
                configuration: SensorConfiguration(
                    name: name, unit: source.defaultUnit, interval: defaultInterval),
                reader: SensorReader.Sensor(source))
        }
    }

    /// As `info` shows it.
    var info: Info.Sensor {
        let (seconds, attoseconds) = configuration.interval.components
        return Info.Sensor(
            name: configuration.name, unit: configuration.unit?.symbol, source: reader.source.word,
            minimum: configuration.minimum, maximum: configuration.maximum,
            intervalSeconds: Double(seconds) + Double(attoseconds) / 1e18)
    }
}
