/// The properties of one packet or of its will, left where they were decoded from.
///
/// They were validated when decoded: allowed in their packet, none twice that may not, values of
/// the right type and range. Packets of 3.x have none.
public struct Properties: Hashable, Sendable {
    /// The properties' bytes, without the length before them.
    public let region: ByteRange
    /// Bit n for the property with identifier n.
    let present: UInt64

    init(region: ByteRange, present: UInt64) {
        self.region = region
        self.present = present
    }

    /// No properties.
    public static let none = Properties(region: .empty, present: 0)

    /// Whether there are none.
    public var isEmpty: Bool { present == 0 }

    /// Whether the property is there.
    public func contains(_ identifier: PropertyIdentifier) -> Bool {
        present & (1 << UInt64(identifier.rawValue)) != 0
    }

    /// Walks the properties in their order; `next(in:)` wants the bytes that they were decoded from.
    public func makeIterator() -> PropertyIterator {
        PropertyIterator(region: region)
    }

    /// The value of a one-byte property, if it is there.
    public func uint8(_ identifier: PropertyIdentifier, in source: Span<UInt8>) -> UInt8? {
        integer(identifier, .flag, in: source).map { UInt8(truncatingIfNeeded: $0) }
    }

    /// The value of a two-byte property, if it is there.
    public func uint16(_ identifier: PropertyIdentifier, in source: Span<UInt8>) -> UInt16? {
        integer(identifier, .uint16, in: source).map { UInt16(truncatingIfNeeded: $0) }
    }

    /// The value of a four-byte property, if it is there.
    public func uint32(_ identifier: PropertyIdentifier, in source: Span<UInt8>) -> UInt32? {
        integer(identifier, .uint32, in: source)
    }

    /// The value of a variable byte integer property, if it is there; the first of several.
    public func variableByteInteger(
        _ identifier: PropertyIdentifier, in source: Span<UInt8>
    ) -> UInt32? {
        integer(identifier, .variableByteInteger, in: source)
    }

    /// The bytes of a string or binary property, if it is there.
    public func range(_ identifier: PropertyIdentifier, in source: Span<UInt8>) -> ByteRange? {
        guard case .bytes(let range)? = first(identifier, in: source) else { return nil }
        return range
    }

    /// Copies all properties but one to the end of `arena`, in their order; the result points there.
    public func append(
        to arena: inout [UInt8], from source: Span<UInt8>, leavingOut identifier: PropertyIdentifier
    ) -> Properties {
        let start = arena.count
        var properties = makeIterator()
        var from = properties.position
        while let property = properties.next(in: source) {
            if property.identifier != identifier {
                arena.append(contentsOf: source.extracting(from..<properties.position))
            }
            from = properties.position
        }
        return Properties(
            region: ByteRange(start..<arena.count),
            present: present & ~(1 << UInt64(identifier.rawValue)))
    }

    private func integer(
        _ identifier: PropertyIdentifier, _ type: PropertyIdentifier.ValueType,
        in source: Span<UInt8>
    ) -> UInt32? {
        precondition(identifier.valueType == type, "the property has another type")
        guard case .integer(let value)? = first(identifier, in: source) else { return nil }
        return value
    }

    private func first(
        _ identifier: PropertyIdentifier, in source: Span<UInt8>
    ) -> Property.Value? {
        guard contains(identifier) else { return nil }
        var properties = makeIterator()
        while let property = properties.next(in: source) {
            if property.identifier == identifier { return property.value }
        }
        return nil
    }
}

/// One property, with its value as a number or as a place in the bytes.
public struct Property: Hashable, Sendable {
    public enum Value: Hashable, Sendable {
        /// One, two or four bytes, or a variable byte integer.
        case integer(UInt32)
        /// A string or binary data, without its length.
        case bytes(ByteRange)
        /// A user property.
        case pair(name: ByteRange, value: ByteRange)
    }

    public let identifier: PropertyIdentifier
    public let value: Value
}

/// Walks properties that were validated before.
public struct PropertyIterator: Sendable {
    /// Where the next property begins.
    public private(set) var position: Int
    private let end: Int

    init(region: ByteRange) {
        position = region.lowerBound
        end = region.upperBound
    }

    /// The next property; `source` is what the properties were decoded from.
    public mutating func next(in source: Span<UInt8>) -> Property? {
        guard position < end, let identifier = PropertyIdentifier(rawValue: source[position])
        else { return nil }
        position += 1
        let value: Property.Value
        switch identifier.valueType {
        case .flag: value = .integer(integer(bytes: 1, in: source))
        case .uint16: value = .integer(integer(bytes: 2, in: source))
        case .uint32: value = .integer(integer(bytes: 4, in: source))
        case .variableByteInteger: value = .integer(variableByteInteger(in: source))
        case .string, .topicName, .binary: value = .bytes(field(in: source))
        case .stringPair:
            let name = field(in: source)
            value = .pair(name: name, value: field(in: source))
        }
        return Property(identifier: identifier, value: value)
    }

    private mutating func integer(bytes count: Int, in source: Span<UInt8>) -> UInt32 {
        var value: UInt32 = 0
        for _ in 0..<count {
            value = value << 8 | UInt32(source[position])
            position += 1
        }
        return value
    }

    private mutating func variableByteInteger(in source: Span<UInt8>) -> UInt32 {
        var value: UInt32 = 0
        var shift: UInt32 = 0
        while shift < 28 {
            let byte = source[position]
            position += 1
            value |= UInt32(byte & 0x7F) << shift
            shift += 7
            if byte & 0x80 == 0 { break }
        }
        return value
    }

    private mutating func field(in source: Span<UInt8>) -> ByteRange {
        let length = Int(integer(bytes: 2, in: source))
        position += length
        return ByteRange(lowerBound: position - length, upperBound: position)
    }
}
