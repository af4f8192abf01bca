/// The header fields of one request (RFC 9110, 5), by their names in lower case.
struct HTTPFields {
    private var entries: [(name: [UInt8], value: [UInt8])] = []

    mutating func add(_ name: ArraySlice<UInt8>, _ value: ArraySlice<UInt8>) {
        entries.append((name.map(Self.lowered), Array(Self.trimmed(value))))
    }

    /// All values of a field, as they came.
    func all(_ name: String) -> [[UInt8]] {
        entries.filter { $0.name.elementsEqual(name.utf8) }.map(\.value)
    }

    /// The value of a field that must stand there once and not be empty.
    func one(_ name: String) -> [UInt8]? {
        let values = all(name)
        return values.count == 1 && !values[0].isEmpty ? values[0] : nil
    }

    /// The elements of a comma-separated field, over all its lines; in lower case unless told otherwise.
    func list(_ name: String, folding: Bool = true) -> [String] {
        all(name).flatMap { $0.split(separator: UInt8(ascii: ",")) }.map { element in
            let text = Self.trimmed(element)
            return String(decoding: folding ? text.map(Self.lowered) : Array(text), as: UTF8.self)
        }
    }

    static func lowered(_ byte: UInt8) -> UInt8 {
        (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains(byte) ? byte | 0x20 : byte
    }

    /// `tchar` of RFC 9110, 5.6.2.
    static func isTokenByte(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"):
            true
        default: "!#$%&'*+-.^_`|~".utf8.contains(byte)
        }
    }

    private static func trimmed(_ text: ArraySlice<UInt8>) -> ArraySlice<UInt8> {
        let isSpace: (UInt8) -> Bool = { $0 == 32 || $0 == 9 }
        let front = text.drop(while: isSpace)
        guard let last = front.lastIndex(where: { !isSpace($0) }) else { return [] }
        return front[...last]
    }
}

/// A request that is not served: the answer, and why.
struct HTTPRefusal: Error, Equatable {
    var status: Int
    /// One sentence, for the client and for the log; nothing that the client sent.
    var reason: String
    /// Header fields that the status asks for.
    var fields: [String] = []

    init(_ status: Int, _ reason: String, fields: [String] = []) {
        self.status = status
        self.reason = reason
        self.fields = fields
    }

    /// 426 with what must be asked for (RFC 6455, 4.4).
    static func upgradeRequired(_ reason: String) -> HTTPRefusal {
        HTTPRefusal(
            426, reason,
            fields: ["Upgrade: websocket", "Sec-WebSocket-Version: 13"])
    }

    /// The whole answer. The connection ends with it.
    var response: String {
        var lines = ["HTTP/1.1 \(status) \(phrase)"]
        lines += fields
        lines += [
            "Content-Type: text/plain", "Content-Length: \(reason.utf8.count + 1)",
            status == 426 ? "Connection: close, Upgrade" : "Connection: close",
        ]
        return lines.joined(separator: "\r\n") + "\r\n\r\n" + reason + "\n"
    }

    private var phrase: String {
        switch status {
        case 400: "Bad Request"
        case 403: "Forbidden"
        case 404: "Not Found"
        case 405: "Method Not Allowed"
        case 408: "Request Timeout"
        case 413: "Content Too Large"
        case 426: "Upgrade Required"
        case 431: "Request Header Fields Too Large"
        default: "HTTP Version Not Supported"
        }
    }
}
