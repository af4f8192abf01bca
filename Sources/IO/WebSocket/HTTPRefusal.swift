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
