import BrokerCore
import Config
import IO
import MQTT
import TLS

/// `broker.toml`, understood.
struct BrokerSettings {
    /// Empty: 127.0.0.1 and ::1 at port 1883.
    var listeners: [ListenerSettings] = []
    var passwordFile: String?
    /// `nil`: on loopback only, and only without a password file.
    var allowsAnonymous: Bool?
    /// What clients may publish on listeners that do not say it themselves.
    var maximumQoS = QoS.exactlyOnce
    var isRetainAvailable = true
    /// Password checks that may wait; CONNECT is refused as busy above it.
    var passwordChecks: Int
    /// Loops that serve clients, each with a thread and a shard of its own.
    var threads: Int
    var broker = BrokerConfiguration()
    var store = BrokerStore.Settings()
    var observe = ObserveSettings()

    /// What one address (IPv6: one /64) may do, and what one of this machine itself may.
    var gate = AddressGate.Limits()
    var loopbackGate = AddressGate.Limits()
    /// TLS handshakes that go on in one turn of the loop.
    var handshakesPerTurn: Int

    static let defaultPort: UInt16 = 1883
    static let packetSizes = 128...WireLimits.largestPacketSize

    /// What clients may make the broker hold unless told otherwise: a quarter of the memory, in whole MiB.
    static let memoryShare = max(32, MachineMemory.total() >> 22) << 20

    init(_ reader: ConfigurationReader) {
        threads = reader.integer("threads", default: 1, in: 1...ShardPosition.maximumCount)
        let authentication = reader.table("authentication")
        passwordFile = authentication.secretPath("password_file")
        if authentication.has("allow_anonymous") {
            allowsAnonymous = authentication.boolean("allow_anonymous", default: false)
        }
        let limits = reader.table("limits")
        passwordChecks = limits.integer("password_checks", default: 64, in: 1...100_000)
        handshakesPerTurn = limits.integer("tls_handshakes", default: 16, in: 1...10_000)
        readGate(limits)
        listeners = reader.tables("listener").compactMap { readListener($0) }
        broker.limits = Self.readLimits(limits)
        broker.access = Self.readAccess(reader, listeners: listenerNames)
        readSession(reader.table("session"))
        broker.redirection = Self.readRedirection(reader, listeners: listenerNames)
        readDurability(reader)
        observe = ObserveSettings(reader)
    }

    private static func readLimits(_ reader: ConfigurationReader) -> BrokerLimits {
        var limits = BrokerLimits()
        func count(_ key: String, _ standard: Int, _ range: ClosedRange<Int>) -> Int {
            reader.integer(key, default: standard, in: range)
        }
        func size(_ key: String, _ standard: Int, _ range: ClosedRange<Int>) -> Int {
            reader.size(key, default: standard, in: range)
        }
        limits.connections = count("connections", limits.connections, 1...1_000_000)
        limits.sessions = count("sessions", limits.sessions, 1...10_000_000)
        limits.timeToConnect = reader.duration(
            "time_to_connect", default: limits.timeToConnect, in: .seconds(1)...(.seconds(600)))
        limits.connectingBytes = size(
            "connecting_size", limits.connectingBytes, 65_536...(1 << 40))
        limits.packetBytes = size(
            "packet_size", limits.packetBytes, packetSizes)
        limits.publishRate = count("publish_rate", limits.publishRate, 0...10_000_000)
        limits.publishBytesPerSecond = size(
            "publish_bandwidth", limits.publishBytesPerSecond, 0...(1 << 40))
        limits.inFlight = count("in_flight", limits.inFlight, 1...8_192)
        limits.receiveMaximum = count("receive_maximum", limits.receiveMaximum, 1...65_535)
        limits.queueMessages = count("queue_messages", limits.queueMessages, 1...100_000_000)
        limits.queuePolicy = reader.choice("queue_policy", default: limits.queuePolicy)
        limits.queueBytes = size("queue_size", limits.queueBytes, 1_024...(1 << 40))
        limits.memoryBytes = size("memory", Self.memoryShare, (4 << 20)...(1 << 44))
        limits.outputBytes = size("output_size", limits.outputBytes, 4_096...(1 << 32))
        limits.retainedMessages = count(
            "retained_messages", limits.retainedMessages, 0...100_000_000)
        limits.retainedBytes = size("retained_size", limits.retainedBytes, 0...(1 << 40))
        limits.subscriptions = count("subscriptions", limits.subscriptions, 1...1_000_000)
        limits.topics.maximumWildcardFilters = count(
            "wildcard_subscriptions", limits.topics.maximumWildcardFilters, 0...1_000_000)
        limits.topics.maximumLevels = count("topic_levels", limits.topics.maximumLevels, 1...65_535)
        limits.exchangeBytes = size("exchange_size", limits.exchangeBytes, 65_536...(1 << 40))
        limits.topicAliases = count("topic_aliases", limits.topicAliases, 0...65_535)
        limits.topicAliasBytes = size(
            "topic_alias_size", limits.topicAliasBytes, 1_024...(1 << 30))
        limits.userProperties = count("user_properties", limits.userProperties, 0...10_000)
        return limits
    }
}
