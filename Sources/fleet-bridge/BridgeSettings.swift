import BridgeCore
import Client
import Config
import Daemon
import FleetModel
import MQTT

/// One of the two brokers, as the configuration describes it.
struct BrokerSettings: Equatable {
    var url: BrokerURL
    var client: ClientSettings
    var sessionExpiry: Duration
    var maximumPacketSize: Int
    /// Where to connect instead of the URL's host, which TLS still verifies.
    var connectTo: MQTTClientConfiguration.Endpoint?
}

/// What the configuration of a bridge says, upstream or not.
struct BridgeConfiguration {
    /// `nil`: there is no upstream, and so nothing to store and to forward.
    var bridge: BridgeSettings?
    var control: ControlSettings

    init(_ reader: ConfigurationReader) {
        bridge = BridgeSettings(reader)
        control = ControlSettings(reader.table("control"))
    }
}

/// A bridge with an upstream.
struct BridgeSettings: Equatable {
    var identity: BridgeIdentity
    var edge: BrokerSettings
    var upstream: BrokerSettings
    var routes: RouteFilters
    var limits: BridgeLimits
    var store: BridgeStore.Limits
    /// The least time between two `service/bridge` with new figures.
    var edgeReportInterval: Duration
    var upstreamReportInterval: Duration
}

extension BridgeSettings {
    /// `nil` without an upstream, and when something is wrong, of which the reader then knows.
    init?(_ reader: ConfigurationReader) {
        let site = reader.parsed("site", default: Site.standardText) { try Site($0) }
        let node = Self.readNode(reader)
        let edge = BrokerSettings(
            reader.table("edge"), isUpstream: false, standardURL: "mqtt://127.0.0.1:1883")
        let upstreamReader = reader.table("upstream")
        let name = upstreamReader.parsed("name", default: "cloud") { try UpstreamName($0) }
        let upstream = BrokerSettings(upstreamReader, isUpstream: true, standardURL: nil)
        let routesReader = reader.table("routes")
        (limits, store) = Self.readLimits(reader)
        let report = reader.table("report")
        edgeReportInterval = report.duration(
            "edge_interval", default: .seconds(2), in: .milliseconds(100)...(.seconds(3_600)))
        upstreamReportInterval = report.duration(
            "upstream_interval", default: .seconds(10), in: .milliseconds(100)...(.seconds(3_600)))
        guard let node, let edge, let upstream else {
            // Ticked off, so that they are not called unknown beside what is really wrong.
            _ = (routesReader.strings("up", default: []), routesReader.strings("down", default: []))
            return nil
        }
        identity = BridgeIdentity(site: site, node: node, upstream: name)
        self.edge = edge
        self.upstream = upstream
        guard let routes = Self.readRoutes(routesReader, identity) else { return nil }
        self.routes = routes
    }

    private static func readNode(_ reader: ConfigurationReader) -> NodeName? {
        guard !reader.has("node"), let standard = MachineIdentity.read().defaultNodeName else {
            return reader.requiredParsed("node", hint: "write node = \"gateway\"") {
                try NodeName($0)
            }
        }
        return reader.parsed("node", default: standard.text) { try NodeName($0) }
    }

    private static func readRoutes(
        _ reader: ConfigurationReader, _ identity: BridgeIdentity
    ) -> RouteFilters? {
        func filters(_ key: String, _ standard: [String]) -> [TopicFilter] {
            reader.parsedList(key, default: standard) { text in
                let filter = try TopicFilter(text, sharedSubscriptions: true)
                guard !filter.isShared else {
                    throw ConfigurationProblem(
                        "a shared subscription gives a bridge a part of the messages only",
                        hint: "leave out $share/NAME/")
                }
                return filter
            }
        }
        let up = filters("up", identity.standardUpFilters)
        let down = filters("down", identity.standardDownFilters)
        do throws(RouteFilters.Overlap) {
            let routes = try RouteFilters(up: up, down: down)
            for overlap in routes.overlapsWithinRoutes {
                reader.problem(
                    overlap.route?.text ?? "up",
                    "\"\(overlap.first)\" and \"\(overlap.second)\" have topics in common",
                    hint: "a broker may send a message once for each; leave one of them out")
            }
            return routes
        } catch {
            reader.problem(
                "up",
                "\"\(error.first)\" and \"\(error.second)\" of routes.down have topics in common",
                hint: "messages would go round in circles; narrow one of the two")
            return nil
        }
    }

    private static func readLimits(
        _ reader: ConfigurationReader
    ) -> (BridgeLimits, BridgeStore.Limits) {
        var limits = BridgeLimits()
        var storeLimits = BridgeStore.Limits()
        let store = reader.table("store")
        limits.intake.up.maximumStoredBytes = store.size(
            "maximum_bytes", default: limits.intake.up.maximumStoredBytes, in: 65_536...(1 << 44))
        limits.intake.up.maximumStoredMessages = store.integer(
            "maximum_messages", default: limits.intake.up.maximumStoredMessages,
            in: 1...(1 << 40))
        storeLimits.refusedMessages = store.integer(
            "maximum_refused_messages", default: storeLimits.refusedMessages, in: 1...1_000_000)
        storeLimits.refusedBytes = store.size(
            "maximum_refused_bytes", default: storeLimits.refusedBytes, in: 1_024...(1 << 40))
        storeLimits.minimumFreeBytes = store.size(
            "minimum_free_bytes", default: storeLimits.minimumFreeBytes,
            in: BridgeStore.Limits.leastFreeBytes...(1 << 44))
        let forwarding = reader.table("forwarding")
        limits.forwarder.maximumInFlight = forwarding.integer(
            "maximum_in_flight", default: limits.forwarder.maximumInFlight, in: 1...65_535)
        limits.forwarder.maximumInFlightBytes = forwarding.size(
            "maximum_in_flight_bytes", default: limits.forwarder.maximumInFlightBytes,
            in: 1_024...(1 << 30))
        limits.forwarder.acknowledgementTimeout = forwarding.duration(
            "acknowledgement_timeout", default: limits.forwarder.acknowledgementTimeout,
            in: .seconds(1)...(.seconds(3_600)))
        return (limits, storeLimits)
    }
}

extension BrokerSettings {
    init?(_ reader: ConfigurationReader, isUpstream: Bool, standardURL: String?) {
        let url: BrokerURL? =
            if let standardURL {
                reader.parsed("url", default: standardURL) { try BrokerURL($0) }
            } else if reader.isEmpty {
                nil
            } else {
                reader.requiredParsed("url", hint: "write url = \"mqtts://HOST:8883\"") {
                    try BrokerURL($0)
                }
            }
        // The edge needs MQTT 5: only there a bridge hears whether a message is retained.
        client = ClientSettings(
            reader, url: url, version: isUpstream ? nil : .exactly(.v5_0),
            keepAlive: .seconds(isUpstream ? 30 : 60))
        sessionExpiry = reader.duration(
            "session_expiry", default: .seconds(7 * 86_400), in: .seconds(60)...(.seconds(1 << 31)))
        maximumPacketSize = reader.size(
            "maximum_packet_size", default: 4 << 20, in: 1_024...268_435_460)
        connectTo = isUpstream ? reader.parsed("connect_to", parse: Self.endpoint) : nil
        guard let url else { return nil }
        self.url = url
    }

    private static func endpoint(_ text: String) throws -> MQTTClientConfiguration.Endpoint {
        let url = try BrokerURL("mqtt://\(text)")
        return MQTTClientConfiguration.Endpoint(host: url.host, port: url.port)
    }
}
