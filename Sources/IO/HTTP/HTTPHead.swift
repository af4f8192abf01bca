/// The grammar of a request's head, RFC 9112, 3 and 5.
enum HTTPHead {
    /// - Parameter lines: at least one, without line ends.
    static func read(_ lines: [[UInt8]], limits: HTTPLimits) throws(HTTPFault) -> HTTPRequest {
        var request = try readRequestLine(lines[0], limits)
        var hosts = 0
        var length: [UInt8]?
        var wantsClose = false
        var wantsMore = false
        for line in lines.dropFirst() {
            let (name, value) = try readField(line)
            switch name {
            case "host": hosts += 1
            case "content-length":
                // Two that differ are how one request is made to look like two.
                if let length, length != value { throw malformed("Content-Length differs") }
                length = value
            case "transfer-encoding":
                throw HTTPFault(status: .notImplemented, detail: "requests have no content here")
            case "connection":
                for option in Self.options(value) {
                    if option == "close" { wantsClose = true }
                    if option == "keep-alive" { wantsMore = true }
                }
            default: break
            }
        }
        try checkLength(length)
        // RFC 9112, 3.2
        guard request.isVersion10 ? hosts <= 1 : hosts == 1 else {
            throw malformed("one Host field is needed")
        }
        request.keepsAlive = !wantsClose && (!request.isVersion10 || wantsMore)
        return request
    }

    private static func malformed(_ detail: String) -> HTTPFault {
        HTTPFault(status: .badRequest, detail: detail)
    }

    private static func checkLength(_ length: [UInt8]?) throws(HTTPFault) {
        guard let length else { return }
        guard !length.isEmpty, length.allSatisfy({ (0x30...0x39).contains($0) }) else {
            throw malformed("Content-Length is no number")
        }
        guard length.allSatisfy({ $0 == 0x30 }) else {
            throw HTTPFault(status: .contentTooLarge, detail: "requests have no content here")
        }
    }

    /// `GET /metrics HTTP/1.1`
    private static func readRequestLine(
        _ line: [UInt8], _ limits: HTTPLimits
    ) throws(HTTPFault) -> HTTPRequest {
        let parts = line.split(separator: 0x20, omittingEmptySubsequences: false)
        guard parts.count == 3, isToken(parts[0]) else { throw malformed("no request line") }
        let version = String(decoding: parts[2], as: UTF8.self)
        guard version == "HTTP/1.1" || version == "HTTP/1.0" else {
            guard parts[2].starts(with: Array("HTTP/".utf8)) else {
                throw malformed("no request line")
            }
            throw HTTPFault(status: .versionNotSupported, detail: "HTTP/1.1 is spoken here")
        }
        guard parts[1].count <= limits.targetBytes else {
            throw HTTPFault(status: .targetTooLong, detail: "the request's target is too long")
        }
        guard let method = HTTPRequest.Method(rawValue: String(decoding: parts[0], as: UTF8.self))
        else {
            throw HTTPFault(status: .methodNotAllowed, detail: "only GET and HEAD are taken")
        }
        let (path, query) = try readTarget(parts[1])
        return HTTPRequest(
            method: method, path: path, query: query, isVersion10: version == "HTTP/1.0")
    }

    /// `/path?query`, or the same behind a scheme and an authority, which a server must take as well.
    private static func readTarget(
        _ target: ArraySlice<UInt8>
    ) throws(HTTPFault) -> (path: String, query: String) {
        guard target.allSatisfy({ (0x21...0x7E).contains($0) }) else {
            throw malformed("a target is written in visible ASCII")
        }
        var text = Substring(String(decoding: target, as: UTF8.self))
        if let authority = ["http://", "https://"].first(where: { text.lowercased().hasPrefix($0) })
        {
            let rest = text.dropFirst(authority.count)
            text = rest.firstIndex(where: { $0 == "/" || $0 == "?" }).map { rest[$0...] } ?? ""
            if !text.hasPrefix("/") { text = "/" + text }
        }
        guard text.hasPrefix("/") else { throw malformed("a target begins with /") }
        text = text.prefix { $0 != "#" }
        guard let mark = text.firstIndex(of: "?") else { return (String(text), "") }
        return (String(text[..<mark]), String(text[text.index(after: mark)...]))
    }

    /// A field's name in lower case and its value without the white space around it.
    private static func readField(
        _ line: [UInt8]
    ) throws(HTTPFault) -> (name: String, value: [UInt8]) {
        // A line that begins with white space would go on with the one before: obsolete, and a trap.
        guard let colon = line.firstIndex(of: 0x3A), isToken(line[..<colon]) else {
            throw malformed("a field is written Name: value")
        }
        let value = line[(colon + 1)...]
        guard value.allSatisfy({ $0 == 0x09 || $0 >= 0x20 && $0 != 0x7F }) else {
            throw malformed("a field holds no control characters")
        }
        func isBlank(_ byte: UInt8) -> Bool { byte == 0x20 || byte == 0x09 }
        var trimmed = value.drop(while: isBlank)
        while let last = trimmed.last, isBlank(last) { trimmed.removeLast() }
        return (String(decoding: line[..<colon], as: UTF8.self).lowercased(), Array(trimmed))
    }

    /// The comma-separated words of a field, in lower case.
    private static func options(_ value: [UInt8]) -> [String] {
        value.split(separator: 0x2C).map { word in
            let text = String(decoding: word, as: UTF8.self).lowercased()
            return String(text.filter { $0 != " " && $0 != "\t" })
        }
    }

    /// RFC 9110, 5.6.2
    private static func isToken(_ bytes: ArraySlice<UInt8>) -> Bool {
        !bytes.isEmpty
            && bytes.allSatisfy { byte in
                switch byte {
                case 0x30...0x39, 0x41...0x5A, 0x61...0x7A: true
                default: "!#$%&'*+-.^_`|~".utf8.contains(byte)
                }
            }
    }
}
