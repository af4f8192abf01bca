import MQTT

@testable import IO

/// A client's side of a WebSocket, in bytes; as RFC 6455 describes it, with none of the server's code.
enum WebSocketClient {
    static let key = "dGhlIHNhbXBsZSBub25jZQ=="

    /// A request that is served; fields replace those of the same name, an empty value leaves one out.
    static func request(
        line: String = "GET /mqtt HTTP/1.1", _ changes: [(String, String)] = []
    ) -> [UInt8] {
        var fields = [
            ("Host", "broker.example:9001"), ("Upgrade", "websocket"), ("Connection", "Upgrade"),
            ("Sec-WebSocket-Key", key), ("Sec-WebSocket-Protocol", "mqtt"),
            ("Sec-WebSocket-Version", "13"),
        ]
        for (name, value) in changes {
            if let index = fields.firstIndex(where: { $0.0 == name }) {
                fields[index].1 = value
            } else {
                fields.append((name, value))
            }
        }
        let lines = [line] + fields.filter { !$0.1.isEmpty }.map { "\($0.0): \($0.1)" }
        return Array((lines.joined(separator: "\r\n") + "\r\n\r\n").utf8)
    }

    /// A frame with its payload masked.
    static func frame(
        _ opcode: UInt8, _ payload: [UInt8], final: Bool = true,
        mask: [UInt8]? = [0x37, 0xFA, 0x21, 0x3D], lengthBytes: Int? = nil
    ) -> [UInt8] {
        var frame: [UInt8] = [opcode | (final ? 0x80 : 0)]
        let masked: UInt8 = mask == nil ? 0 : 0x80
        let size = lengthBytes ?? (payload.count < 126 ? 0 : payload.count < 65_536 ? 2 : 8)
        switch size {
        case 0: frame.append(masked | UInt8(payload.count))
        case 2: frame.append(masked | 126)
        default: frame.append(masked | 127)
        }
        frame += (0..<size).reversed().map { UInt8(truncatingIfNeeded: payload.count >> (8 * $0)) }
        guard let mask else { return frame + payload }
        return frame + mask + payload.enumerated().map { $1 ^ mask[$0 & 3] }
    }
}

/// What a stream of a client's bytes came to at the server.
struct WebSocketOutcome: Equatable {
    var payload: [UInt8] = []
    var end: WebSocketEnd?
    var output: [UInt8] = []

    /// The answer to the request, as text, and the frames behind it.
    var answer: (head: String, frames: [(opcode: UInt8, payload: [UInt8])]) {
        let text = String(decoding: output, as: UTF8.self)
        guard let end = text.firstRange(of: "\r\n\r\n")?.upperBound else { return (text, []) }
        let head = String(text[..<end])
        var frames: [(UInt8, [UInt8])] = []
        var rest = output.dropFirst(head.utf8.count)
        while rest.count >= 2, rest[rest.startIndex] & 0x80 != 0 {
            let opcode = rest.removeFirst() & 0x0F
            var length = Int(rest.removeFirst())
            if length == 126 {
                length = Int(rest.removeFirst()) << 8
                length |= Int(rest.removeFirst())
            }
            frames.append((opcode, Array(rest.prefix(length))))
            rest = rest.dropFirst(length)
        }
        return (head, frames)
    }
}

extension WebSocketOutcome {
    /// Feeds `bytes` in pieces of `size`.
    init(_ bytes: [UInt8], rules: WebSocketRules = WebSocketRules(), pieces size: Int = .max) {
        var stream = WebSocketStream(rules)
        var inbox = ByteBuffer()
        var rest = bytes[...]
        while !rest.isEmpty && end == nil {
            inbox.append(Array(rest.prefix(size)).span)
            rest = rest.dropFirst(size)
            end = stream.receive(&inbox)
            payload += inbox.withSpan { span in span.indices.map { span[$0] } }
            inbox.removeAll(keepingCapacity: true)
        }
        _ = stream.write([UInt8]().span) { span in
            output += span.indices.map { span[$0] }
            return span.count
        }
    }
}
