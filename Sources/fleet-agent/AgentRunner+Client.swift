import AgentCore
import Client
import Daemon
import FleetModel
import JSON
import MQTT
import Sensors

extension AgentRunner: MQTTClientDelegate {
    func client(_ client: MQTTClient, connected result: ConnectResult) {
        lastFailure = nil
        // What was not acknowledged comes again.
        deliveries = [:]
        context.log.notice(
            "connected",
            [
                "broker": client.configuration.url, "mqtt": Self.name(of: result.version),
                "queued": client.queuedMessages,
            ])
        if result.server.maximumQoS == .atMostOnce {
            context.log.warning("the broker takes QoS 0 only: measurements may be lost unnoticed")
        }
        act { $0.connected(at: .now()) }
    }

    private static func name(of version: ProtocolVersion) -> String {
        switch version {
        case .v3_1: "3.1"
        case .v3_1_1: "3.1.1"
        case .v5_0: "5.0"
        }
    }

    func client(
        _ client: MQTTClient, disconnected failure: ClientFailure, retryAfter: Duration?
    ) {
        act { $0.disconnected(at: .now()) }
        // Said once for each reason, not at every attempt.
        guard failure.kind != .requested, failure != lastFailure else { return }
        lastFailure = failure
        context.log.warning(
            "not connected: \(failure)", ["broker": client.configuration.url])
    }

    func client(_ client: MQTTClient, published outcome: PublishOutcome) {
        if !outcome.isSuccess {
            context.log.error(
                "a message is lost: the broker refused it", ["reason": "\(outcome.result)"])
        }
    }

    func client(_ client: MQTTClient, subscribed token: UInt64, reasonCodes: [ReasonCode]) {
        for (filter, code) in zip(core.subscriptions, reasonCodes) where code.isError {
            context.log.error(
                "the broker refused a subscription", ["filter": filter, "reason": code.name])
        }
    }

    func client(_ client: MQTTClient, received message: ReceivedMessage) {
        var delivery: UInt64?
        if let id = message.delivery {
            nextDelivery += 1
            deliveries[nextDelivery] = id
            delivery = nextDelivery
        }
        let inbound = InboundMessage(
            topic: message.topic, payload: Self.payload(message.payload), retain: message.retain,
            responseTopic: message.properties.responseTopic,
            correlationData: message.properties.correlationData, delivery: delivery)
        act { $0.received(inbound, at: .now()) }
    }

    /// The longest payload of a command that is looked at.
    private static let payloadLimits = JSONLimits(maximumBytes: 64 << 10, maximumDepth: 16)

    private static func payload(_ bytes: [UInt8]) -> InboundMessage.Payload {
        if bytes.isEmpty { return .empty }
        do throws(JSONError) {
            return .json(try JSON.parse(bytes, limits: payloadLimits))
        } catch {
            return .malformed(why: "\(error)")
        }
    }
}
