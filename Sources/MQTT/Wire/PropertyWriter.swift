/// Builds the properties of one packet for a sender.
///
/// The bytes lie in an array of their own; `append(to:)` copies them into the arena that holds the
/// packet's other variable parts. Keep a writer and call `removeAll()` to reuse its memory.
public struct PropertyWriter: Sendable {
    /// The properties' bytes, without the length before them.
    public private(set) var bytes: [UInt8] = []
    private var present: UInt64 = 0

    public init() {}

    /// Starts again, and keeps the memory.
    public mutating func removeAll() {
        bytes.removeAll(keepingCapacity: true)
        present = 0
    }

    /// The properties as they lie in `bytes`.
    public var properties: Properties {
        Properties(
            region: ByteRange(lowerBound: 0, upperBound: bytes.count), present: present)
    }

    /// Copies the bytes to the end of `arena`; the result points there.
    public func append(to arena: inout [UInt8]) -> Properties {
        let start = arena.count
        arena.append(contentsOf: bytes)
        return Properties(
            region: ByteRange(lowerBound: start, upperBound: arena.count), present: present)
    }

    /// Adds a one-byte property.
    public mutating func add(_ identifier: PropertyIdentifier, uint8 value: UInt8) {
        begin(identifier, .flag)
        bytes.append(value)
    }

    /// Adds a two-byte property.
    public mutating func add(_ identifier: PropertyIdentifier, uint16 value: UInt16) {
        begin(identifier, .uint16)
        append(value)
    }

    /// Adds a four-byte property.
    public mutating func add(_ identifier: PropertyIdentifier, uint32 value: UInt32) {
        begin(identifier, .uint32)
        append(UInt16(truncatingIfNeeded: value >> 16))
        append(UInt16(truncatingIfNeeded: value))
    }

    /// Adds a variable byte integer property.
    public mutating func add(
        _ identifier: PropertyIdentifier, variableByteInteger value: UInt32
    ) {
        begin(identifier, .variableByteInteger)
        precondition(value <= VariableByteInteger.maximum, "too large for four bytes")
        var rest = value
        while rest >= 0x80 {
            bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        bytes.append(UInt8(truncatingIfNeeded: rest))
    }

    /// Adds a property of text; `value` must not hold U+0000.
    public mutating func add(_ identifier: PropertyIdentifier, string value: String) {
        begin(identifier, identifier.valueType == .topicName ? .topicName : .string)
        append(Array(value.utf8).span)
    }

    /// Adds a string or binary property; a string's bytes must be valid for one.
    public mutating func add(_ identifier: PropertyIdentifier, bytes value: Span<UInt8>) {
        let type = identifier.valueType
        precondition(type == .string || type == .topicName || type == .binary, "no such value")
        begin(identifier, type)
        append(value)
    }

    /// Adds a user property; order is kept and names may come again.
    public mutating func addUserProperty(name: String, value: String) {
        begin(.userProperty, .stringPair)
        append(Array(name.utf8).span)
        append(Array(value.utf8).span)
    }

    /// The same from bytes, which must be valid for a string.
    public mutating func addUserProperty(name: Span<UInt8>, value: Span<UInt8>) {
        begin(.userProperty, .stringPair)
        append(name)
        append(value)
    }

    /// Adds all properties that were decoded from `source`, as they stand.
    public mutating func add(_ properties: Properties, from source: Span<UInt8>) {
        present |= properties.present
        bytes.append(contentsOf: source.extracting(properties.region.range))
    }

    private mutating func begin(
        _ identifier: PropertyIdentifier, _ type: PropertyIdentifier.ValueType
    ) {
        precondition(identifier.valueType == type, "the property has another type")
        present |= 1 << UInt64(identifier.rawValue)
        bytes.append(identifier.rawValue)
    }

    private mutating func append(_ value: UInt16) {
        bytes.append(UInt8(truncatingIfNeeded: value >> 8))
        bytes.append(UInt8(truncatingIfNeeded: value))
    }

    private mutating func append(_ value: Span<UInt8>) {
        precondition(value.count <= WireLimits.longestString, "too long for two length bytes")
        append(UInt16(value.count))
        bytes.append(contentsOf: value)
    }
}
