import BridgeCore
import Client
import Daemon
import IO
import MQTT

/// One of the two connections: between the client that speaks MQTT and the core that decides.
final class BridgeLink: MQTTClientDelegate {
    /// Own messages (`link`, `service`), which no row in the store stands for.
    static let ownToken: UInt64 = 0

    let side: Side
    private let name: String
    private let configuration: MQTTClientConfiguration
    private let subscriptions: [SubscriptionRequestItem]
    /// Filters of an earlier configuration that the broker's session may still have.
    private var staleFilters: [String]
    private unowned let runner: BridgeRunner
    private let loop: EventLoop
    private let log: Log
    private var client: MQTTClient
    private(set) var isUp = false
    /// Deliveries that are not acknowledged, in the order of arrival, under the core's names.
    private var deliveries = RingQueue<DeliveryID>()
    private var firstDelivery: UInt64 = 1
    /// Taken from the core while the client's queue was full; goes next.
    private var held: ForwardedMessage?
    private var lastFailure: String?

    init(
        _ side: Side, _ configuration: MQTTClientConfiguration,
        subscriptions: [SubscriptionRequestItem], staleFilters: [String], runner: BridgeRunner,
        context: DaemonContext
    ) {
        self.side = side
        self.configuration = configuration
        self.subscriptions = subscriptions
        self.staleFilters = staleFilters
        self.runner = runner
        name = side == .edge ? "edge" : "upstream"
        loop = context.loop
        log = context.log
        client = MQTTClient(configuration, loop: loop)
    }

    // MARK: What the runner does

    func start() {
        client.delegate = self
        if !staleFilters.isEmpty { client.unsubscribe(staleFilters, token: 2) }
        client.subscribe(subscriptions, token: 1)
        client.start()
    }

    func stop(within limit: Duration, _ done: @escaping () -> Void) {
        client.stop(within: limit, completion: done)
    }

    /// Gives the client session up, with all that is in flight in it.
    func replaceSession() {
        client.delegate = nil
        client.stop(within: .zero)
        client = MQTTClient(configuration, loop: loop)
        held = nil
        start()
    }

    /// Ends the connection, because the peer owes an answer for too long, and connects again.
    func reconnect() {
        log.warning("\(name): no acknowledgement in time, connecting again")
        let client = self.client
        client.stop(within: .zero) { [weak self] in
            guard let self, self.client === client, !self.runner.isStopping else { return }
            client.start()
        }
    }

    /// Publishes a message of the bridge's own.
    func publishOwn(_ topic: [UInt8], _ payload: [UInt8]) {
        guard isUp else { return }
        let refusal = client.publish(
            OutgoingMessage(topic: topic, payload: payload, qos: .atLeastOnce, retain: true),
            token: Self.ownToken)
        if let refusal { log.warning("\(name): own message not sent", ["reason": "\(refusal)"]) }
    }

    func acknowledge(_ delivery: Delivery) {
        while firstDelivery <= delivery.id, let first = deliveries.popFirst() {
            if firstDelivery == delivery.id { client.acknowledge(first) }
            firstDelivery += 1
        }
    }

    func pauseReading(_ pause: Bool) {
        client.pausesReading = pause
    }

    /// Hands over what the core has for this side, as far as it goes.
    func send() {
        while isUp, let message = held ?? runner.nextMessage(side) {
            held = nil
            let refusal = client.publish(
                OutgoingMessage(
                    topic: Array(message.topic), payload: Array(message.payload),
                    qos: min(message.record.qos, .atLeastOnce), retain: message.record.retain,
                    properties: message.properties),
                token: message.token)
            switch refusal {
            case nil: continue
            case .queueFull?:
                held = message
                return
            case let refusal?:
                runner.published(side, token: message.token, .refused(refusal.reason))
            }
        }
    }

    // MARK: What the client tells

    func client(_ client: MQTTClient, connected result: ConnectResult) {
        isUp = true
        lastFailure = nil
        log.notice(
            "\(name): connected",
            [
                "broker": configuration.url, "session_present": result.sessionPresent,
                "version": "\(result.version)", "receive_maximum": result.server.receiveMaximum,
            ])
        runner.connected(
            self,
            LinkLimits(
                receiveMaximum: Int(result.server.receiveMaximum),
                maximumQoS: result.server.maximumQoS))
    }

    func client(
        _ client: MQTTClient, disconnected failure: ClientFailure, retryAfter: Duration?
    ) {
        let wasUp = isUp
        isUp = false
        firstDelivery += UInt64(deliveries.count)
        deliveries.removeAll()
        report(failure, wasUp: wasUp, retryAfter: retryAfter)
        guard wasUp else { return }
        let isPeer = failure.kind == .connectionLost || failure.kind == .disconnectedByServer
        runner.disconnected(self, isPeer ? .closedByPeer : .other)
    }

    /// The same failure again, for hours, is no news.
    private func report(_ failure: ClientFailure, wasUp: Bool, retryAfter: Duration?) {
        guard !runner.isStopping, failure.kind != .requested else { return }
        let text = failure.description
        let pause = retryAfter.map { "\($0)" } ?? "never"
        if wasUp || text != lastFailure {
            log.warning("\(name): \(text)", ["retry_after": pause])
        } else {
            log.debug("\(name): \(text)", ["retry_after": pause])
        }
        lastFailure = text
        if retryAfter == nil { runner.cannotConnect(name, failure) }
    }

    func client(_ client: MQTTClient, received message: ReceivedMessage) {
        var delivery: Delivery?
        if let id = message.delivery {
            delivery = Delivery(id: firstDelivery + UInt64(deliveries.count))
            deliveries.append(id)
        }
        runner.received(
            ArrivingMessage(
                topic: message.topic, payload: message.payload, properties: message.properties,
                qos: message.qos, retain: message.retain, delivery: delivery), from: side)
    }

    func client(_ client: MQTTClient, published outcome: PublishOutcome) {
        let answer: Answer
        switch outcome.result {
        case .acknowledged(let code) where code.isError:
            answer = .refused(.acknowledgedWith(code))
            log.warning("\(name): a message was refused", ["reason": code.name])
        case .acknowledged: answer = .taken
        case .refused(let refusal):
            answer = .refused(refusal.reason)
            log.warning("\(name): a message cannot be sent", ["reason": "\(refusal)"])
        }
        runner.published(side, token: outcome.token, answer)
    }

    func client(
        _ client: MQTTClient, unsubscribed token: UInt64, reasonCodes: [ReasonCode]
    ) {
        log.notice("\(name): filters of an earlier configuration are gone")
        runner.filtersForgotten(staleFilters, by: side)
        staleFilters = []
    }

    func client(_ client: MQTTClient, subscribed token: UInt64, reasonCodes: [ReasonCode]) {
        for (item, code) in zip(subscriptions, reasonCodes) where code.isError {
            log.error(
                "\(name): a subscription was refused",
                [
                    "filter": String(decoding: item.filter, as: UTF8.self), "reason": code.name,
                    "hint": "allow this user to subscribe to it on that broker",
                ])
        }
        if !reasonCodes.contains(where: \.isError) { log.info("\(name): subscribed") }
    }
}

extension PublishRefusal {
    /// As the table of refused messages knows it.
    fileprivate var reason: RefusalReason {
        switch self {
        case .tooLarge: .packetTooLarge
        case .invalidTopic, .invalidProperty, .queueFull: .notSendable
        }
    }
}
