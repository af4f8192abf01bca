/// The bytes that mean something in topics, and the checks that names and filters share.
enum TopicSyntax {
    static let separator = UInt8(ascii: "/")
    static let singleLevel = UInt8(ascii: "+")
    static let multiLevel = UInt8(ascii: "#")
    static let dollar = UInt8(ascii: "$")

    /// Checks the length, counted in bytes of UTF-8.
    static func checkLength(
        _ bytes: Span<UInt8>, limits: TopicLimits, kind: TopicError.Kind
    ) throws(TopicError) {
        guard !bytes.isEmpty else {
            throw TopicError(kind, "MQTT-4.7.3-1", "a topic must have at least one character")
        }
        guard bytes.count <= 65_535 else {
            throw TopicError(kind, "MQTT-4.7.3-3", "a topic has at most 65,535 bytes")
        }
        guard bytes.count <= limits.maximumLength else {
            throw TopicError(kind, "maximumLength", "the topic is longer than this side takes")
        }
    }

    /// Checks that `bytes` are well-formed UTF-8. U+0000 is looked for elsewhere.
    static func checkUTF8(_ bytes: Span<UInt8>) throws(TopicError) {
        do throws(UTF8.ValidationError) {
            _ = try UTF8Span(validating: bytes)
        } catch {
            throw TopicError(.malformed, "MQTT-1.5.4-1", "the topic is not well-formed UTF-8")
        }
    }

    static let null = TopicError(
        .malformed, "MQTT-4.7.3-2", "a topic must not contain the character U+0000")

    static func tooManyLevels(_ kind: TopicError.Kind) -> TopicError {
        TopicError(kind, "maximumLevels", "the topic has more levels than this side takes")
    }
}
