import MQTT

/// Why a WebSocket ends.
public enum WebSocketEnd: Hashable, Sendable, CustomStringConvertible {
    /// The client said so by a closing frame.
    case closed
    /// The client did what the standard forbids, or asked for what is not served here.
    case failed(String)

    public var description: String {
        switch self {
        case .closed: "WebSocket: closed by the client"
        case .failed(let reason): "WebSocket: \(reason)"
        }
    }
}

/// The server's side of one WebSocket (RFC 6455) without a socket: the HTTP request that opens it, then
/// frames.
///
/// Bytes of the peer come in and their payload stays; payload goes out in frames. Payload is passed on as
/// it comes: frames and packets need not align [MQTT-6.0.0-2], and a frame of any length is never held.
/// Idle, it takes 120 bytes and owns no buffer.
public struct WebSocketStream: ~Copyable {
    /// The largest head of a request; a longer one is refused (431).
    public static let maximumHead = 8 * 1024
    /// Payload that is put into one frame, and held at most for a peer that does not take it.
    public static let frameSize = 32 * 1024
    /// Bytes not taken by the peer above which it should not be listened to: it sends pings, and does
    /// not read the answers.
    public static let fullOutput = 64 * 1024

    private enum Phase: UInt8 {
        case request
        case open
        /// A closing frame, or a refusal, is the last thing in the output; what comes is not looked at.
        case closing
    }

    private let rules: WebSocketRules
    private var phase = Phase.request
    /// A message has begun whose last fragment has not.
    private var isFragmented = false
    private var frame = WebSocketFrame()
    /// The request as far as it has come; later the payload of a control frame.
    private var held = ByteBuffer()
    /// What leaves before all else: answers, and framed payload.
    private var output = ByteBuffer()

    public init(_ rules: WebSocketRules) {
        self.rules = rules
    }

    /// Whether the handshake is over.
    public var isOpen: Bool { phase == .open }
    /// Whether there is something to write beside the payload.
    public var hasOutput: Bool { !output.isEmpty }
    /// Whether the peer takes so little that it should not be listened to.
    public var isFull: Bool { output.count >= Self.fullOutput }

    // MARK: In

    /// Takes what the peer sent and leaves the payload in its place, which may be none.
    ///
    /// Says how the WebSocket ends, if it does: then the payload is the last, the answer is in the output,
    /// and the connection is to be closed when that has left.
    public mutating func receive(_ bytes: inout ByteBuffer) -> WebSocketEnd? {
        if phase == .request, let end = takeRequest(&bytes) { return end }
        guard phase == .open else {
            bytes.removeAll(keepingCapacity: true)
            return nil
        }
        var end: WebSocketEnd?
        bytes.rewrite { takeFrames(&$0, &end) }
        return end
    }

    /// Unmasks the payload of data frames to the front of `bytes`, and returns how much of it there is.
    private mutating func takeFrames(
        _ bytes: inout MutableSpan<UInt8>, _ end: inout WebSocketEnd?
    ) -> Int {
        var source = 0
        var target = 0
        while source < bytes.count && end == nil {
            if !frame.isInPayload {
                do throws(WebSocketFault) {
                    try frame.takeHeader(bytes[source], isFragmented: isFragmented)
                } catch {
                    end = fail(error)
                }
                source += 1
            } else if frame.opcode.isControl {
                held.append(frame.takePayload(bytes[source]))
                source += 1
            } else {
                let count = frame.movePayload(from: source, to: target, in: &bytes)
                source += count
                target += count
            }
            if end == nil && frame.isInPayload && frame.remaining == 0 { end = finishFrame() }
        }
        return target
    }

    private mutating func finishFrame() -> WebSocketEnd? {
        frame.finish()
        guard frame.opcode.isControl else {
            isFragmented = !frame.isFinal
            return nil
        }
        var payload = ByteBuffer()
        swap(&payload, &held)
        switch frame.opcode {
        case .ping: payload.withSpan { append(.pong, $0) }
        case .close: return takeClose(payload.withSpan { span in span.indices.map { span[$0] } })
        default: break
        }
        return nil
    }

    /// The client's closing frame, which is answered with its own code (RFC 6455, 5.5.1).
    private mutating func takeClose(_ payload: [UInt8]) -> WebSocketEnd {
        guard payload.count >= 2 else {
            if payload.count == 1 {
                return fail(.protocolError("a closing frame with half a code"))
            }
            append(.close, payload.span)
            phase = .closing
            return .closed
        }
        let code = UInt16(payload[0]) << 8 | UInt16(payload[1])
        switch code {
        case 1000...1003, 1007...1014, 3000...4999: break
        default: return fail(.protocolError("a closing frame with a reserved code"))
        }
        guard String(validating: payload[2...], as: UTF8.self) != nil else {
            return fail(WebSocketFault(code: 1007, reason: "a closing frame's text is no UTF-8"))
        }
        append(.close, Array(payload[..<2]).span)
        phase = .closing
        return .closed
    }

    private mutating func fail(_ fault: WebSocketFault) -> WebSocketEnd {
        held.removeAll()
        appendClose(fault.code, fault.reason)
        return .failed(fault.reason)
    }

