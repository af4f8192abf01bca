import MQTT

/// Takes requests out of the bytes of a connection, RFC 9112; no I/O.
///
/// GET and HEAD without content are all that it knows. What is malformed, larger than the limits or of a
/// kind that it does not take is an `HTTPFault`: behind it nobody knows where the next request would
/// begin, so the connection must end.
public struct HTTPRequestMachine: ~Copyable {
    private let limits: HTTPLimits
    private var input = ByteBuffer()

    public init(limits: HTTPLimits = HTTPLimits()) {
        self.limits = limits
    }

    /// Whether a part of a request has come, or whole ones that were not taken yet.
    public var isEmpty: Bool { input.isEmpty }

    /// Keeps what came. Call `next` until it has no more, before more is read.
    public mutating func receive(_ bytes: Span<UInt8>) {
        input.append(bytes)
    }

    /// The next whole request; `nil` while there is none.
    public mutating func next() throws(HTTPFault) -> HTTPRequest? {
        skipEmptyLines()
        let end = input.withSpan { Self.endOfHead($0) }
        guard let end else {
            guard input.count <= limits.headBytes else { throw headFault() }
            return nil
        }
        guard end <= limits.headBytes else { throw headFault() }
        let lines = input.withSpan { Self.lines($0.extracting(0..<end)) }
        input.consume(end)
        input.releaseIfEmpty()
        return try HTTPHead.read(lines, limits: limits)
    }

    /// Forgets what came.
    public mutating func removeAll() { input.removeAll() }

    /// A line too long to be a target is told so: 414 helps more than 431.
    private func headFault() -> HTTPFault {
        let isFirstLine = input.withSpan { bytes in
            for index in 0..<min(bytes.count, limits.targetBytes) where bytes[index] == 0x0A {
                return false
            }
            return true
        }
        return isFirstLine
            ? HTTPFault(status: .targetTooLong, detail: "the request's target is too long")
            : HTTPFault(status: .headTooLarge, detail: "the request's head is too large")
    }

    /// Empty lines before a request are let pass, RFC 9112, 2.2.
    private mutating func skipEmptyLines() {
        let count = input.withSpan { bytes in
            var index = 0
            while index < bytes.count {
                if bytes[index] == 0x0A {
                    index += 1
                } else if bytes[index] == 0x0D, index + 1 < bytes.count, bytes[index + 1] == 0x0A {
                    index += 2
                } else {
                    break
                }
            }
            return index
        }
        if count > 0 { input.consume(count) }
    }

    /// Where the empty line ends that ends the head.
    private static func endOfHead(_ bytes: Span<UInt8>) -> Int? {
        var lineStart = 0
        for index in bytes.indices where bytes[index] == 0x0A {
            let length = index - lineStart
            if length == 0 || length == 1 && bytes[lineStart] == 0x0D { return index + 1 }
            lineStart = index + 1
        }
        return nil
    }

    /// The lines of a head without their ends and without the empty one; LF alone ends a line too.
    private static func lines(_ head: Span<UInt8>) -> [[UInt8]] {
        var lines: [[UInt8]] = []
        var line: [UInt8] = []
        for index in head.indices {
            guard head[index] == 0x0A else {
                line.append(head[index])
                continue
            }
            if line.last == 0x0D { line.removeLast() }
            lines.append(line)
            line = []
        }
        lines.removeLast()
        return lines
    }
}
