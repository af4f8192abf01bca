import MQTT
import Testing

/// Every property of 5.0 in every packet: `Tests/Vectors/properties.txt`.
@Suite struct WirePropertyTests {
    struct Rule: Sendable, CustomStringConvertible {
        let identifier: UInt8
        let name: String
        let packets: [String]
        let repeats: String
        let value: [UInt8]
        let refused: [(bytes: [UInt8], code: UInt8)]

        var description: String { name }
    }

    /// A packet around properties: what stands before and behind them.
    struct Place: Sendable {
        let name: String
        let receiver: PacketDecoder.Receiver
        let first: UInt8
        let before: [UInt8]
        let behind: [UInt8]

        func packet(_ properties: [UInt8]) -> [UInt8] {
            let body = before + Place.length(properties.count) + properties + behind
            return [first] + Place.length(body.count) + body
        }

        /// A variable byte integer.
        static func length(_ value: Int) -> [UInt8] {
            value < 0x80
                ? [UInt8(value)] : [UInt8(value & 0x7F) | 0x80] + length(value >> 7)
        }
    }

    static let connectHead: [UInt8] = [0, 4, 0x4D, 0x51, 0x54, 0x54, 5, 2, 0, 60]
    static let method: [UInt8] = [0x15, 0, 1, 0x4D]

    static let places: [Place] = [
        Place(
            name: "connect", receiver: .server, first: 0x10, before: connectHead,
            behind: [0, 1, 0x63]),
        Place(
            name: "will", receiver: .server, first: 0x10,
            before: Array(connectHead[..<7]) + [6, 0, 60, 0, 0, 1, 0x63],
            behind: [0, 1, 0x77, 0, 0]),
        Place(name: "connack", receiver: .client, first: 0x20, before: [0, 0], behind: []),
        Place(
            name: "publish", receiver: .client, first: 0x30, before: [0, 1, 0x61], behind: [0xFF]),
        Place(name: "puback", receiver: .server, first: 0x40, before: [0, 1, 0], behind: []),
        Place(name: "pubrec", receiver: .client, first: 0x50, before: [0, 1, 0], behind: []),
        Place(name: "pubrel", receiver: .server, first: 0x62, before: [0, 1, 0], behind: []),
        Place(name: "pubcomp", receiver: .client, first: 0x70, before: [0, 1, 0], behind: []),
        Place(
            name: "subscribe", receiver: .server, first: 0x82, before: [0, 1],
            behind: [0, 1, 0x61, 0]),
        Place(name: "suback", receiver: .client, first: 0x90, before: [0, 1], behind: [0]),
        Place(
            name: "unsubscribe", receiver: .server, first: 0xA2, before: [0, 1],
            behind: [0, 1, 0x61]),
        Place(name: "unsuback", receiver: .client, first: 0xB0, before: [0, 1], behind: [0]),
        Place(name: "disconnect", receiver: .server, first: 0xE0, before: [0], behind: []),
        Place(name: "auth", receiver: .server, first: 0xF0, before: [0x18], behind: []),
    ]

    static let rules: [Rule] =
        (try? WireVectors.lines(of: "properties").map { fields in
            var value = VectorBytes(fields[4])
            return Rule(
                identifier: UInt8(fields[0], radix: 16) ?? 0, name: fields[1],
                packets: fields[2].split(separator: " ").map(String.init), repeats: fields[3],
                value: try value.parse(),
                refused: try fields[5].split(separator: " ").map { item in
                    let parts = item.split(separator: "=")
                    var bytes = VectorBytes(String(parts[0]))
                    return (try bytes.parse(), UInt8(parts[1], radix: 16) ?? 0)
                })
        }) ?? []

    /// What AUTH and authentication data cannot be without.
    static func companion(of rule: Rule, in place: Place) -> [UInt8] {
        let needsMethod = place.name == "auth" || rule.name == "authenticationData"
        return needsMethod && rule.name != "authenticationMethod" ? method : []
    }

