import Client
import MQTT

/// What the broker of this machine says that it is; a Mosquitto that was there first serves Fleet as well.
struct LocalBroker {
    /// Mosquitto's name for it, which fleet-broker uses too.
    static let versionTopic = "$SYS/broker/version"

    private let url: BrokerURL
    private var version: String?

    /// - Parameter url: of another machine's broker nothing is asked.
    init(_ url: BrokerURL) { self.url = url }

    /// What is asked for, besides what the user wants to see.
    var filters: [String] {
        ["localhost", "127.0.0.1", "::1"].contains(url.host) ? [Self.versionTopic] : []
    }

    /// Whether the message was for this.
    mutating func take(topic: [UInt8], payload: [UInt8]) -> Bool {
        guard topic.elementsEqual(Self.versionTopic.utf8) else { return false }
        version = String(decoding: payload.prefix(200), as: UTF8.self)
        return true
    }

    /// What a user should know.
    var remarks: [String] {
        guard let version, !version.hasPrefix("fleet-broker") else { return [] }
        return ["the broker at \(url.host) port \(url.port) is \(version), not fleet-broker"]
    }
}
