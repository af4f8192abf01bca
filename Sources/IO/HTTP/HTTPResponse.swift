import MQTT

/// An answer: a status and a body.
public struct HTTPResponse: Sendable {
    public var status: HTTPStatus
    public var contentType: String
    /// Further fields, each whole: `Allow: GET, HEAD`.
    public var fields: [String]
    public var body: [UInt8]

    public init(
        _ status: HTTPStatus, contentType: String = "text/plain; charset=utf-8",
        fields: [String] = [], body: [UInt8]
    ) {
        self.status = status
        self.contentType = contentType
        self.fields = fields
        self.body = body
    }

    /// A line of text.
    public init(_ status: HTTPStatus, _ text: String) {
        self.init(status, body: Array((text + "\n").utf8))
    }

    init(_ fault: HTTPFault) {
        self.init(fault.status, fault.detail)
        if fault.status == .methodNotAllowed { fields = ["Allow: GET, HEAD"] }
    }

    /// Appends the answer as it is sent; to HEAD, the body stays away and its length does not.
    func encode(
        to request: HTTPRequest?, closes: Bool, unixSeconds: Int64, into output: inout ByteBuffer
    ) {
        var head = "HTTP/1.1 \(status)\r\n"
        head += "Date: \(HTTPDate.text(unixSeconds: unixSeconds))\r\n"
        head += "Content-Type: \(contentType)\r\nContent-Length: \(body.count)\r\n"
        head += "Cache-Control: no-store\r\n"
        for field in fields { head += field + "\r\n" }
        if closes {
            head += "Connection: close\r\n"
        } else if request?.isVersion10 == true {
            head += "Connection: keep-alive\r\n"
        }
        output.append(Array((head + "\r\n").utf8))
        if request?.method != .head { output.append(body) }
    }
}

/// Dates of HTTP, RFC 9110, 5.6.7: `Sun, 06 Nov 1994 08:49:37 GMT`.
enum HTTPDate {
    private static let weekdays = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"]
    private static let months = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ]

    static func text(unixSeconds: Int64) -> String {
        let seconds = max(0, unixSeconds)
        let days = Int(seconds / 86_400)
        let time = Int(seconds % 86_400)
        var year = 1970
        var rest = days
        while rest >= length(ofYear: year) {
            rest -= length(ofYear: year)
            year += 1
        }
        var month = 0
        while rest >= length(ofMonth: month, year) {
            rest -= length(ofMonth: month, year)
            month += 1
        }
        let clock = [time / 3600, time / 60 % 60, time % 60].map(twoDigits).joined(separator: ":")
        return "\(weekdays[days % 7]), \(twoDigits(rest + 1)) \(months[month]) \(year) \(clock) GMT"
    }

    private static func twoDigits(_ number: Int) -> String {
        number < 10 ? "0\(number)" : "\(number)"
    }

    private static func isLeap(_ year: Int) -> Bool {
        year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
    }

    private static func length(ofYear year: Int) -> Int { isLeap(year) ? 366 : 365 }

    private static func length(ofMonth month: Int, _ year: Int) -> Int {
        switch month {
        case 1: isLeap(year) ? 29 : 28
        case 3, 5, 8, 10: 30
        default: 31
        }
    }
}
