import BrokerCore
import Config
import MQTT

/// `[session]` and `[redirect]`: what clients are told when they connect.
extension BrokerSettings {
    mutating func readSession(_ reader: ConfigurationReader) {
        let years = Duration.seconds(0)...(.seconds(Int64(UInt32.max) - 1))
        broker.maximumSessionExpirySeconds = Self.seconds(
            reader.duration("maximum_expiry", in: years))
        broker.sessionExpirySecondsBefore5 = Self.seconds(
            reader.duration("expiry_before_5", in: .seconds(1)...years.upperBound))
        broker.maximumKeepAliveSeconds = Self.seconds(
            reader.duration("maximum_keep_alive", in: .seconds(1)...(.seconds(65_535)))
        ).map { UInt16($0) }
        broker.sharedSubscriptionsBefore5 = reader.boolean(
            "shared_subscriptions_before_5", default: false)
        broker.concealsRefusals = reader.boolean("conceal_refusals", default: false)
        broker.redistributesOnDisconnect = reader.boolean(
            "redistribute_on_disconnect", default: false)
        broker.responseInformation = reader.parsed("response_information") { text in
            try ResponseInformation(text)
        }
        maximumQoS = Self.readMaximumQoS(reader) ?? maximumQoS
        isRetainAvailable = reader.boolean("retain_available", default: isRetainAvailable)
    }

    /// A listener's or everybody's `maximum_qos`.
    static func readMaximumQoS(_ reader: ConfigurationReader) -> QoS? {
        reader.integer("maximum_qos", in: 0...2).flatMap { QoS(rawValue: UInt8($0)) }
    }

    private static func seconds(_ duration: Duration?) -> UInt32? {
        duration.map { UInt32(clamping: $0.components.seconds) }
    }

    /// Bytes that all references to servers may have: CONNACK carries them to every client.
    private static let maximumReference = 1_024

    static func readRedirection(
        _ reader: ConfigurationReader, listeners: [String]
    ) -> Redirection? {
        guard let table = reader.optionalTable("redirect") else { return nil }
        let servers = table.parsedList("servers", default: []) { text in
            guard !text.isEmpty,
                text.unicodeScalars.allSatisfy({ $0.value > 0x20 && $0 != "\u{7F}" })
            else {
                throw ConfigurationProblem(
                    "is no reference to a server",
                    hint: "a name or an address, and a port: \"broker-2.example:1883\"")
            }
            return text
        }
        if !table.has("servers") {
            table.reportMissing("servers")
        } else if servers.isEmpty {
            table.problem("servers", "names no server")
        }
        let reference = Array(servers.joined(separator: " ").utf8)
        if reference.count > maximumReference {
            table.problem("servers", "is longer than \(maximumReference) bytes in all")
        }
        return Redirection(
            servers: reference, isPermanent: table.boolean("permanent", default: false),
            listeners: readListenerNames(table, listeners))
    }
}
