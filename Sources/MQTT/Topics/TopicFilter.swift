/// What a subscriber asks for: a topic in which `+` stands for one level and a last `#` for any
/// number of levels (MQTT 5.0, 4.7), shared or not (4.8.2).
public struct TopicFilter: Hashable, Sendable {
    /// The filter as the client sent it, with `$share/{name}/` where it is shared.
    public let bytes: [UInt8]

    /// Where the filter itself begins in `bytes`: behind `$share/{name}/`, else at 0.
    public let matchStart: Int

    /// Levels of the filter itself.
    public let levelCount: Int

    /// Whether the filter itself has a `+` or a `#`.
    public let hasWildcard: Bool

    /// Checks `span` and stores a copy of it.
    ///
    /// - Parameter sharedSubscriptions: whether `$share/` means a shared subscription. It does in
    ///   MQTT 5.0; in 3.1.1 it is an ordinary level unless the broker is configured otherwise.
    public init(
        validating span: Span<UInt8>, limits: TopicLimits = TopicLimits(),
        sharedSubscriptions: Bool
    ) throws(TopicError) {
        try self.init(
            bytes: [UInt8](copying: span), limits: limits,
            sharedSubscriptions: sharedSubscriptions)
    }

    /// Checks the UTF-8 of `text` and stores it.
    public init(
        _ text: String, limits: TopicLimits = TopicLimits(), sharedSubscriptions: Bool = true
    ) throws(TopicError) {
        try self.init(
            bytes: Array(text.utf8), limits: limits, sharedSubscriptions: sharedSubscriptions)
    }

    private init(
        bytes: [UInt8], limits: TopicLimits, sharedSubscriptions: Bool
    ) throws(TopicError) {
        let span = bytes.span
        try TopicSyntax.checkLength(span, limits: limits, kind: .invalidFilter)
        try TopicFilter.checkCharacters(span)
        matchStart = sharedSubscriptions ? try TopicFilter.shareEnd(span) : 0
        (levelCount, hasWildcard) = try TopicFilter.checkWildcards(span, from: matchStart)
        guard levelCount <= limits.maximumLevels else {
            throw TopicSyntax.tooManyLevels(.invalidFilter)
        }
        self.bytes = bytes
    }

    public var isShared: Bool { matchStart > 0 }

    /// The name of the group, without `$share/` and the separator behind it.
    public var shareName: [UInt8]? {
        guard isShared else { return nil }
        return Array(bytes[TopicFilter.sharePrefix.count..<(matchStart - 1)])
    }

    /// Whether a message published to `topic` is asked for. The share name plays no part in it.
    public func matches(_ topic: TopicName) -> Bool { matches(topic.bytes.span) }

    /// Whether a message published to `topic`, a valid name, is asked for.
    public func matches(_ topic: Span<UInt8>) -> Bool {
        let filter = bytes.span
        var f = matchStart
        var t = 0
        let leadingWildcard =
            filter[f] == TopicSyntax.singleLevel || filter[f] == TopicSyntax.multiLevel
        // [MQTT-4.7.2-1]
        if leadingWildcard, !topic.isEmpty, topic[0] == TopicSyntax.dollar { return false }
        while f < filter.count {
            switch filter[f] {
            case TopicSyntax.multiLevel:
                return true
            case TopicSyntax.singleLevel:
                f += 1
                while t < topic.count, topic[t] != TopicSyntax.separator { t += 1 }
            case let byte where t < topic.count && topic[t] == byte:
                f += 1
                t += 1
            default:
                // "sport/#" also matches "sport": the parent level is part of it.
                return t == topic.count && filter.count == f + 2
                    && filter[f] == TopicSyntax.separator
                    && filter[f + 1] == TopicSyntax.multiLevel
            }
        }
        return t == topic.count
    }
}

extension TopicFilter: CustomStringConvertible {
    public var description: String { String(decoding: bytes, as: UTF8.self) }
}

extension TopicFilter {
    static let sharePrefix = Array("$share/".utf8)

    private static func checkCharacters(_ span: Span<UInt8>) throws(TopicError) {
        var union: UInt8 = 0
        for index in span.indices {
            let byte = span[index]
            if byte == 0 { throw TopicSyntax.null }
            union |= byte
        }
        if union >= 0x80 { try TopicSyntax.checkUTF8(span) }
    }

    /// Where the filter behind `$share/{name}/` begins; 0 where the filter is not shared.
    private static func shareEnd(_ span: Span<UInt8>) throws(TopicError) -> Int {
        guard span.count >= sharePrefix.count else { return 0 }
        for index in sharePrefix.indices where span[index] != sharePrefix[index] { return 0 }
        var index = sharePrefix.count
        while index < span.count, span[index] != TopicSyntax.separator {
            if span[index] == TopicSyntax.singleLevel || span[index] == TopicSyntax.multiLevel {
                throw TopicError(
                    .invalidFilter, "MQTT-4.8.2-2", "a share name must not contain '+' or '#'")
            }
            index += 1
        }
        guard index > sharePrefix.count else {
            throw TopicError(
                .invalidFilter, "MQTT-4.8.2-1", "a share name must have at least one character")
        }
        guard index + 1 < span.count else {
            throw TopicError(
                .invalidFilter, "MQTT-4.8.2-2", "a share name must be followed by '/' and a filter")
        }
        return index + 1
    }

    private static func checkWildcards(
        _ span: Span<UInt8>, from start: Int
    ) throws(TopicError) -> (levels: Int, hasWildcard: Bool) {
        var levels = 1
        var hasWildcard = false
        for index in start..<span.count {
            let byte = span[index]
            let opensLevel = index == start || span[index - 1] == TopicSyntax.separator
            switch byte {
            case TopicSyntax.separator:
                levels += 1
            case TopicSyntax.multiLevel:
                guard opensLevel, index + 1 == span.count else {
                    throw TopicError(
                        .invalidFilter, "MQTT-4.7.1-1",
                        "'#' must be the last character and fill its level")
                }
                hasWildcard = true
            case TopicSyntax.singleLevel:
                let closesLevel =
                    index + 1 == span.count || span[index + 1] == TopicSyntax.separator
                guard opensLevel, closesLevel else {
                    throw TopicError(
                        .invalidFilter, "MQTT-4.7.1-2", "'+' must fill its level")
                }
                hasWildcard = true
            default:
                break
            }
        }
        return (levels, hasWildcard)
    }
}
