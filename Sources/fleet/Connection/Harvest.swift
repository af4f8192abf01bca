import IO
import MQTT

/// Collects the retained messages of some filters, and knows when all have come.
///
/// MQTT does not say when a broker has sent its last retained message. Most send them in order,
/// right behind SUBACK, so the answer to a later request is behind them all; brokers that look them
/// up elsewhere send them later. So it waits for SUBACK, for one more round trip, and then for a
/// short silence, which grows with the time that the broker takes to answer.
final class Harvest: ConversationHandler {
    /// The least silence.
    static let silence = Duration.milliseconds(150)
    /// The longest silence, however slow the broker is.
    static let longestSilence = Duration.seconds(2)

    struct Refusal: Hashable {
        let filter: String
        let reasonCode: ReasonCode
    }

    private let filters: [String]
    /// Asked for as well; nobody waits for an answer, and a refusal is no news.
    private let asides: [String]
    private let qos: QoS
    private let limit: Duration
    private let take: (ReceivedMessage) throws(FleetError) -> Void

    private(set) var server = ServerCapabilities()
    private(set) var refusals: [Refusal] = []
    private(set) var count = 0
    /// Whether the silence came, and not the limit or an interruption before it.
    private(set) var isComplete = false

    private var askedAt = MonotonicTime(nanoseconds: 0)
    private var lastAt = MonotonicTime(nanoseconds: 0)
    private var neededSilence = Harvest.silence

    /// - Parameter limit: how long it may take from the connection on.
    init(
        _ filters: [String], asides: [String] = [], qos: QoS, limit: Duration,
        _ take: @escaping (ReceivedMessage) throws(FleetError) -> Void
    ) {
        self.filters = filters
        self.asides = asides
        self.qos = qos
        self.limit = limit
        self.take = take
    }

    func connected(_ conversation: Conversation, _ result: ConnectResult) {
        server = result.server
        askedAt = conversation.loop.now
        conversation.subscribe((filters + asides).map { SubscriptionRequestItem($0, qos: qos) })
        _ = conversation.loop.schedule(after: limit) { [weak conversation] in
            conversation?.end()
        }
    }

    func subscribed(_ conversation: Conversation, _ codes: [ReasonCode]) {
        for (filter, code) in zip(filters, codes) where code.isError {
            refusals.append(Refusal(filter: filter, reasonCode: code))
        }
        conversation.makeRoundTrip()
    }

    func answered(_ conversation: Conversation) {
        let now = conversation.loop.now
        // Two round trips were made since.
        neededSilence = min(Self.silence + (now - askedAt), Self.longestSilence)
        lastAt = max(lastAt, now)
        waitForSilence(conversation)
    }

    func received(
        _ conversation: Conversation, _ message: ReceivedMessage
    ) throws(FleetError) {
        lastAt = conversation.loop.now
        if !asides.contains(where: { message.topic.elementsEqual($0.utf8) }) { count += 1 }
        try take(message)
    }

    private func waitForSilence(_ conversation: Conversation) {
        let end = lastAt + neededSilence
        guard conversation.loop.now < end else {
            isComplete = true
            return conversation.end()
        }
        _ = conversation.loop.schedule(at: end) { [weak self, weak conversation] in
            guard let conversation else { return }
            self?.waitForSilence(conversation)
        }
    }
}
