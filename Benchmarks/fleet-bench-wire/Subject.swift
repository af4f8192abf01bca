import CAllocationCount
import MQTT

/// A kind of packet to measure.
struct Subject {
    let name: String
    let version: ProtocolVersion
    let receiver: PacketDecoder.Receiver
    /// The packet's bytes.
    let bytes: [UInt8]

    /// The topic and the payload of the style guide's figures: 20 and 64 bytes.
    static let topic = Array("fleet/v1/barn/pi-7/m".utf8)
    static let payload = [UInt8](repeating: 0x78, count: 64)

    static let all = [
        Subject("PUBLISH QoS 0, 3.1.1", .v3_1_1, 0x30, field(topic) + payload),
        Subject("PUBLISH QoS 1, 3.1.1", .v3_1_1, 0x32, field(topic) + [0, 9] + payload),
        Subject("PUBLISH QoS 0, 5.0", .v5_0, 0x30, field(topic) + [0] + payload),
        Subject("PUBLISH QoS 1, 5.0", .v5_0, 0x32, field(topic) + [0, 9, 0] + payload),
        Subject(
            "PUBLISH QoS 1, 5.0, 3 properties", .v5_0, 0x32,
            field(topic) + [0, 9, 28, 0x01, 1, 0x02, 0, 0, 0, 60, 0x26] + field(Array("fleet".utf8))
                + field(Array("barn/edge/2".utf8)) + payload),
        Subject(
            "PUBLISH QoS 0, 3.1.1, topic not ASCII", .v3_1_1, 0x30,
            field(Array("fleet/v1/bärn/pi-7".utf8)) + payload),
        Subject("PUBACK, 3.1.1", .v3_1_1, 0x40, [0, 9]),
        Subject("PUBACK, 5.0, with reason code", .v5_0, 0x40, [0, 9, 0x10]),
        Subject("PINGREQ", .v3_1_1, 0xC0, []),
        Subject(
            "SUBSCRIBE, 5.0, 2 filters", .v5_0, 0x82,
            [0, 9, 0] + field(Array("fleet/v1/+/+/m/#".utf8)) + [1]
                + field(Array("fleet/v1/barn/pi-7/cmd/#".utf8)) + [1]),
    ]

    private init(
        _ name: String, _ version: ProtocolVersion, _ first: UInt8, _ body: [UInt8]
    ) {
        self.name = name
        self.version = version
        receiver = .server
        bytes = [first, UInt8(body.count)] + body
    }

    private static func field(_ bytes: [UInt8]) -> [UInt8] { [0, UInt8(bytes.count)] + bytes }

    /// Prints one line.
    func measure(packets: Int) {
        let stream = Array(repeatElement(bytes, count: packets).joined())
        var buffer = ByteBuffer()
        buffer.reserve(stream.count + 8)
        let before = allocation_count()
        let decode = best(packets) { decodeAll(stream.span) }
        let encode = best(packets) {
            buffer.removeAll(keepingCapacity: true)
            encodeAll(packets, into: &buffer)
        }
        let allocations = allocation_count() - before
        print(
            pad(name, 40), pad("\(bytes.count)", 8), pad(decode, 11), pad(encode, 11), allocations)
    }

    private func decodeAll(_ stream: Span<UInt8>) {
        var decoder = PacketDecoder(receiver: receiver, version: version)
        var offset = 0
        var topics = 0
        do throws(WireError) {
            while let decoded = try decoder.decode(stream, from: offset) {
                offset = decoded.end
                if case .publish(let publish) = decoded.packet { topics += publish.topic.count }
            }
        } catch {
            print("\(name): \(error)")
        }
        precondition(offset == stream.count, "the buffer was not decoded to its end")
    }

    private func encodeAll(_ packets: Int, into buffer: inout ByteBuffer) {
        var decoder = PacketDecoder(receiver: receiver, version: version)
        guard let decoded = try? decoder.decode(bytes.span) else { return }
        for _ in 0..<packets {
            decoded.packet.encode(from: bytes.span, version: version, into: &buffer)
        }
        precondition(buffer.count == packets * bytes.count, "encoded to another form")
    }

    /// Nanoseconds a packet, in the fastest of seven runs of at least 20 rounds.
    private func best(_ packets: Int, _ body: () -> Void) -> String {
        body()
        let rounds = 20
        var best = Duration.seconds(1_000)
        for _ in 0..<7 {
            best = min(best, ContinuousClock().measure { for _ in 0..<rounds { body() } })
        }
        let tenths = Int(best / .nanoseconds(1) / Double(rounds * packets) * 10 + 0.5)
        return "\(tenths / 10).\(tenths % 10)"
    }
}

/// The text, filled with spaces to `width` columns.
func pad(_ text: String, _ width: Int) -> String {
    text + String(repeating: " ", count: max(0, width - text.count))
}
