import FleetModel
import MQTT

/// Writes the properties with which a message leaves the bridge.
///
/// Those that it came with stay, user properties in their order; behind them comes `fleet` =
/// `<epoch>:<route>:<seq>:<unix ms>[:h]`, by which anyone can prove that nothing is missing, and
/// `fleet-origin` = `<site>/<node>` where the topic does not say where the message is from.
struct FleetStamp: Sendable {
    private let prefix: String
    private let origin: [UInt8]
    private let siteTopics: [UInt8]
    private let route: Route

    init(epoch: UInt64, route: Route, identity: BridgeIdentity) {
        prefix = "\(Instance(bits: epoch)):\(route.text):"
        origin = Array("\(identity.site.text)/\(identity.node.text)".utf8)
        siteTopics = Array("\(FleetTopic.prefix)/\(identity.site.text)/".utf8)
        self.route = route
    }

    /// The properties to send; `nil` when the message expired in the store.
    ///
    /// - Parameter isHistoric: whether it waited for a connection.
    func properties(
        of record: MessageRecord, in batch: MessageBatch, isHistoric: Bool, ageMilliseconds: UInt64
    ) -> MessageProperties? {
        // Bytes that are no properties were checked by nobody but the disk: the payload still goes.
        var properties =
            MessageProperties(stored: batch.body[record.properties]) ?? MessageProperties()
        if let interval = properties.messageExpiryInterval {
            // MQTT 5.0, 3.3.2.3.3: less the time that the message has been waiting.
            let waited = ageMilliseconds / 1000
            guard waited < UInt64(interval) else { return nil }
            properties.messageExpiryInterval = interval - UInt32(waited)
        }
        let end = isHistoric ? ":h" : ""
        let value = "\(prefix)\(record.sequence):\(record.taken.unixMilliseconds)\(end)"
        properties.userProperties.append(UserProperty("fleet", value))
        if route == .up, !batch.body[record.topic].starts(with: siteTopics) {
            properties.userProperties.append(
                UserProperty(name: Array("fleet-origin".utf8), value: origin))
        }
        return properties
    }
}
