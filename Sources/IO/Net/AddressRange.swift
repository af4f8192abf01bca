/// Addresses that begin with the same bits: `10.0.0.0/8`, `fd00::/8`, or a single address.
public struct AddressRange: Hashable, Sendable, CustomStringConvertible {
    private var first: SocketAddress
    private var bits: Int

    /// `nil` for anything else than a numeric address, alone or with the number of its leading bits.
    public init?(_ text: String) {
        let parts = text.split(separator: "/", omittingEmptySubsequences: false)
        guard parts.count <= 2,
            let address = SocketAddress(numericHost: String(parts[0]), port: 0)
        else { return nil }
        let width =
            switch address {
            case .ipv4: 32
            case .ipv6: 128
            case .unix: 0
            }
        first = address
        bits = width
        if parts.count == 2 {
            guard let number = Int(parts[1]), (0...width).contains(number),
                parts[1].utf8.allSatisfy({ (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) })
            else { return nil }
            bits = number
        }
    }

    /// Whether `address` is one of them. An IPv4 address mapped into IPv6 counts as the IPv4 one.
    public func contains(_ address: SocketAddress) -> Bool {
        switch (first, address.unmapped) {
        case (.ipv4(let mine, _), .ipv4(let other, _)):
            return bits == 0 || (mine ^ other) >> UInt32(32 - bits) == 0
        case (.ipv6(let mine, _, _), .ipv6(let other, _, _)):
            let high = mine.high ^ other.high
            let low = mine.low ^ other.low
            if bits <= 64 { return bits == 0 || high >> UInt64(64 - bits) == 0 }
            return high == 0 && low >> UInt64(128 - bits) == 0
        default: return false
        }
    }

    public var description: String { "\(first.host)/\(bits)" }
}

extension SocketAddress {
    /// The IPv4 address that is mapped into this IPv6 one (RFC 4291, 2.5.5.2); itself, if none is.
    public var unmapped: SocketAddress {
        guard case .ipv6(let bytes, let port, _) = self, bytes.high == 0,
            bytes.low >> 32 == 0xFFFF
        else { return self }
        return .ipv4(UInt32(truncatingIfNeeded: bytes.low), port: port)
    }

    /// Whom an address stands for when connections are counted: an IPv4 address, the 64 bits of an IPv6
    /// network, which one host has to itself; without port.
    public var network: SocketAddress {
        switch unmapped {
        case .ipv6(let bytes, _, _):
            .ipv6(IPv6Bytes(high: bytes.high, low: 0), port: 0, scope: 0)
        case let address: address.withPort(0)
        }
    }
}
