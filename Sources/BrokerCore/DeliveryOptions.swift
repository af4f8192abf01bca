import MQTT

/// How one copy of a message goes to one session: its QoS, RETAIN, and the subscription identifiers of
/// the subscriptions that brought it.
///
/// Every queued and every in-flight message has one. None or one identifier takes no memory of its own.
struct DeliveryOptions: Equatable {
    /// The identifiers behind the first, where several subscriptions of one session overlap.
    private var further: [UInt32]?
    /// Bits 0 and 1: QoS. Bit 2: RETAIN. Bit 3: what is recorded of it withstands a power cut. From bit 4
    /// on: the first identifier, 0 for none.
    private var word: UInt32
    /// The number of the group of a shared subscription that brought it, 0 for none: who takes it back
    /// when the session ends knows by it whom else to give it to.
    var group: UInt32 = 0

    @inline(__always)
    init(qos: QoS, retain: Bool, identifier: UInt32 = 0) {
        word = UInt32(qos.rawValue) | (retain ? 4 : 0) | identifier << 4
    }

    /// What a store kept.
    init(qos: QoS, retain: Bool, identifiers: [UInt32]) {
        self.init(qos: qos, retain: retain, identifier: identifiers.first ?? 0)
        if identifiers.count > 1 { further = Array(identifiers.dropFirst()) }
    }

    @inline(__always)
    var qos: QoS {
        get { QoS(rawValue: UInt8(truncatingIfNeeded: word & 3)) ?? .atMostOnce }
        set { word = word & ~3 | UInt32(newValue.rawValue) }
    }

    @inline(__always)
    var retain: Bool {
        get { word & 4 != 0 }
        set { word = newValue ? word | 4 : word & ~4 }
    }

    @inline(__always)
    var withstandsPowerCuts: Bool {
        get { word & 8 != 0 }
        set { word = newValue ? word | 8 : word & ~8 }
    }

    @inline(__always) var hasIdentifiers: Bool { word >> 4 != 0 }

    /// All identifiers, in the order in which their subscriptions were found.
    var identifiers: [UInt32] {
        hasIdentifiers ? [word >> 4] + (further ?? []) : []
    }

    /// One more subscription brought this copy. The same identifier may come twice (3.3.4).
    mutating func add(identifier: UInt32) {
        if !hasIdentifiers {
            word |= identifier << 4
        } else if further == nil {
            further = [identifier]
        } else {
            further?.append(identifier)
        }
    }

    /// Bytes that the identifiers behind the first take.
    var extraBytes: Int { (further?.count ?? 0) * MemoryLayout<UInt32>.stride }

    /// Bytes of the properties that the identifiers make.
    @inline(__always)
    var identifiersSize: Int { hasIdentifiers ? sizeOfIdentifiers() : 0 }

    private func sizeOfIdentifiers() -> Int {
        let first = 1 + variableByteIntegerSize(Int(word >> 4))
        return (further ?? []).reduce(first) { $0 + 1 + variableByteIntegerSize(Int($1)) }
    }

    /// Appends a property for each identifier. [MQTT-3.3.4-3] to [MQTT-3.3.4-5]
    func encodeIdentifiers(into output: inout ByteBuffer) {
        guard hasIdentifiers else { return }
        Self.encode(word >> 4, into: &output)
        for identifier in further ?? [] { Self.encode(identifier, into: &output) }
    }

    private static func encode(_ identifier: UInt32, into output: inout ByteBuffer) {
        output.append(PropertyIdentifier.subscriptionIdentifier.rawValue)
        output.append(variableByteInteger: Int(identifier))
    }
}
