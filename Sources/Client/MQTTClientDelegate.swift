import MQTT

/// Whom an `MQTTClient` tells what happens; all on the thread of its loop.
///
/// Every method may call the client, `stop` included.
public protocol MQTTClientDelegate: AnyObject {
    /// The server took the connection.
    func client(_ client: MQTTClient, connected result: ConnectResult)

    /// The connection is gone, or an attempt to get one failed. The next attempt comes after
    /// `retryAfter`; `nil`: none comes.
    func client(
        _ client: MQTTClient, disconnected failure: ClientFailure, retryAfter: Duration?)

    /// A message came; one with a `delivery` is to be acknowledged.
    func client(_ client: MQTTClient, received message: ReceivedMessage)

    /// A message that `publish` took is done, well or not.
    func client(_ client: MQTTClient, published outcome: PublishOutcome)

    /// The server answered a subscription: one reason code for each filter.
    func client(_ client: MQTTClient, subscribed token: UInt64, reasonCodes: [ReasonCode])

    /// The server ended a subscription: one reason code for each filter.
    func client(_ client: MQTTClient, unsubscribed token: UInt64, reasonCodes: [ReasonCode])
}

extension MQTTClientDelegate {
    public func client(_ client: MQTTClient, connected result: ConnectResult) {}
    public func client(
        _ client: MQTTClient, disconnected failure: ClientFailure, retryAfter: Duration?
    ) {}
    public func client(_ client: MQTTClient, received message: ReceivedMessage) {}
    public func client(_ client: MQTTClient, published outcome: PublishOutcome) {}
    public func client(_ client: MQTTClient, subscribed token: UInt64, reasonCodes: [ReasonCode]) {}
    public func client(
        _ client: MQTTClient, unsubscribed token: UInt64, reasonCodes: [ReasonCode]
    ) {}
}
