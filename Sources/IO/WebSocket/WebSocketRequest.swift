/// The request that opens a WebSocket (RFC 6455, 4.2.1), read from the bytes of its head.
///
/// Strict where looseness lets two readers understand different things: lines end with CRLF, names are
/// tokens, no line is folded, and what may stand once does so.
struct WebSocketRequest {
    /// Header fields of one request; more are refused (431).
    static let maximumFields = 64

    var key: [UInt8]
    /// What the client called the MQTT sub-protocol, `mqtt` or `mqttv3.1`.
    var subprotocol: String

    /// Throws what the request is answered with when it is no opening of ours.
    init(head: [UInt8], rules: WebSocketRules) throws(HTTPRefusal) {
        var lines = try Self.lines(head)
        try Self.checkRequestLine(lines.removeFirst(), rules)
        let fields = try Self.fields(lines)
        guard fields.one("host") != nil else {
            throw HTTPRefusal(400, "a request names one Host")
        }
        try Self.checkBody(fields)
        guard fields.list("upgrade").contains("websocket"),
            fields.list("connection").contains("upgrade")
        else {
            throw .upgradeRequired("this is a WebSocket listener for MQTT")
        }
        guard fields.one("sec-websocket-version") == Array("13".utf8) else {
            throw .upgradeRequired("the WebSocket version is not 13")
        }
        guard let key = fields.one("sec-websocket-key"),
            Base64.decode(String(decoding: key, as: UTF8.self))?.count == 16
        else {
            throw HTTPRefusal(400, "Sec-WebSocket-Key is not base 64 of 16 bytes")
        }
        try Self.checkOrigin(fields, rules)
        // [MQTT-6.0.0-3]
        let offered = fields.list("sec-websocket-protocol", folding: false)
        guard let ours = Self.subprotocols.first(where: { offered.contains($0) }) else {
            throw HTTPRefusal(400, "the client does not offer the sub-protocol mqtt")
        }
        self.key = key
        subprotocol = ours
    }

    /// `mqttv3.1` is what clients of 3.1 offered before there was a standard.
    private static let subprotocols = ["mqtt", "mqttv3.1"]

    /// The value of Sec-WebSocket-Accept (RFC 6455, 4.2.2).
    var accept: String {
        Base64.encode(SHA1.digest(key + Array("258EAFA5-E914-47DA-95CA-C5AB0DC85B11".utf8)))
    }
}

// MARK: - The parts of a head

extension WebSocketRequest {
    /// The lines without their CRLF and without the empty one at the end; at least one.
    private static func lines(_ head: [UInt8]) throws(HTTPRefusal) -> [ArraySlice<UInt8>] {
        var lines: [ArraySlice<UInt8>] = []
        var start = 0
        var index = 0
        while index < head.count {
            switch head[index] {
            case 13 where index + 1 < head.count && head[index + 1] == 10:
                if index == start { return lines.isEmpty ? [[]] : lines }
                lines.append(head[start..<index])
                index += 2
                start = index
            case 9, 32...126, 128...255: index += 1
            default: throw HTTPRefusal(400, "a control character in the request's head")
            }
        }
        throw HTTPRefusal(400, "the request's head has no end")
    }

    private static func checkRequestLine(
        _ line: ArraySlice<UInt8>, _ rules: WebSocketRules
    ) throws(HTTPRefusal) {
        let parts = line.split(separator: 32, omittingEmptySubsequences: false)
        guard parts.count == 3, parts[2].starts(with: "HTTP/".utf8), let first = parts[1].first,
            first == UInt8(ascii: "/")
        else {
            throw HTTPRefusal(400, "this is no HTTP request")
        }
        guard parts[2].elementsEqual("HTTP/1.1".utf8) else {
            throw HTTPRefusal(505, "only HTTP/1.1 is spoken here")
        }
        guard parts[0].elementsEqual("GET".utf8) else {
            throw HTTPRefusal(405, "a WebSocket is opened by GET", fields: ["Allow: GET"])
        }
        if let path = rules.path {
            let asked = parts[1].prefix { $0 != UInt8(ascii: "?") }
            guard asked.elementsEqual(path.utf8) else {
                throw HTTPRefusal(404, "nothing is served at this path")
            }
        }
    }

    private static func fields(
        _ lines: [ArraySlice<UInt8>]
    ) throws(HTTPRefusal) -> HTTPFields {
        guard lines.count <= maximumFields else {
            throw HTTPRefusal(431, "more than \(maximumFields) header fields")
        }
        var fields = HTTPFields()
        for line in lines {
            guard fields.add(line: line) else {
                throw HTTPRefusal(400, "a line of the head is no header field")
            }
        }
        return fields
    }

    /// A request to open a WebSocket has no body, and what would be one is not taken for frames.
    private static func checkBody(_ fields: HTTPFields) throws(HTTPRefusal) {
        let length = fields.all("content-length")
        guard fields.all("transfer-encoding").isEmpty,
            length.isEmpty || length == [[UInt8(ascii: "0")]]
        else {
            throw HTTPRefusal(413, "a request that opens a WebSocket has no body")
        }
    }

    private static func checkOrigin(
        _ fields: HTTPFields, _ rules: WebSocketRules
    ) throws(HTTPRefusal) {
        let given = fields.all("origin")
        guard !rules.origins.isEmpty, !given.isEmpty else { return }
        let isWelcome =
            given.count == 1
            && rules.origins.contains { $0.utf8.elementsEqual(given[0].map(HTTPFields.lowered)) }
        guard isWelcome else {
            throw HTTPRefusal(403, "pages of this origin may not connect")
        }
    }
}
