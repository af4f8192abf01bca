import Client
import IO
import MQTT

/// What a command does with its connection; all on the loop's thread.
protocol ConversationHandler: AnyObject {
    func connected(_ conversation: Conversation, _ result: ConnectResult) throws(FleetError)
    func received(_ conversation: Conversation, _ message: ReceivedMessage) throws(FleetError)
    func subscribed(_ conversation: Conversation, _ codes: [ReasonCode]) throws(FleetError)
    func answered(_ conversation: Conversation) throws(FleetError)
    func published(_ conversation: Conversation, _ outcome: PublishOutcome) throws(FleetError)
}

extension ConversationHandler {
    func received(_ conversation: Conversation, _ message: ReceivedMessage) throws(FleetError) {}
    func subscribed(_ conversation: Conversation, _ codes: [ReasonCode]) throws(FleetError) {}
    func answered(_ conversation: Conversation) throws(FleetError) {}
    func published(_ conversation: Conversation, _ outcome: PublishOutcome) throws(FleetError) {}
}

/// One connection to the broker, from its start to an orderly end or the first failure.
///
/// A first attempt that fails ends it: a person waits. Later, `staysConnected` makes it try again.
final class Conversation: MQTTClientDelegate {
    /// How long the broker may take to close after DISCONNECT.
    static let closeTimeout = Duration.milliseconds(200)

    let loop: EventLoop
    private let client: MQTTClient
    private let settings: BrokerSettings
    private let staysConnected: Bool
    private let output: Output
    private let handler: any ConversationHandler
    private var wasConnected = false
    private var isEnding = false
    private var failure: FleetError?

    /// Connects, and returns when the handler has ended the conversation.
    static func run(
        _ settings: BrokerSettings, staysConnected: Bool = false, _ output: Output,
        _ handler: any ConversationHandler
    ) throws(FleetError) {
        let loop: EventLoop
        do throws(IOError) {
            loop = try EventLoop()
        } catch {
            throw FleetError("\(error)")
        }
        let conversation = Conversation(loop, settings, staysConnected, output, handler)
        try conversation.run()
    }

    private init(
        _ loop: EventLoop, _ settings: BrokerSettings, _ staysConnected: Bool, _ output: Output,
        _ handler: any ConversationHandler
    ) {
        self.loop = loop
        self.settings = settings
        self.staysConnected = staysConnected
        self.output = output
        self.handler = handler
        client = MQTTClient(settings.clientConfiguration(), loop: loop)
    }

    private func run() throws(FleetError) {
        client.delegate = self
        do throws(IOError) {
            try loop.onSignal([.interrupt, .terminate]) { [weak self] _ in self?.end() }
        } catch {
            throw FleetError("\(error)")
        }
        client.start()
        loop.run()
        if let failure { throw failure }
    }

    func subscribe(_ items: [SubscriptionRequestItem]) { client.subscribe(items) }

    /// Asks for something that changes nothing, and is told when the broker has answered it: what
    /// it had to say before has come by then. It must be no PINGREQ, which the client keeps to itself.
    func makeRoundTrip() { client.unsubscribe(["fleet/v1/_none"]) }

    func publish(_ message: OutgoingMessage) -> PublishRefusal? { client.publish(message) }

    func acknowledge(_ message: ReceivedMessage) { client.acknowledge(message.delivery) }

    /// Ends it in order.
    func end() {
        guard !isEnding else { return }
        isEnding = true
        client.stop(within: Self.closeTimeout) { [loop] in loop.stop() }
    }

    func fail(_ error: FleetError) {
        if failure == nil { failure = error }
        end()
    }

    /// Runs a part of the handler; what it throws ends the conversation.
    func perform(_ body: () throws(FleetError) -> Void) {
        guard !isEnding else { return }
        do throws(FleetError) {
            try body()
        } catch {
            fail(error)
        }
    }

    // MARK: What the client says

    func client(_ client: MQTTClient, connected result: ConnectResult) {
        wasConnected = true
        perform { () throws(FleetError) in try handler.connected(self, result) }
    }

    func client(
        _ client: MQTTClient, disconnected failure: ClientFailure, retryAfter: Duration?
    ) {
        guard !isEnding else { return }
        // The client goes on by itself with the older protocol.
        if failure.kind == .unsupportedVersion, retryAfter != nil { return }
        guard wasConnected, staysConnected, retryAfter != nil else {
            return fail(FleetError(failure, settings))
        }
        output.note("\(failure.problem); connecting again")
    }

    func client(_ client: MQTTClient, received message: ReceivedMessage) {
        perform { () throws(FleetError) in try handler.received(self, message) }
        acknowledge(message)
    }

    func client(_ client: MQTTClient, published outcome: PublishOutcome) {
        perform { () throws(FleetError) in try handler.published(self, outcome) }
    }

    func client(_ client: MQTTClient, subscribed token: UInt64, reasonCodes: [ReasonCode]) {
        perform { () throws(FleetError) in try handler.subscribed(self, reasonCodes) }
    }

    func client(_ client: MQTTClient, unsubscribed token: UInt64, reasonCodes: [ReasonCode]) {
        perform { () throws(FleetError) in try handler.answered(self) }
    }
}

extension FleetError {
    /// What a failed connection means to whoever called this command, with its flags.
    init(_ failure: ClientFailure, _ settings: BrokerSettings) {
        var hint = failure.hint
        switch failure.kind {
        case .certificateUntrusted where settings.caFile == nil:
            hint =
                "if the broker's certificate comes from a CA of your own, name its file: --ca-file FILE"
        case .certificateUntrusted:
            hint =
                "check that --ca-file or ca_file names the CA that signed the broker's certificate"
        case .badUserNameOrPassword, .notAuthorized:
            hint =
                settings.url.user == nil
                ? "name a user: --broker \(settings.url.naming(user: "USER"))"
                : "check the user in --broker and the password (--password-file, FLEET_PASSWORD or the prompt)"
        case .unreachable where settings.isStandard:
            hint =
                "name a broker: --broker mqtts://user@host:8883, or a [context.NAME] in "
                + "~/.config/fleet/config.toml"
        case .connectionLost where hint.isEmpty && !settings.url.usesTLS:
            hint = "if the broker expects TLS on this port, write mqtts://"
        default: break
        }
        self.init(failure.problem, hint: hint)
    }
}