    // MARK: Out

    /// Writes `payload` in frames behind what waits, by `send`, which says how many bytes it took. Returns
    /// how much of the payload need not come again.
    ///
    /// What was put into a frame is held until it leaves, `frameSize` at most.
    public mutating func write<Failure: Error>(
        _ payload: Span<UInt8>, _ send: (Span<UInt8>) throws(Failure) -> Int
    ) throws(Failure) -> Int {
        var taken = 0
        while try drain(send), taken < payload.count {
            guard phase == .open else {
                // Nothing may follow a closing frame, and nothing comes before the handshake.
                return phase == .closing ? payload.count : taken
            }
            let count = min(Self.frameSize, payload.count - taken)
            append(.binary, payload.extracting(taken..<taken + count))
            taken += count
        }
        return taken
    }

    /// Sends what waits; true when all of it has left.
    private mutating func drain<Failure: Error>(
        _ send: (Span<UInt8>) throws(Failure) -> Int
    ) throws(Failure) -> Bool {
        while !output.isEmpty {
            let sent = try output.withSpan { bytes throws(Failure) in try send(bytes) }
            if sent == 0 { return false }
            output.consume(sent)
        }
        output.releaseIfEmpty()
        return true
    }

    /// Says goodbye once all payload has been written: a closing frame, or 408 to an unfinished request.
    public mutating func close(_ code: WebSocketCloseCode) {
        switch phase {
        case .open: appendClose(code.rawValue, "")
        case .request where !held.isEmpty:
            _ = refuse(HTTPRefusal(408, "the request did not come to its end in time"))
        case .request, .closing: phase = .closing
        }
    }

    private mutating func appendClose(_ code: UInt16, _ reason: String) {
        let head = [UInt8(truncatingIfNeeded: code >> 8), UInt8(truncatingIfNeeded: code)]
        append(.close, (head + Array(reason.utf8.prefix(123))).span)
        phase = .closing
    }

    /// Appends a frame; a server's are not masked (RFC 6455, 5.1).
    private mutating func append(_ opcode: WebSocketFrame.Opcode, _ payload: Span<UInt8>) {
        output.reserve(4 + payload.count)
        output.append(0x80 | opcode.rawValue)
        if payload.count < 126 {
            output.append(UInt8(payload.count))
        } else {
            precondition(payload.count <= Self.frameSize, "no frame of ours is as long")
            output.append(126)
            output.append(bigEndian: UInt16(payload.count))
        }
        output.append(payload)
    }
}

// MARK: - The handshake

extension WebSocketStream {
    /// Gathers the request and answers it; what came behind it stays in `bytes`.
    private mutating func takeRequest(_ bytes: inout ByteBuffer) -> WebSocketEnd? {
        let known = held.count
        bytes.withSpan { held.append($0) }
        bytes.removeAll(keepingCapacity: true)
        guard let first = held.withSpan({ $0.isEmpty ? nil : $0[0] }) else { return nil }
        guard (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains(first) else {
            return refuse(HTTPRefusal(400, "this is no HTTP request"))
        }
        guard let end = headEnd(from: max(0, known - 3)) else {
            guard held.count > Self.maximumHead else { return nil }
            return refuse(
                HTTPRefusal(431, "a request's head above \(Self.maximumHead) bytes"))
        }
        let head = held.withSpan { span in (0..<end).map { span[$0] } }
        let request: WebSocketRequest
        do throws(HTTPRefusal) {
            request = try WebSocketRequest(head: head, rules: rules)
        } catch {
            return refuse(error)
        }
        held.withSpan { bytes.append($0.extracting(end...)) }
        held.removeAll()
        let lines = [
            "HTTP/1.1 101 Switching Protocols", "Upgrade: websocket", "Connection: Upgrade",
            "Sec-WebSocket-Accept: \(request.accept)",
            // [MQTT-6.0.0-4]
            "Sec-WebSocket-Protocol: \(request.subprotocol)",
        ]
        output.append(Array((lines.joined(separator: "\r\n") + "\r\n\r\n").utf8))
        phase = .open
        return nil
    }

    /// The offset behind the empty line that ends the head.
    private func headEnd(from start: Int) -> Int? {
        held.withSpan { span in
            let last = min(span.count, Self.maximumHead)
            var index = start
            while index + 4 <= last {
                if span[index] == 13, span[index + 1] == 10, span[index + 2] == 13,
                    span[index + 3] == 10
                {
                    return index + 4
                }
                index += 1
            }
            return nil
        }
    }

    private mutating func refuse(_ refusal: HTTPRefusal) -> WebSocketEnd {
        held.removeAll()
        output.append(Array(refusal.response.utf8))
        phase = .closing
        return .failed("\(refusal.reason) (HTTP \(refusal.status))")
    }
}

/// Why a server closes a WebSocket (RFC 6455, 7.4.1).
public enum WebSocketCloseCode: UInt16, Sendable {
    case normal = 1000
    case goingAway = 1001
    case policyViolation = 1008
}
