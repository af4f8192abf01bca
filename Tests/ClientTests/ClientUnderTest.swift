import Client
import IO
import MQTT
import Testing

/// A client on a loop that the test turns, with all that it was told.
final class ClientUnderTest: MQTTClientDelegate {
    let loop: EventLoop
    private(set) var client: MQTTClient?
    var connections: [ConnectResult] = []
    var failures: [ClientFailure] = []
    var pauses: [Duration?] = []
    var messages: [ReceivedMessage] = []
    var outcomes: [PublishOutcome] = []
    var grants: [[ReasonCode]] = []
    /// Whether messages are acknowledged as they come.
    var acknowledges = true
    var onConnect: (MQTTClient) -> Void = { _ in }

    init(
        _ url: String, loop: EventLoop, clientID: String = "test",
        _ configure: (inout MQTTClientConfiguration) -> Void = { _ in }
    ) throws {
        self.loop = loop
        var configuration = MQTTClientConfiguration(
            url: try BrokerURL(url), session: ClientSessionConfiguration(clientID: clientID))
        // Tests do not want to wait; that pauses grow is tested without a clock.
        configuration.backoff = Backoff.Limits(
            minimum: .milliseconds(20), maximum: .milliseconds(50))
        configure(&configuration)
        client = MQTTClient(configuration, loop: loop, delegate: self)
        client?.start()
    }

    /// Lets the client go as a process that dies does: the kernel closes its socket.
    func die() { client = nil }

    var isConnected: Bool { client?.isConnected ?? false }
    var allSucceeded: Bool { outcomes.allSatisfy { $0.isSuccess } }
    var texts: [String] { messages.map { String(decoding: $0.payload, as: UTF8.self) } }

    func publish(_ topic: String, _ payload: String, qos: QoS, retain: Bool = false) {
        let message = OutgoingMessage(
            topic: topic, payload: Array(payload.utf8), qos: qos, retain: retain)
        #expect(client?.publish(message, token: UInt64(outcomes.count)) == nil)
    }

    func client(_ client: MQTTClient, connected result: ConnectResult) {
        connections.append(result)
        onConnect(client)
    }

    func client(
        _ client: MQTTClient, disconnected failure: ClientFailure, retryAfter: Duration?
    ) {
        failures.append(failure)
        pauses.append(retryAfter)
    }

    func client(_ client: MQTTClient, received message: ReceivedMessage) {
        messages.append(message)
        if acknowledges { client.acknowledge(message.delivery) }
    }

    func client(_ client: MQTTClient, published outcome: PublishOutcome) {
        outcomes.append(outcome)
    }

    func client(_ client: MQTTClient, subscribed token: UInt64, reasonCodes: [ReasonCode]) {
        grants.append(reasonCodes)
    }
}

extension EventLoop {
    struct NeverHappened: Error {
        var what: String
    }

    /// Turns until the condition holds; twenty seconds are long enough for anything here.
    func wait(for what: String, until holds: () -> Bool) throws {
        let end = now + .seconds(20)
        while !holds() {
            guard now < end else { throw NeverHappened(what: what) }
            turn(waitingAtMost: .milliseconds(20))
        }
    }
}
