import IO
import MQTT

/// One input of libFuzzer: a byte that says what is fed, a byte for the size of the pieces, and the bytes of a peer.
///
/// Traps if whole and in pieces disagree in payload, answer or end. With bit 0 the bytes come behind a good
/// handshake; with bit 1 they are the header of a proxy.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzWebSocket(_ start: UnsafePointer<UInt8>, _ count: Int) -> CInt {
    guard count > 2 else { return 0 }
    // SAFETY: libFuzzer owns `count` bytes at `start` for the length of this call.
    let input = unsafe Array(UnsafeBufferPointer(start: start, count: count))
    let stream = Array(input[2...])
    let piece = 1 + Int(input[1] & 31)
    if input[0] & 2 != 0 {
        precondition(
            readHeader(stream, piece) == readHeader(stream, .max), "whole and pieces disagree")
    } else {
        let bytes = input[0] & 1 != 0 ? handshake + stream : stream
        precondition(read(bytes, piece) == read(bytes, .max), "whole and pieces disagree")
    }
    return 0
}

let handshake = Array(
    """
    GET / HTTP/1.1\r
    Host: a\r
    Upgrade: websocket\r
    Connection: Upgrade\r
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r
    Sec-WebSocket-Version: 13\r
    Sec-WebSocket-Protocol: mqtt\r
    \r

    """.utf8)

/// What a stream came to.
struct Outcome: Equatable {
    var payload: [UInt8] = []
    var answer: [UInt8] = []
    var end: String?
}

func read(_ bytes: [UInt8], _ piece: Int) -> Outcome {
    var outcome = Outcome()
    var stream = WebSocketStream(WebSocketRules())
    var rest = bytes[...]
    while !rest.isEmpty && outcome.end == nil {
        var inbox = ByteBuffer()
        inbox.append(Array(rest.prefix(piece)))
        rest = rest.dropFirst(piece)
        let end = stream.receive(&inbox)
        outcome.payload += inbox.withSpan { span in span.indices.map { span[$0] } }
        outcome.end = end.map { "\($0)" }
    }
    _ = stream.write([UInt8]().span) { span in
        outcome.answer += span.indices.map { span[$0] }
        return span.count
    }
    return outcome
}

/// As a shell does: never more than is missing.
func readHeader(_ bytes: [UInt8], _ piece: Int) -> String {
    var header = ProxyHeader()
    var rest = bytes[...]
    do throws(ProxyFault) {
        while !rest.isEmpty {
            let part = rest.prefix(min(piece, header.missing))
            rest = rest.dropFirst(part.count)
            if let source = try header.take(Array(part).span) {
                return "\(source), \(rest.count) left"
            }
        }
        return "unfinished"
    } catch {
        return "\(error)"
    }
}
