/// A topic to which a message is published: UTF-8 without wildcards (MQTT 5.0, 4.7).
///
/// Levels are told apart by bytes alone; nothing is normalised or folded [MQTT-4.7.3-4].
public struct TopicName: Hashable, Sendable {
    public let bytes: [UInt8]

    /// Checks `span` and stores a copy of it.
    public init(validating span: Span<UInt8>, limits: TopicLimits = TopicLimits())
        throws(TopicError)
    {
        try TopicName.validate(span, limits: limits)
        bytes = [UInt8](copying: span)
    }

    /// Checks the UTF-8 of `text` and stores it.
    public init(_ text: String, limits: TopicLimits = TopicLimits()) throws(TopicError) {
        let bytes = Array(text.utf8)
        try TopicName.validate(bytes.span, limits: limits)
        self.bytes = bytes
    }

    /// Whether the topic belongs to the server, as `$SYS/...` does: leading wildcards miss it.
    public var isReserved: Bool { bytes.first == TopicSyntax.dollar }

    /// Checks a name without storing it, for the way that messages take.
    ///
    /// One pass over the bytes; a second one only where a byte is not ASCII.
    public static func validate(
        _ span: Span<UInt8>, limits: TopicLimits = TopicLimits()
    ) throws(TopicError) {
        try TopicSyntax.checkLength(span, limits: limits, kind: .invalidName)
        var levels = 1
        var union: UInt8 = 0
        for index in span.indices {
            let byte = span[index]
            union |= byte
            if byte > TopicSyntax.separator { continue }
            switch byte {
            case TopicSyntax.separator: levels += 1
            case TopicSyntax.singleLevel, TopicSyntax.multiLevel:
                throw TopicError(
                    .invalidName, "MQTT-4.7.0-1", "a topic name must not contain '+' or '#'")
            case 0: throw TopicSyntax.null
            default: break
            }
        }
        guard levels <= limits.maximumLevels else {
            throw TopicSyntax.tooManyLevels(.invalidName)
        }
        if union >= 0x80 { try TopicSyntax.checkUTF8(span) }
    }
}

extension TopicName: CustomStringConvertible {
    public var description: String { String(decoding: bytes, as: UTF8.self) }
}
