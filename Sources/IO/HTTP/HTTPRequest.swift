/// A request as far as a server of small documents looks at it, RFC 9110.
public struct HTTPRequest: Hashable, Sendable {
    public enum Method: String, Hashable, Sendable {
        case get = "GET"
        case head = "HEAD"
    }

    public var method: Method
    /// The target's path as it was sent: `/metrics`. Escapes such as `%20` are left alone.
    public var path: String
    /// What followed the `?`, without it; empty where nothing did.
    public var query: String
    /// Whether the connection is to go on behind the answer.
    public var keepsAlive: Bool
    /// A client of HTTP/1.0, which is told that the connection goes on.
    public var isVersion10: Bool

    public init(
        method: Method = .get, path: String, query: String = "", keepsAlive: Bool = true,
        isVersion10: Bool = false
    ) {
        self.method = method
        self.path = path
        self.query = query
        self.keepsAlive = keepsAlive
        self.isVersion10 = isVersion10
    }
}

/// A status code, RFC 9110, 15.
public struct HTTPStatus: Hashable, Sendable, CustomStringConvertible {
    public var code: Int
    public var phrase: String

    public static let ok = HTTPStatus(code: 200, phrase: "OK")
    public static let badRequest = HTTPStatus(code: 400, phrase: "Bad Request")
    public static let notFound = HTTPStatus(code: 404, phrase: "Not Found")
    public static let methodNotAllowed = HTTPStatus(code: 405, phrase: "Method Not Allowed")
    public static let requestTimeout = HTTPStatus(code: 408, phrase: "Request Timeout")
    public static let contentTooLarge = HTTPStatus(code: 413, phrase: "Content Too Large")
    public static let targetTooLong = HTTPStatus(code: 414, phrase: "URI Too Long")
    public static let headTooLarge = HTTPStatus(
        code: 431, phrase: "Request Header Fields Too Large")
    public static let notImplemented = HTTPStatus(code: 501, phrase: "Not Implemented")
    public static let serviceUnavailable = HTTPStatus(code: 503, phrase: "Service Unavailable")
    public static let versionNotSupported = HTTPStatus(
        code: 505, phrase: "HTTP Version Not Supported")

    /// The status line's end: `404 Not Found`.
    public var description: String { "\(code) \(phrase)" }
}

/// Bytes that are no request that this server takes; the answer, after which the connection ends.
public struct HTTPFault: Error, Hashable, Sendable {
    public var status: HTTPStatus
    /// For the answer's body; a sentence without its full stop.
    public var detail: String
}
