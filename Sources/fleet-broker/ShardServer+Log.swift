import BrokerCore
import Daemon
import IO
import MQTT

/// What the shard wants people to know, as lines.
extension ShardServer {
    func log(_ event: BrokerEvent, _ address: (ConnectionID) -> SocketAddress?) {
        func peer(_ id: ConnectionID) -> String { address(id)?.description ?? "unknown" }
        switch event {
        case .connected(let id, let client): logConnected(client, peer(id))
        case .refused(let id, let clientID, let user, let cause):
            log.write(
                cause.isRedirection ? .info : .warning, "connection refused",
                [
                    "client": Self.text(clientID), "address": peer(id), "user": Self.text(user),
                    "code": Self.text(cause.reasonCode), "reason": cause,
                ])
        case .disconnected(let id, let clientID, let user, let cause, let dropped):
            log.write(
                cause.isOrdinary ? .info : .warning, "client disconnected",
                [
                    "client": Self.text(clientID), "address": peer(id), "user": Self.text(user),
                    "code": Self.text(cause.reasonCode), "reason": cause, "dropped": dropped,
                ])
        case .sessionExpired(let clientID, let dropped):
            log.info("session expired", ["client": Self.text(clientID), "dropped": dropped])
        case .queueFull(let clientID, let isByMemory):
            log.warning(
                "queue full, messages are dropped",
                [
                    "client": Self.text(clientID),
                    "limits": isByMemory ? "memory" : "queue_messages, queue_size",
                ])
        case .slowReader(let id, let clientID, let isByMemory):
            log.warning(
                "slow reader, QoS 0 messages are dropped",
                [
                    "client": Self.text(clientID), "address": peer(id),
                    "limits": isByMemory ? "memory" : "output_size",
                ])
        case .memoryReached(let used, let limit):
            log.warning(
                "memory is used up, messages are dropped or refused",
                ["used": used, "limit": limit, "limits": "memory"])
        case .publishRateReached(let id, let clientID):
            log.warning(
                "a client publishes too fast, and is slowed down",
                [
                    "client": Self.text(clientID), "address": peer(id),
                    "limits": "publish_rate, publish_bandwidth",
                ])
        case .retainedFull:
            log.warning(
                "no room for retained messages", ["limits": "retained_messages, retained_size"])
        case .subscriptionRefused(let id, let clientID, let filter, let reason):
            log.warning(
                "subscription refused",
                [
                    "client": Self.text(clientID), "address": peer(id),
                    "filter": Self.text(filter), "reason": reason.name,
                ])
        case .willRefused(let clientID):
            log.warning(
                "will refused: its topic is not allowed any more",
                ["client": Self.text(clientID)])
        case .rightsRevoked(let clientID, let count):
            log.notice(
                "subscriptions ended by new rules",
                ["client": Self.text(clientID), "subscriptions": count])
        case .publishRefused(let id, let clientID, let topic, let reason):
            log.warning(
                "publish refused",
                [
                    "client": Self.text(clientID), "address": peer(id), "topic": Self.text(topic),
                    "reason": reason.name,
                ])
        }
    }

    private func logConnected(_ client: ConnectedClient, _ address: String) {
        log.info(
            "client connected",
            [
                "client": Self.text(client.clientID), "address": address,
                "version": client.version.name, "user": Self.text(client.user),
                "clean": client.cleanStart, "present": client.sessionPresent,
                "keep_alive": client.keepAliveSeconds,
            ])
    }

    private static func text(_ bytes: [UInt8]) -> String { String(decoding: bytes, as: UTF8.self) }

    private static func text(_ user: [UInt8]?) -> String { user.map { text($0) } ?? "-" }

    /// `0x8D`, as the standard writes it.
    private static func text(_ code: ReasonCode?) -> String {
        guard let code else { return "-" }
        let digits = String(code.rawValue, radix: 16, uppercase: true)
        return "0x" + (digits.count < 2 ? "0" : "") + digits
    }
}

extension ProtocolVersion {
    var name: String {
        switch self {
        case .v3_1: "3.1"
        case .v3_1_1: "3.1.1"
        case .v5_0: "5.0"
        }
    }
}

extension DisconnectCause {
    /// What happens every day, and tells nobody of a fault.
    fileprivate var isOrdinary: Bool {
        switch self {
        case .byClient, .byClientWithWill, .connectionClosed, .takenOver, .shuttingDown,
            .byOperator, .redirected:
            true
        default: false
        }
    }

    fileprivate var isRedirection: Bool {
        if case .redirected = self { return true }
        return false
    }
}
