import MQTT

/// What came of feeding bytes to a decoder.
enum WireOutcome: Equatable {
    case packet(String, end: Int)
    case refused(WireError)
    case incomplete
}

/// Feeds bytes to a decoder in the ways that a connection does.
enum WireHarness {
    /// All bytes at once.
    static func whole(
        _ bytes: [UInt8], _ decoder: inout PacketDecoder, from offset: Int = 0
    ) -> WireOutcome {
        do throws(WireError) {
            guard let decoded = try decoder.decode(bytes.span, from: offset) else {
                return .incomplete
            }
            let text = WireDescription(source: bytes).describe(decoded.packet)
            return .packet(text, end: decoded.end)
        } catch {
            return .refused(error)
        }
    }

    /// One byte more each time, until the decoder decides; says also how many it took.
    ///
    /// Bodies of more than 2,000 bytes come in larger pieces.
    static func bytewise(
        _ bytes: [UInt8], _ decoder: inout PacketDecoder
    ) -> (outcome: WireOutcome, count: Int) {
        var count = 1
        while count < bytes.count {
            do throws(WireError) {
                if let decoded = try decoder.decode(bytes.span.extracting(0..<count)) {
                    let text = WireDescription(source: bytes).describe(decoded.packet)
                    return (.packet(text, end: decoded.end), count)
                }
            } catch {
                return (.refused(error), count)
            }
            count += count < 2_000 ? 1 : 997
        }
        return (whole(bytes, &decoder), bytes.count)
    }

    /// The packet encoded again.
    static func encoded(_ packet: Packet, _ source: [UInt8], _ version: ProtocolVersion) -> [UInt8]
    {
        var buffer = ByteBuffer()
        packet.encode(from: source.span, version: version, into: &buffer)
        return buffer.withSpan { span in span.indices.map { span[$0] } }
    }
}
