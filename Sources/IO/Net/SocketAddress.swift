/// An address that a stream socket can have: IPv4, IPv6 or a path.
public enum SocketAddress: Hashable, Sendable, CustomStringConvertible {
    /// The address as a number (127.0.0.1 is 0x7F00_0001), and the port.
    case ipv4(UInt32, port: UInt16)
    /// The address as sixteen bytes in network order, the port, and the interface of a link-local one.
    case ipv6(IPv6Bytes, port: UInt16, scope: UInt32)
    /// The path of a Unix socket, unix(7): at most `maximumPathLength` bytes.
    case unix(String)

    /// What fits into `sun_path` with its terminating zero.
    public static let maximumPathLength = 107

    /// 127.0.0.1.
    public static func loopbackIPv4(port: UInt16) -> SocketAddress {
        .ipv4(0x7F00_0001, port: port)
    }

    /// ::1.
    public static func loopbackIPv6(port: UInt16) -> SocketAddress {
        .ipv6(IPv6Bytes(high: 0, low: 1), port: port, scope: 0)
    }

    /// A numeric address and a port: `127.0.0.1`, `::1`, `fe80::1%eth0`; `nil` for anything else.
    public init?(numericHost host: String, port: UInt16) {
        guard let address = Syscalls.parseNumericAddress(host, port: port) else { return nil }
        self = address
    }

    /// `127.0.0.1:1883`, `[::1]:1883`, `unix:/run/fleet/broker.sock` or only the path; `nil` for anything else.
    public init?(_ text: String) {
        let text = text.starts(with: "unix:/") ? String(text.dropFirst(5)) : text
        if text.first == "/" {
            guard text.utf8.count <= Self.maximumPathLength else { return nil }
            self = .unix(text)
            return
        }
        guard let colon = text.lastIndex(of: ":"),
            let port = UInt16(text[text.index(after: colon)...])
        else { return nil }
        var host = text[..<colon]
        if host.first == "[" && host.last == "]" {
            host = host.dropFirst().dropLast()
            guard host.contains(":") else { return nil }
        } else if host.contains(":") {
            return nil
        }
        self.init(numericHost: String(host), port: port)
    }

    /// The port; `nil` for a path.
    public var port: UInt16? {
        switch self {
        case .ipv4(_, let port), .ipv6(_, let port, _): port
        case .unix: nil
        }
    }

    /// The same address with another port; a path stays as it is.
    public func withPort(_ port: UInt16) -> SocketAddress {
        switch self {
        case .ipv4(let address, _): .ipv4(address, port: port)
        case .ipv6(let address, _, let scope): .ipv6(address, port: port, scope: scope)
        case .unix: self
        }
    }

    /// 127.0.0.0/8, ::1, either one mapped into IPv6, or a Unix socket: a peer on this machine.
    public var isLoopback: Bool {
        switch self {
        case .ipv4(let address, _): address >> 24 == 127
        case .ipv6(let bytes, _, _):
            bytes == IPv6Bytes(high: 0, low: 1)
                || bytes.high == 0 && bytes.low >> 24 == 0xFFFF_7F
        case .unix: true
        }
    }

    /// As `init(_ text:)` takes it.
    public var description: String {
        switch self {
        case .ipv4(_, let port): "\(host):\(port)"
        case .ipv6(_, let port, _): "[\(host)]:\(port)"
        case .unix(let path): path
        }
    }

    /// The address without port and brackets; the path of a Unix socket.
    public var host: String {
        switch self {
        case .ipv4(let address, _):
            "\(address >> 24).\(address >> 16 & 255).\(address >> 8 & 255).\(address & 255)"
        case .ipv6: Syscalls.numericHost(of: self)
        case .unix(let path): path
        }
    }
}

/// The sixteen bytes of an IPv6 address, in network order.
public struct IPv6Bytes: Hashable, Sendable {
    /// Bytes 0 to 7, the first as the most significant.
    public var high: UInt64
    /// Bytes 8 to 15.
    public var low: UInt64

    public init(high: UInt64, low: UInt64) {
        self.high = high
        self.low = low
    }
}
