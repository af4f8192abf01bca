/// What the header of a frame from a client says (RFC 6455, 5.2), gathered byte by byte.
struct WebSocketFrame {
    enum Opcode: UInt8 {
        case continuation = 0
        case text = 1
        case binary = 2
        case close = 8
        case ping = 9
        case pong = 10

        var isControl: Bool { rawValue >= 8 }
    }

    /// The longest frame: payloads are passed on as they come, so that it costs no memory; a longer one
    /// is taken for a fault of the sender's.
    static let maximumLength: UInt64 = 1 << 30

    private enum Stage: UInt8 {
        case flags, length, extendedLength, mask, payload
    }

    private var stage = Stage.flags
    /// Bytes of this stage that are still to come.
    private var stageLeft: UInt8 = 0
    private(set) var isFinal = false
    private(set) var opcode = Opcode.binary
    private(set) var mask = WebSocketMask()
    /// Payload bytes that have not come yet.
    private(set) var remaining: UInt64 = 0

    /// The header is there, and what comes now is payload.
    var isInPayload: Bool { stage == .payload }

    /// Takes the next byte of the header. `isFragmented`: a message has begun and is not at its end.
    mutating func takeHeader(_ byte: UInt8, isFragmented: Bool) throws(WebSocketFault) {
        switch stage {
        case .flags:
            try takeFlags(byte, isFragmented)
            stage = .length
        case .length: try takeLength(byte)
        case .extendedLength:
            remaining = remaining << 8 | UInt64(byte)
            stageLeft -= 1
            if stageLeft == 0 { try checkLength() }
        case .mask:
            mask.push(byte)
            stageLeft -= 1
            if stageLeft == 0 { stage = .payload }
        case .payload: preconditionFailure("a payload's byte is no header's")
        }
    }

    private mutating func takeFlags(_ byte: UInt8, _ isFragmented: Bool) throws(WebSocketFault) {
        // No extension was negotiated that gives them a meaning.
        if byte & 0x70 != 0 { throw .protocolError("a reserved bit is set") }
        guard let opcode = Opcode(rawValue: byte & 0x0F) else {
            throw .protocolError("a reserved opcode")
        }
        isFinal = byte & 0x80 != 0
        self.opcode = opcode
        if opcode.isControl {
            guard isFinal else { throw .protocolError("a control frame in fragments") }
        } else if opcode == .text {
            throw .textFrame  // [MQTT-6.0.0-1]
        } else if (opcode == .continuation) != isFragmented {
            throw .protocolError(
                isFragmented
                    ? "a new message inside of a fragmented one"
                    : "a continuation of nothing")
        }
    }

    private mutating func takeLength(_ byte: UInt8) throws(WebSocketFault) {
        guard byte & 0x80 != 0 else { throw .protocolError("a frame that is not masked") }
        remaining = 0
        switch byte & 0x7F {
        case 126: stageLeft = 2
        case 127: stageLeft = 8
        case let length:
            remaining = UInt64(length)
            expectMask()
            return
        }
        guard !opcode.isControl else { throw .protocolError("a control frame above 125 bytes") }
        isLong = stageLeft == 8
        stage = .extendedLength
    }

    /// The length stands in eight bytes.
    private var isLong = false

    private mutating func checkLength() throws(WebSocketFault) {
        guard remaining > (isLong ? 0xFFFF : 125) else {
            throw .protocolError("a length in more bytes than it takes")
        }
        guard remaining <= Self.maximumLength else { throw .frameTooLong }
        expectMask()
    }

    private mutating func expectMask() {
        stage = .mask
        stageLeft = 4
    }

    /// Unmasks the payload that lies from `source` to the end of `bytes`, or the part of it that is there,
    /// and puts it to `target`: how much that was.
    mutating func movePayload(
        from source: Int, to target: Int, in bytes: inout MutableSpan<UInt8>
    ) -> Int {
        let count = Int(min(remaining, UInt64(bytes.count - source)))
        mask.move(count, from: source, to: target, in: &bytes)
        remaining -= UInt64(count)
        return count
    }

    /// Unmasks one byte of the payload.
    mutating func takePayload(_ byte: UInt8) -> UInt8 {
        remaining -= 1
        return mask.apply(byte)
    }

    /// Makes ready for the next frame.
    mutating func finish() { stage = .flags }
}

/// What a client did wrong after the handshake, and the code that the closing frame says it with
/// (RFC 6455, 7.4.1).
struct WebSocketFault: Error, Equatable {
    var code: UInt16
    var reason: String

    static func protocolError(_ reason: String) -> WebSocketFault {
        WebSocketFault(code: 1002, reason: reason)
    }

    static let textFrame = WebSocketFault(
        code: 1003, reason: "a text frame; MQTT goes in binary ones")
    static let frameTooLong = WebSocketFault(
        code: 1009, reason: "a frame above \(WebSocketFrame.maximumLength) bytes")
}
