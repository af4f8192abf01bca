import MQTT

/// The header by which a proxy says who its client is: PROXY protocol, version 2 (proxy-protocol.txt of
/// HAProxy, 2.2).
///
/// Says how many bytes it wants and takes no others, so that what follows stays in the socket, where TLS
/// reads it. Version 1, the one in text, is refused: it has no length, and would have to be read byte by byte.
public struct ProxyHeader: ~Copyable {
    /// The longest header; proxies put more into it than addresses (TLVs), which is skipped.
    public static let maximumSize = 4 * 1024

    /// Who is behind the proxy.
    public enum Source: Hashable, Sendable {
        /// Nobody: the proxy itself connects, to see whether the server lives, or does not say who it is.
        case local
        case client(SocketAddress)
    }

    private static let signature: [UInt8] = [
        0x0D, 0x0A, 0x0D, 0x0A, 0x00, 0x0D, 0x0A, 0x51, 0x55, 0x49, 0x54, 0x0A,
    ]
    /// Signature, command, family and length.
    private static let fixedSize = 16

    private var held: [UInt8] = []
    private var size = ProxyHeader.fixedSize
    private var fault: ProxyFault?

    public init() {}

    /// How many bytes are to be read next, at most; 0 when the source is known, or the header is refused.
    public var missing: Int { fault == nil ? size - held.count : 0 }

    /// Takes the next bytes, at most `missing`; `nil`: there are more to come. A header that was refused
    /// stays so.
    public mutating func take(_ bytes: Span<UInt8>) throws(ProxyFault) -> Source? {
        if let fault { throw fault }
        do throws(ProxyFault) {
            return try takeNext(bytes)
        } catch {
            fault = error
            throw error
        }
    }

    private mutating func takeNext(_ bytes: Span<UInt8>) throws(ProxyFault) -> Source? {
        precondition(bytes.count <= missing, "what follows the header is not the header's")
        for index in bytes.indices {
            held.append(bytes[index])
            if held.count <= Self.signature.count { try checkSignature() }
        }
        if held.count == Self.fixedSize && size == Self.fixedSize {
            size += Int(held[14]) << 8 | Int(held[15])
            try checkFixedPart()
        }
        return held.count == size ? source : nil
    }

    private func checkSignature() throws(ProxyFault) {
        let last = held.count - 1
        guard held[last] != Self.signature[last] else { return }
        let version1 = Array("PROXY ".utf8)
        guard held.count > 1 || held[0] != version1[0] else { return }
        throw held.starts(with: version1.prefix(held.count)) ? .version1 : .missing
    }

    private func checkFixedPart() throws(ProxyFault) {
        guard held[12] == 0x20 || held[12] == 0x21 else {
            throw ProxyFault("a version or a command that the PROXY protocol does not have")
        }
        guard size <= Self.maximumSize else {
            throw ProxyFault("a PROXY header above \(Self.maximumSize) bytes")
        }
        let isLocal = held[12] == 0x20
        guard isLocal || held[13] == 0 || held[13] & 0x0F == 1 else {
            throw ProxyFault("a PROXY header of a datagram")
        }
        guard isLocal || size - Self.fixedSize >= addressSize else {
            throw ProxyFault("a PROXY header that is too short for its addresses")
        }
    }

    /// Bytes that the addresses of the family take; those of an unknown one are skipped.
    private var addressSize: Int {
        switch held[13] >> 4 {
        case 1: 12
        case 2: 36
        case 3: 216
        default: 0
        }
    }

    private var source: Source {
        guard held[12] == 0x21 else { return .local }
        let start = Self.fixedSize
        switch held[13] >> 4 {
        case 1:
            return .client(
                .ipv4(UInt32(number(start, 4)), port: UInt16(number(start + 8, 2))))
        case 2:
            let bytes = IPv6Bytes(high: number(start, 8), low: number(start + 8, 8))
            return .client(.ipv6(bytes, port: UInt16(number(start + 32, 2)), scope: 0))
        default:
            return .local
        }
    }

    /// `count` bytes as one number, the first the highest.
    private func number(_ start: Int, _ count: Int) -> UInt64 {
        held[start..<start + count].reduce(0) { $0 << 8 | UInt64($1) }
    }
}

/// What is wrong with the beginning of a connection that should come from a proxy.
public struct ProxyFault: Error, Hashable, Sendable, CustomStringConvertible {
    public var description: String

    init(_ description: String) { self.description = description }

    static let missing = ProxyFault(
        "the connection does not begin with a header of the PROXY protocol; is there a proxy before "
            + "this listener that sends one?")
    static let version1 = ProxyFault(
        "the proxy sends version 1 of the PROXY protocol; version 2 is needed (send-proxy-v2)")
}
