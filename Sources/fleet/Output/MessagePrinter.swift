import FleetModel
import IO
import JSON
import MQTT

/// Prints messages, each as it comes.
final class MessagePrinter {
    private let isJSON: Bool
    private let verbose: Bool
    private let limit: Int?
    private let output: Output
    private(set) var printed = 0

    init(isJSON: Bool, verbose: Bool, limit: Int?, _ output: Output) {
        self.isJSON = isJSON
        self.verbose = verbose
        self.limit = limit
        self.output = output
    }

    /// Whether `--count` is reached.
    var hasEnough: Bool { limit.map { printed >= $0 } ?? false }

    func print(_ message: ReceivedMessage) throws(FleetError) {
        printed += 1
        if isJSON { return try output.writeJSON(Self.json(message).encoded()) }
        var line: [UInt8] = []
        if output.isTerminal {
            let topic = PrintableText.escaped(message.topicText)
            let payload = PrintableText.escapedPayload(message.payload)
            line = Array((verbose ? "\(topic) \(payload)" : payload).utf8)
        } else {
            if verbose { line = message.topic + [UInt8(ascii: " ")] }
            line += message.payload
        }
        try output.write(line + [UInt8(ascii: "\n")])
    }

    /// One object: the payload as JSON where it is JSON, as text where it is UTF-8, else as
    /// `payload_base64`.
    static func json(_ message: ReceivedMessage) -> JSONValue {
        var object = JSONObject([.init("topic", .string(message.topicText))])
        if let value = try? JSON.parse(message.payload) {
            object["payload"] = value
        } else if let text = String(validating: message.payload, as: UTF8.self) {
            object["payload"] = .string(text)
        } else {
            object["payload"] = .null
            object["payload_base64"] = .string(Base64.encode(message.payload))
        }
        object["qos"] = .integer(Int64(message.qos.rawValue))
        object["retain"] = .bool(message.retain)
        if message.duplicate { object["duplicate"] = .bool(true) }
        let properties = properties(message.properties)
        if !properties.members.isEmpty { object["properties"] = .object(properties) }
        return .object(object)
    }

    private static func properties(_ properties: MessageProperties) -> JSONObject {
        var object = JSONObject()
        func text(_ bytes: [UInt8]) -> JSONValue { .string(String(decoding: bytes, as: UTF8.self)) }
        object["message_expiry_interval"] = properties.messageExpiryInterval.map {
            .integer(Int64($0))
        }
        object["content_type"] = properties.contentType.map(text)
        object["response_topic"] = properties.responseTopic.map(text)
        object["correlation_data_base64"] = properties.correlationData.map {
            .string(Base64.encode($0))
        }
        if !properties.userProperties.isEmpty {
            object["user_properties"] = .array(
                properties.userProperties.map { property in
                    .object(["name": text(property.name), "value": text(property.value)])
                })
        }
        return object
    }
}