    /// The outcome, which must be the same byte by byte.
    static func outcome(_ bytes: [UInt8], _ place: Place) -> WireOutcome {
        let decoder = PacketDecoder(
            receiver: place.receiver, version: bytes[0] == 0x10 ? .v3_1_1 : .v5_0)
        var first = decoder
        var second = decoder
        let whole = WireHarness.whole(bytes, &first)
        #expect(WireHarness.bytewise(bytes, &second).outcome == whole)
        return whole
    }

    static func code(_ outcome: WireOutcome) -> UInt8? {
        if case .refused(let error) = outcome { error.reasonCode.rawValue } else { nil }
    }

    @Test func everyPropertyOfTheStandardHasARuleAndEveryPacketAPlace() {
        #expect(Self.rules.map(\.identifier) == PropertyIdentifier.allCases.map(\.rawValue))
        #expect(
            Self.rules.map(\.name) == PropertyIdentifier.allCases.map { String(describing: $0) })
        #expect(Set(Self.rules.flatMap(\.packets)) == Set(Self.places.map(\.name)))
    }

    @Test(arguments: rules)
    func aPropertyIsTakenWhereItBelongsAndRefusedElsewhere(_ rule: Rule) {
        for place in Self.places {
            let properties =
                Self.companion(of: rule, in: place) + [rule.identifier] + rule.value
            let outcome = Self.outcome(place.packet(properties), place)
            if rule.packets.contains(place.name) {
                guard case .packet(let text, _) = outcome else {
                    Issue.record("\(rule) in \(place.name): \(outcome)")
                    continue
                }
                #expect(text.contains(rule.name), "\(place.name)")
            } else {
                #expect(Self.code(outcome) == 0x81, "\(place.name)")
            }
        }
    }

    @Test(arguments: rules)
    func aPropertyThatComesTwiceIsAProtocolErrorUnlessItMay(_ rule: Rule) {
        for place in Self.places where rule.packets.contains(place.name) {
            let one = [rule.identifier] + rule.value
            let properties = Self.companion(of: rule, in: place) + one + one
            let outcome = Self.outcome(place.packet(properties), place)
            let mayRepeat = rule.repeats == "yes" || rule.repeats == place.name
            #expect(Self.code(outcome) == (mayRepeat ? nil : 0x82), "\(place.name)")
        }
    }

    @Test(arguments: rules)
    func aPropertyValueOutOfItsRangeIsRefusedWithItsCode(_ rule: Rule) {
        for place in Self.places where rule.packets.contains(place.name) {
            for (bytes, code) in rule.refused {
                let properties = Self.companion(of: rule, in: place) + [rule.identifier] + bytes
                let outcome = Self.outcome(place.packet(properties), place)
                #expect(Self.code(outcome) == code, "\(place.name) \(bytes)")
            }
        }
    }

    @Test(arguments: rules)
    func aPropertyCutShortIsMalformed(_ rule: Rule) {
        for place in Self.places where rule.packets.contains(place.name) {
            let one = Self.companion(of: rule, in: place) + [rule.identifier] + rule.value
            for count in (one.count - rule.value.count)..<one.count {
                let outcome = Self.outcome(place.packet(Array(one[..<count])), place)
                #expect(Self.code(outcome) == 0x81, "\(place.name) \(count)")
            }
        }
    }

    @Test func everyIdentifierThatTheStandardDoesNotDefineIsMalformed() {
        let defined = Set(PropertyIdentifier.allCases.map(\.rawValue))
        for place in Self.places {
            for identifier in UInt8.min...UInt8.max where !defined.contains(identifier) {
                let outcome = Self.outcome(place.packet([identifier, 0, 0, 0, 0]), place)
                #expect(Self.code(outcome) == 0x81, "\(place.name) \(identifier)")
            }
        }
    }
}
