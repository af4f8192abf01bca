/// Where a broker is: `mqtt://host`, `mqtts://user@host:8883`, `mqtt://[::1]:1883`.
///
/// The scheme decides on TLS and on the port when none is given: 1883 or 8883. A user name may stand
/// before the host, percent-encoded; a password may not, because URLs end up in process lists,
/// histories and logs.
public struct BrokerURL: Hashable, Sendable, CustomStringConvertible {
    /// A host name or a numeric address, an IPv6 one without brackets.
    public var host: String
    public var port: UInt16
    /// Whether the connection uses TLS.
    public var usesTLS: Bool
    public var user: String?

    public init(host: String, port: UInt16? = nil, usesTLS: Bool, user: String? = nil) {
        self.host = host
        self.port = port ?? Self.defaultPort(usesTLS: usesTLS)
        self.usesTLS = usesTLS
        self.user = user
    }

    /// Parses the text form; throws what is wrong and what to write instead.
    public init(_ text: String) throws(BrokerURLError) {
        guard let separator = text.range(ofFirst: "://") else {
            throw BrokerURLError("the broker's URL has no scheme", "write mqtt:// or mqtts://")
        }
        let usesTLS = try Self.usesTLS(scheme: text[..<separator.lowerBound].lowercased())
        var rest = text[separator.upperBound...]
        if rest.last == "/" { rest = rest.dropLast() }
        guard !rest.contains(where: { "/?# ".contains($0) }) else {
            throw BrokerURLError(
                "the broker's URL has something behind host and port",
                "write only scheme, user, host and port")
        }
        var user: String?
        if let at = rest.lastIndex(of: "@") {
            user = try Self.user(rest[..<at])
            rest = rest[rest.index(after: at)...]
        }
        let (host, port) = try Self.hostAndPort(rest)
        self.init(host: host, port: port, usesTLS: usesTLS, user: user)
    }

    /// As `init(_:)` takes it, without a port that the scheme implies.
    public var description: String {
        let name = user.map { Self.percentEncoded($0) + "@" } ?? ""
        let address = host.contains(":") ? "[\(host)]" : host
        let suffix = port == Self.defaultPort(usesTLS: usesTLS) ? "" : ":\(port)"
        return scheme + "://" + name + address + suffix
    }

    /// `mqtt` or `mqtts`.
    public var scheme: String { usesTLS ? "mqtts" : "mqtt" }

    /// The same with `user`, as a hint shows it.
    public func naming(user: String) -> String {
        var url = self
        url.user = user
        return url.description
    }

    private static func defaultPort(usesTLS: Bool) -> UInt16 { usesTLS ? 8883 : 1883 }

    private static func usesTLS(scheme: String) throws(BrokerURLError) -> Bool {
        switch scheme {
        case "mqtt": return false
        case "mqtts": return true
        case "tcp": throw unknown(scheme, "write mqtt://")
        case "ssl", "tls": throw unknown(scheme, "write mqtts://")
        default: throw unknown(scheme, "write mqtt:// or mqtts://")
        }
    }

    private static func unknown(_ scheme: String, _ hint: String) -> BrokerURLError {
        BrokerURLError("the broker's URL has the unknown scheme \(scheme)", hint)
    }

    private static func user(_ text: Substring) throws(BrokerURLError) -> String {
        // The password itself must not reach an error text.
        guard !text.contains(":") else {
            throw BrokerURLError(
                "the broker's URL holds a password, which others could read",
                "put it into a file, and name that with password_file or --password-file")
        }
        guard let user = percentDecoded(text), !user.isEmpty else {
            throw BrokerURLError(
                "the user name in the broker's URL is empty or not well encoded",
                "write special characters as %40 for @")
        }
        return user
    }

    private static func hostAndPort(
        _ text: Substring
    ) throws(BrokerURLError) -> (String, UInt16?) {
        var host = text
        var port: Substring?
        if text.first == "[" {
            guard let end = text.firstIndex(of: "]") else {
                throw BrokerURLError("an IPv6 address lacks its ]", "write [::1]")
            }
            host = text[text.index(after: text.startIndex)..<end]
            let rest = text[text.index(after: end)...]
            guard rest.isEmpty || rest.first == ":" else {
                throw BrokerURLError(
                    "the broker's URL has something between ] and the port", "write [::1]:1883")
            }
            port = rest.isEmpty ? nil : rest.dropFirst()
        } else if let colon = text.lastIndex(of: ":") {
            host = text[..<colon]
            port = text[text.index(after: colon)...]
            guard !host.contains(":") else {
                throw BrokerURLError(
                    "an IPv6 address stands without brackets", "write mqtt://[\(text)]")
            }
        }
        guard !host.isEmpty else {
            throw BrokerURLError("the broker's URL has no host", "write mqtt://HOST")
        }
        guard let port else { return (String(host), nil) }
        guard port.utf8.allSatisfy({ (48...57).contains($0) }), let number = UInt16(port),
            number > 0
        else {
            throw BrokerURLError("\(port) is no port", "write a number from 1 to 65535")
        }
        return (String(host), number)
    }

    private static func percentDecoded(_ text: Substring) -> String? {
        var bytes: [UInt8] = []
        var rest = text.utf8[...]
        while let byte = rest.popFirst() {
            guard byte == UInt8(ascii: "%") else {
                bytes.append(byte)
                continue
            }
            guard rest.count >= 2, let value = UInt8(String(rest.prefix(2)) ?? "", radix: 16)
            else { return nil }
            bytes.append(value)
            rest = rest.dropFirst(2)
        }
        return String(validating: bytes, as: UTF8.self)
    }

    private static func percentEncoded(_ text: String) -> String {
        var encoded = ""
        for byte in text.utf8 {
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "."),
                UInt8(ascii: "_"), UInt8(ascii: "~"):
                encoded.unicodeScalars.append(Unicode.Scalar(byte))
            default:
                let digits = String(byte, radix: 16, uppercase: true)
                encoded += "%" + (digits.count == 1 ? "0" : "") + digits
            }
        }
        return encoded
    }
}

/// Why a text is no broker's URL, and what to write instead.
public struct BrokerURLError: Error, Hashable, Sendable, CustomStringConvertible {
    public let problem: String
    public let hint: String

    init(_ problem: String, _ hint: String) {
        self.problem = problem
        self.hint = hint
    }

    public var description: String { "\(problem); \(hint)" }
}

extension String {
    /// Where `text` first occurs.
    fileprivate func range(ofFirst text: String) -> Range<String.Index>? {
        var start = startIndex
        while start < endIndex {
            if self[start...].hasPrefix(text) { return start..<index(start, offsetBy: text.count) }
            start = index(after: start)
        }
        return nil
    }
}
