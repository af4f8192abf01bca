/// The grammar of a request's head, RFC 9112, 3 and 5.
enum HTTPHead {
    /// - Parameter lines: at least one, without line ends.
    static func read(_ lines: [[UInt8]], limits: HTTPLimits) throws(HTTPFault) -> HTTPRequest {
        var request = try readRequestLine(lines[0], limits)
        var fields = HTTPFields()
        for line in lines.dropFirst() {
            guard fields.add(line: line[...]) else {
                throw malformed("a field is written Name: value, without control characters")
            }
        }
        guard fields.all("transfer-encoding").isEmpty else {
            throw HTTPFault(status: .notImplemented, detail: "requests have no content here")
        }
        try checkLength(fields.all("content-length"))
        // RFC 9112, 3.2
        let hosts = fields.all("host").count
        guard request.isVersion10 ? hosts <= 1 : hosts == 1 else {
            throw malformed("one Host field is needed")
        }
        let options = fields.list("connection")
        let wantsMore = options.contains("keep-alive")
        let wantsClose = options.contains("close")
        request.keepsAlive = !wantsClose && (!request.isVersion10 || wantsMore)
        return request
    }

    private static func malformed(_ detail: String) -> HTTPFault {
        HTTPFault(status: .badRequest, detail: detail)
    }

    private static func checkLength(_ values: [[UInt8]]) throws(HTTPFault) {
        guard let length = values.first else { return }
        // Two that differ are how one request is made to look like two.
        guard values.allSatisfy({ $0 == length }) else { throw malformed("Content-Length differs") }
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
        guard parts.count == 3, HTTPFields.isToken(parts[0]) else {
            throw malformed("no request line")
        }
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
}
