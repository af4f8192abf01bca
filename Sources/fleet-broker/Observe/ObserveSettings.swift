import Config
import Daemon
import FleetModel
import IO

/// What the broker tells of itself, and where: `[observe]`, `[http]`, `[fleet]` and `[control]`.
struct ObserveSettings {
    /// Between two looks at the figures behind `$SYS`; `nil`: nothing is published there.
    var systemInterval: Duration? = .seconds(10)
    /// Between two words of `service/broker`, at least.
    var serviceInterval = Duration.seconds(60)
    /// The listener of `/metrics`, `/healthz` and `/readyz`; `nil`: none.
    var httpAddress: SocketAddress?
    var http = HTTPLimits()
    /// `nil`: nothing is published by the fleet protocol.
    var fleet: FleetPlace? = FleetPlace()
    var control = ControlSettings()

    /// Where the broker stands in its fleet.
    struct FleetPlace: Equatable {
        var site = Site.standardText
        /// `nil`: by the host's name.
        var node: NodeName?
    }

    init() {}

    init(_ reader: ConfigurationReader) {
        readObserve(reader.table("observe"))
        readHTTP(reader.table("http"))
        readFleet(reader.table("fleet"))
        control = ControlSettings(reader.table("control"))
    }

    private mutating func readObserve(_ reader: ConfigurationReader) {
        let interval = reader.duration(
            "sys_interval", default: .seconds(10), in: .zero...(.seconds(86_400)))
        systemInterval = interval == .zero ? nil : max(interval, .seconds(1))
        serviceInterval = reader.duration(
            "service_interval", default: serviceInterval, in: .seconds(1)...(.seconds(86_400)))
    }

    private mutating func readHTTP(_ reader: ConfigurationReader) {
        httpAddress = reader.parsed("address") { text in
            guard let address = SocketAddress(text) else {
                throw ConfigurationProblem(
                    "\"\(text)\" is no address and port", hint: "write \"127.0.0.1:9883\"")
            }
            return address
        }
        http.connections = reader.integer(
            "connections", default: http.connections, in: 1...10_000)
        http.requestTime = reader.duration(
            "request_time", default: http.requestTime, in: .seconds(1)...(.seconds(600)))
    }

    private mutating func readFleet(_ reader: ConfigurationReader) {
        let isOn = reader.boolean("service", default: true)
        let site = reader.parsed("site", default: FleetPlace().site) { try Site($0) }
        let node = reader.parsed("node") { try NodeName($0) }
        fleet = isOn ? FleetPlace(site: site.text, node: node) : nil
    }
}
