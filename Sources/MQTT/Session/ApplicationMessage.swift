/// A message that the application gives to be published.
public struct OutgoingMessage: Hashable, Sendable {
    /// The topic name; UTF-8.
    public var topic: [UInt8]
    public var payload: [UInt8]
    public var qos: QoS
    public var retain: Bool
    /// Sent in MQTT 5.0 only.
    public var properties: MessageProperties

    public init(
        topic: [UInt8], payload: [UInt8], qos: QoS = .atLeastOnce, retain: Bool = false,
        properties: MessageProperties = MessageProperties()
    ) {
        self.topic = topic
        self.payload = payload
        self.qos = qos
        self.retain = retain
        self.properties = properties
    }

    public init(
        topic: String, payload: [UInt8], qos: QoS = .atLeastOnce, retain: Bool = false,
        properties: MessageProperties = MessageProperties()
    ) {
        self.init(
            topic: Array(topic.utf8), payload: payload, qos: qos, retain: retain,
            properties: properties)
    }
}

/// Names one delivery of a message of QoS 1 or 2 that the application has to acknowledge.
///
/// Never used twice in the life of a session object: the identifier of a delivery that a lost
/// connection voided is simply ignored.
public struct DeliveryID: Hashable, Sendable {
    let number: UInt64
    /// The packet identifier; a receiver that stores QoS 2 messages keeps it with them.
    public let packetID: UInt16
}

/// A message that came from the server.
public struct ReceivedMessage: Hashable, Sendable {
    /// The topic name; valid UTF-8 without wildcards.
    public var topic: [UInt8]
    public var payload: [UInt8]
    /// The QoS of this delivery.
    public var qos: QoS
    /// Whether it was stored on the server before this subscription was made (or, with retain as
    /// published, whether its publisher said so).
    public var retain: Bool
    /// Whether the server says that it may have delivered it before.
    public var duplicate: Bool
    /// Empty in 3.1.1.
    public var properties: MessageProperties
    /// What to acknowledge once the message is in safe hands; `nil` for QoS 0.
    public var delivery: DeliveryID?

    /// The topic as text, for people.
    public var topicText: String { String(decoding: topic, as: UTF8.self) }
}

/// One topic filter that is asked for.
public struct SubscriptionRequestItem: Hashable, Sendable {
    /// The topic filter; UTF-8.
    public var filter: [UInt8]
    public var qos: QoS
    /// The options of MQTT 5.0; ignored in 3.1.1.
    public var noLocal: Bool
    public var retainAsPublished: Bool
    public var retainHandling: RetainHandling

    public init(
        _ filter: String, qos: QoS = .atLeastOnce, noLocal: Bool = false,
        retainAsPublished: Bool = false, retainHandling: RetainHandling = .sendAtSubscribe
    ) {
        self.filter = Array(filter.utf8)
        self.qos = qos
        self.noLocal = noLocal
        self.retainAsPublished = retainAsPublished
        self.retainHandling = retainHandling
    }
}
