import MQTT

/// Where a client that asks for it expects the answers to its requests (5.0, 3.2.2.3.15): the beginning of
/// a response topic, in which `%u` and `%c` fill levels as in roles.
///
/// It gives no rights: roles say who may subscribe and publish there.
public struct ResponseInformation: Sendable, Equatable {
    private let template: LevelTemplate

    /// Checks the text. What it throws says what is wrong with it, without the text.
    public init(_ text: String) throws(AccessRuleError) {
        let name: TopicName
        do throws(TopicError) {
            name = try TopicName(text)
        } catch {
            throw .name(error.detail)
        }
        if BrokerShard.isServersTopic(name.bytes.span) { throw .servers }
        guard let template = LevelTemplate(text) else { throw .placeholder }
        self.template = template
    }

    /// What a client is told; `nil` where its names cannot be levels of a topic, or make it too long.
    func text(for principal: Principal) -> [UInt8]? {
        guard let bytes = template.bytes(for: principal) else { return nil }
        return bytes.count <= UInt16.max ? bytes : nil
    }
}
