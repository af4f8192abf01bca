import AgentCore
import Client
import Config
import Daemon
import FleetModel
import Sensors

/// The configuration of an agent, understood.
struct AgentSettings: Equatable {
    var site: Site
    /// `nil`: by the host's name.
    var node: NodeName?
    var broker: BrokerSettings
    var sensors: [SensorSettings]
    /// Whether the machine's own sensors are to be found and added.
    var addsMachineSensors: Bool
    var health: HealthRules
    var measurementLog: String?
    var roots: KernelRoots
    var clockIsTrusted: Bool
    var control: ControlSettings
}

/// The broker that the agent publishes to.
struct BrokerSettings: Equatable {
    var url: BrokerURL
    var client: ClientSettings
    var maximumQueuedMessages: Int
    var maximumQueuedBytes: Int
}

/// One sensor: how it is read, and how it is published.
struct SensorSettings: Equatable {
    var configuration: SensorConfiguration
    var reader: SensorReader.Sensor
}

extension AgentSettings {
    init(_ reader: ConfigurationReader) {
        site = reader.parsed("site", default: Site.standardText) { try Site($0) }
        node = reader.parsed("node") { try NodeName($0) }
        measurementLog = reader.path("measurement_log")
        broker = BrokerSettings(reader.table("broker"))
        sensors = Self.readSensors(reader)
        addsMachineSensors = reader.boolean(
            "machine_sensors", default: !reader.has("sensor"))
        health = Self.readHealth(reader.table("health"))
        let kernel = reader.table("kernel")
        roots = KernelRoots(
            proc: kernel.string("proc_root", default: "/proc"),
            sys: kernel.string("sys_root", default: "/sys"))
        clockIsTrusted = reader.table("clock").boolean("trusted", default: false)
        control = ControlSettings(reader.table("control"))
    }

    /// Those of the configuration, and those of the machine where they are wanted and no other has the name.
    func allSensors(_ facts: MachineFacts) -> [SensorSettings] {
        guard addsMachineSensors else { return sensors }
        let names = Set(sensors.map(\.configuration.name))
        return sensors
            + SensorSettings.ofMachine(facts).filter { !names.contains($0.configuration.name) }
    }

    private static func readHealth(_ reader: ConfigurationReader) -> HealthRules {
        var rules = HealthRules()
        rules.interval = reader.duration(
            "interval", default: rules.interval, in: .seconds(1)...(.seconds(86_400)))
        rules.sampleInterval = min(
            rules.interval,
            reader.duration(
                "sample_interval", default: rules.sampleInterval,
                in: .seconds(1)...(.seconds(86_400))))
        rules.maximumTemperature = reader.number(
            "maximum_temperature", default: rules.maximumTemperature, in: 0...150)
        rules.minimumMemory =
            reader.number(
                "minimum_memory_percent", default: rules.minimumMemory * 100, in: 0...100) / 100
        rules.minimumDisk =
            reader.number(
                "minimum_disk_percent", default: rules.minimumDisk * 100, in: 0...100) / 100
        return rules
    }

    private static func readSensors(_ reader: ConfigurationReader) -> [SensorSettings] {
        var sensors: [SensorSettings] = []
        for table in reader.tables("sensor") {
            guard let sensor = SensorSettings(table) else { continue }
            if sensors.contains(where: { $0.configuration.name == sensor.configuration.name }) {
                table.problem("name", "two sensors are called \(sensor.configuration.name)")
            } else if sensors.count == AgentLimits.sensors {
                table.problem("name", "an agent has at most \(AgentLimits.sensors) sensors")
            } else {
                sensors.append(sensor)
            }
        }
        return sensors
    }
}

extension BrokerSettings {
    init(_ reader: ConfigurationReader) {
        url = reader.parsed("url", default: "mqtt://127.0.0.1:1883") { try BrokerURL($0) }
        client = ClientSettings(reader, url: url, keepAlive: .seconds(30))
        maximumQueuedMessages = reader.integer(
            "maximum_queued_messages", default: 50_000, in: 100...10_000_000)
        maximumQueuedBytes = reader.size(
            "maximum_queued_bytes", default: 16 << 20, in: (64 << 10)...(1 << 30))
    }
}
