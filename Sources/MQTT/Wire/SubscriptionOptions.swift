/// How the messages of one subscription are sent: one byte behind its filter (3.8.3.1).
public struct SubscriptionOptions: Hashable, Sendable {
    /// The byte on the wire; in 3.x only the QoS may be other than 0.
    public let rawValue: UInt8

    /// `nil` for a QoS or retain handling of 3, or reserved bits.
    public init?(rawValue: UInt8) {
        guard rawValue & 0xC0 == 0, rawValue & 0x03 != 3, rawValue & 0x30 != 0x30 else {
            return nil
        }
        self.rawValue = rawValue
    }

    public init(
        qos: QoS, noLocal: Bool = false, retainAsPublished: Bool = false,
        retainHandling: RetainHandling = .sendAtSubscribe
    ) {
        rawValue =
            qos.rawValue | (noLocal ? 0x04 : 0) | (retainAsPublished ? 0x08 : 0)
            | retainHandling.rawValue << 4
    }

    /// The highest QoS that messages are sent with.
    public var qos: QoS { QoS(rawValue: rawValue & 0x03) ?? .atMostOnce }
    /// The same with a QoS of `maximum` at most.
    public func lowered(to maximum: QoS) -> SubscriptionOptions {
        SubscriptionOptions(
            qos: min(qos, maximum), noLocal: noLocal, retainAsPublished: retainAsPublished,
            retainHandling: retainHandling)
    }
    /// The client's own messages do not come back to it.
    public var noLocal: Bool { rawValue & 0x04 != 0 }
    /// RETAIN is passed on as it was published.
    public var retainAsPublished: Bool { rawValue & 0x08 != 0 }
    /// Whether retained messages are sent when the subscription is made.
    public var retainHandling: RetainHandling {
        RetainHandling(rawValue: rawValue >> 4 & 0x03) ?? .sendAtSubscribe
    }
}

/// When retained messages are sent for a subscription (3.8.3.1).
public enum RetainHandling: UInt8, Hashable, Sendable {
    case sendAtSubscribe = 0
    case sendIfNew = 1
    case doNotSend = 2
}

/// One filter of a SUBSCRIBE, with its options.
public struct SubscriptionRequest: Hashable, Sendable {
    public let filter: ByteRange
    public let options: SubscriptionOptions
}
