import MQTT

/// One input of libFuzzer: a byte that says how the decoder is set up, and a stream of packets.
///
/// Traps if whole and byte by byte disagree, or if a packet that was decoded does not encode to a
/// form that decodes and encodes to itself.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzDecoder(_ start: UnsafePointer<UInt8>, _ count: Int) -> CInt {
    // SAFETY: libFuzzer owns `count` bytes at `start` for the length of this call.
    let input = unsafe Span(_unsafeStart: start, count: count)
    guard count > 1 else { return 0 }
    let decoder = makeDecoder(input[0])
    let stream = input.extracting(1..<count)
    let whole = decodeWhole(stream, decoder)
    let pieces = decodeByteByByte(stream, decoder)
    precondition(whole.packets == pieces.packets, "whole and byte by byte disagree")
    let unfinished = stream.count - (whole.packets.last?.end ?? 0)
    if pieces.error == nil && unfinished > eagerSize {
        // Of a large body that has not arrived the decoder need not know yet that it is wrong.
    } else {
        precondition(whole.error == pieces.error, "whole and byte by byte disagree")
    }
    checkRoundTrips(stream, whole, decoder)
    return 0
}

/// Up to this many bytes the decoder refuses an unfinished packet with the first byte that is wrong.
let eagerSize = 512

/// What a stream held, and how it ended: with an error, or with bytes that are not yet a packet.
struct Outcome: Equatable {
    var packets: [DecodedPacket] = []
    var error: WireError?
}

/// Bits 0 and 1: the version; 2: the receiver; 3: the first packet must be CONNECT; 4: small limits.
func makeDecoder(_ setup: UInt8) -> PacketDecoder {
    let versions: [ProtocolVersion] = [.v3_1_1, .v5_0, .v3_1, .v5_0]
    var limits = WireLimits()
    if setup & 16 != 0 {
        limits = WireLimits(
            maximumPacketSize: 200, maximumConnectSize: 100, maximumProperties: 2,
            maximumStringLength: 16)
    }
    return PacketDecoder(
        receiver: setup & 4 == 0 ? .server : .client, version: versions[Int(setup & 3)],
        limits: limits, awaitsConnect: setup & 12 == 8)
}

func decodeWhole(_ stream: Span<UInt8>, _ decoder: PacketDecoder) -> Outcome {
    var decoder = decoder
    var outcome = Outcome()
    do throws(WireError) {
        while let decoded = try decoder.decode(stream, from: outcome.packets.last?.end ?? 0) {
            outcome.packets.append(decoded)
        }
    } catch {
        outcome.error = error
    }
    return outcome
}

func decodeByteByByte(_ stream: Span<UInt8>, _ decoder: PacketDecoder) -> Outcome {
    var decoder = decoder
    var outcome = Outcome()
    do throws(WireError) {
        for count in 1...stream.count {
            let arrived = stream.extracting(0..<count)
            let offset = outcome.packets.last?.end ?? 0
            if let decoded = try decoder.decode(arrived, from: offset) {
                precondition(decoded.end == count, "a packet was there before its last byte")
                outcome.packets.append(decoded)
            }
        }
    } catch {
        outcome.error = error
    }
    return outcome
}

func checkRoundTrips(_ stream: Span<UInt8>, _ outcome: Outcome, _ decoder: PacketDecoder) {
    var version = decoder.version
    var offset = 0
    for decoded in outcome.packets {
        if case .connect(let connect) = decoded.packet { version = connect.version }
        let original = stream.extracting(offset..<decoded.end)
        let once = encode(decoded.packet, stream, version)
        var again = PacketDecoder(receiver: decoder.receiver, version: version)
        guard let second = try? again.decode(once.span) else {
            preconditionFailure("what was encoded does not decode")
        }
        precondition(second.end == once.count, "what was encoded is not one packet")
        precondition(encode(second.packet, once.span, version) == once, "no fixed form")
        precondition(once.count <= original.count, "our form is not the shortest")
        // 3.1 has bits that a receiver disregards; elsewhere forms differ in length only.
        if once.count == original.count && version != .v3_1 {
            precondition(once.indices.allSatisfy { once[$0] == original[$0] }, "other bytes")
        }
        offset = decoded.end
    }
}

func encode(_ packet: Packet, _ source: Span<UInt8>, _ version: ProtocolVersion) -> [UInt8] {
    var buffer = ByteBuffer()
    packet.encode(from: source, version: version, into: &buffer)
    return buffer.withSpan { span in span.indices.map { span[$0] } }
}
