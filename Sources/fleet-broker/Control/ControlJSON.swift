import BrokerCore
import Daemon
import FleetModel
import IO
import MQTT

extension SessionInfo {
    /// A row of `clients` and `sessions`. Members are only ever added.
    func json(peer: SocketAddress?, at now: MonotonicTime) -> JSONObject {
        var row: JSONObject = [
            "client": .string(String(decoding: clientID, as: UTF8.self)),
            "user": user.map { .string(String(decoding: $0, as: UTF8.self)) } ?? .null,
            "connected": .bool(connection != nil),
        ]
        if let connection {
            row["address"] = peer.map { .string($0.description) } ?? .null
            row["version"] = .string(connection.version.name)
            row["keep_alive"] = .integer(Int64(connection.keepAliveSeconds))
            row["connected_seconds"] = .integer((now - connection.connectedAt).components.seconds)
            row["silent_seconds"] = .integer((now - connection.lastReceived).components.seconds)
            row["output_bytes"] = .integer(Int64(connection.waitingBytes))
            if connection.isBridge { row["bridge"] = .bool(true) }
        }
        row["expiry_seconds"] = expirySeconds.map { .integer(Int64($0)) } ?? .null
        if let expiresAt {
            row["expires_in_seconds"] = .integer(
                expiresAt > now ? (expiresAt - now).components.seconds : 0)
        }
        row["subscriptions"] = .integer(Int64(subscriptions))
        row["queue"] = .integer(Int64(queuedMessages))
        row["queue_bytes"] = .integer(Int64(queuedBytes))
        if let oldestQueued {
            row["oldest_seconds"] = .integer((now - oldestQueued).components.seconds)
        }
        row["in_flight"] = .integer(Int64(inFlight))
        row["incoming"] = .integer(Int64(incoming))
        row["will"] = .bool(hasWill)
        row["dropped"] = .integer(
            Int64(clamping: droppedMessages &+ (connection?.droppedMessages ?? 0)))
        return row
    }
}

extension MessageInfo {
    /// Payload bytes that are shown of one message.
    static let shownPayloadBytes = 64 * 1024

    /// A row of `queue` and `retained`; the payload as text, or in Base64 where it is none.
    func json(withPayload: Bool) -> JSONObject {
        var row: JSONObject = [
            "topic": .string(String(decoding: topic, as: UTF8.self)),
            "qos": .integer(Int64(qos.rawValue)), "retain": .bool(retain),
            "bytes": .integer(Int64(payload.count)),
            "age_seconds": .integer(age.components.seconds),
        ]
        if let expirySeconds { row["expires_in_seconds"] = .integer(Int64(expirySeconds)) }
        guard withPayload else { return row }
        if payload.count > Self.shownPayloadBytes { row["payload_cut"] = .bool(true) }
        let shown = Array(payload.prefix(Self.shownPayloadBytes))
        if let text = String(validating: shown, as: UTF8.self), !text.utf8.contains(0) {
            row["payload"] = .string(text)
        } else {
            row["payload_base64"] = .string(Base64.encode(shown))
        }
        return row
    }
}

extension BrokerFigures {
    /// The answer to `status`. Members are only ever added.
    func json(logLevel: LogLevel) -> JSONObject {
        let connected = shards.connected
        return [
            "version": .string(FleetVersion.current),
            "uptime_seconds": .integer(uptime.components.seconds),
            "clients": .integer(Int64(connected.total)),
            "connections": .integer(Int64(shards.connections)),
            "sessions": .integer(Int64(shards.sessions)),
            "subscriptions": .integer(Int64(shards.subscriptions)),
            "retained": .integer(Int64(shards.retainedMessages)),
            "retained_bytes": .integer(Int64(shards.retainedBytes)),
            "queue": .integer(Int64(shards.survey.queuedMessages)),
            "queue_bytes": .integer(Int64(shards.survey.queuedBytes)),
            "oldest_seconds": .integer(Int64(oldestSeconds)),
            "in_flight": .integer(Int64(shards.survey.inFlight)),
            "received": .integer(Int64(clamping: counters.publishesReceived)),
            "sent": .integer(Int64(clamping: counters.publishesSent)),
            "dropped": .object(
                JSONObject(
                    counters.dropped.map { .init($0.reason, .integer(Int64(clamping: $0.count))) })),
            "store": .string(store.state.rawValue),
            "stores_quarantined": .integer(Int64(store.quarantined)),
            "held_bytes": .integer(Int64(shards.memoryBytes)),
            "held_limit": .integer(Int64(shards.memoryLimit)),
            "memory_bytes": .integer(Int64(process?.residentBytes ?? 0)),
            "listeners": .array(
                listeners.map {
                    .object([
                        "name": .string($0.name), "address": .string($0.address),
                        "protocol": .string($0.scheme),
                        "connections": .integer(Int64($0.connections)),
                    ])
                }),
            "log_level": .string(logLevel.rawValue),
        ]
    }
}
