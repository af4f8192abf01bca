import Testing

@testable import IO

@Suite struct ProxyHeaderTests {
    static let signature: [UInt8] = [13, 10, 13, 10, 0, 13, 10] + bytes("QUIT\n")

    /// A header from its command, family, addresses and TLVs.
    static func header(_ command: UInt8, _ family: UInt8, _ rest: [UInt8]) -> [UInt8] {
        signature + [command, family, UInt8(rest.count >> 8), UInt8(rest.count & 255)] + rest
    }

    static let ipv4: [UInt8] = [192, 0, 2, 7, 203, 0, 113, 1, 0xD4, 0x31, 0x07, 0x5B]
    static let ipv6: [UInt8] =
        [0x20, 1, 0xd, 0xb8] + [UInt8](repeating: 0, count: 11) + [9]
        + [UInt8](repeating: 1, count: 16) + [0x12, 0x34, 0x07, 0x5B]

    /// Reads as a shell does: at most what is missing, in pieces of `size`. What is left comes back too.
    static func read(
        _ stream: [UInt8], pieces size: Int
    ) throws -> (source: ProxyHeader.Source?, rest: ArraySlice<UInt8>) {
        var header = ProxyHeader()
        var rest = stream[...]
        while !rest.isEmpty {
            let piece = rest.prefix(min(size, header.missing))
            rest = rest.dropFirst(piece.count)
            if let source = try header.take(Array(piece).span) { return (source, rest) }
        }
        return (nil, rest)
    }

    @Test(arguments: [1, 3, 16, 5_000])
    func `the client's address is the source, and what follows is not touched`(
        pieces: Int
    ) throws {
        let tlv: [UInt8] = [0x03, 0, 4, 1, 2, 3, 4]
        for (stream, text) in [
            (Self.header(0x21, 0x11, Self.ipv4), "192.0.2.7:54321"),
            (Self.header(0x21, 0x11, Self.ipv4 + tlv), "192.0.2.7:54321"),
            (Self.header(0x21, 0x21, Self.ipv6 + tlv), "[2001:db8::9]:4660"),
        ] {
            let (source, rest) = try Self.read(stream + bytes("\u{10}rest"), pieces: pieces)
            #expect(source == .client(try #require(SocketAddress(text))))
            #expect(Array(rest) == bytes("\u{10}rest"))
        }
    }

    @Test(arguments: [1, 5_000])
    func `a proxy's own connection, an unknown family and a Unix socket name nobody`(
        pieces: Int
    ) throws {
        let path = [UInt8](repeating: 65, count: 216)
        for stream in [
            Self.header(0x20, 0x00, []), Self.header(0x20, 0x11, Self.ipv4),
            Self.header(0x21, 0x00, []), Self.header(0x21, 0x00, [1, 2, 3]),
            Self.header(0x21, 0x31, path),
        ] {
            let (source, rest) = try Self.read(stream + [7], pieces: pieces)
            #expect(source == .local)
            #expect(Array(rest) == [7])
        }
    }

    @Test(arguments: [1, 7, 5_000])
    func `a malformed header is refused with the reason, as soon as its bytes show it`(
        pieces: Int
    ) throws {
        let tooLong = Self.signature + [0x21, 0x11, 0x0F, 0xF1]
        for (stream, word) in [
            (bytes("PROXY TCP4 192.0.2.7 192.0.2.8 1 2\r\n"), "version 1"),
            ([0x10, 0x0D, 0, 4] + bytes("MQTT"), "does not begin"),
            (bytes("P-something else"), "does not begin"),
            (bytes("GET / HTTP/1.1\r\n\r\n"), "does not begin"),
            (Self.header(0x11, 0x11, Self.ipv4), "version or a command"),
            (Self.header(0x22, 0x11, Self.ipv4), "version or a command"),
            (Self.header(0x21, 0x12, Self.ipv4), "datagram"),
            (Self.header(0x21, 0x11, [1, 2, 3]), "too short"),
            (Self.header(0x21, 0x21, Self.ipv4), "too short"),
            (tooLong, "above 4096"),
        ] {
            let fault = #expect(throws: ProxyFault.self) {
                _ = try Self.read(stream, pieces: pieces)
            }
            #expect(
                fault?.description.contains(word) == true, "\(word): \(String(describing: fault))")
        }
    }

    @Test func `what comes behind a refused header is refused too`() throws {
        var header = ProxyHeader()
        let tooShort = Self.signature + [0x21, 0x11, 0, 1]
        _ = #expect(throws: ProxyFault.self) { _ = try header.take(tooShort.span) }
        let missing = header.missing
        #expect(missing == 0)
        _ = #expect(throws: ProxyFault.self) { _ = try header.take([1, 2, 3].span) }
    }

    @Test func `a header cut at any byte is waited for`() throws {
        let stream = Self.header(0x21, 0x11, Self.ipv4 + [4, 0, 1, 9])
        for length in 0..<stream.count {
            let (source, _) = try Self.read(Array(stream[..<length]), pieces: 4)
            #expect(source == nil)
        }
    }

    @Test func `ranges hold the addresses that begin with their bits`() throws {
        func holds(_ range: String, _ host: String) throws -> Bool {
            try #require(AddressRange(range)).contains(
                try #require(SocketAddress(numericHost: host, port: 9)))
        }
        #expect(try holds("127.0.0.1/8", "127.9.9.9"))
        #expect(try !holds("127.0.0.1/8", "128.0.0.1"))
        #expect(try holds("192.0.2.7", "192.0.2.7"))
        #expect(try !holds("192.0.2.7", "192.0.2.8"))
        #expect(try holds("0.0.0.0/0", "8.8.8.8"))
        #expect(try !holds("0.0.0.0/0", "::1"))
        #expect(try holds("fd00::/8", "fdff::1"))
        #expect(try !holds("fd00::/8", "fe80::1"))
        #expect(try holds("2001:db8::/65", "2001:db8::7fff:0:0:1"))
        #expect(try !holds("2001:db8::/65", "2001:db8::8000:0:0:1"))
        #expect(try holds("10.0.0.0/8", "::ffff:10.1.2.3"))
        for text in ["", "10.0.0.0/", "10.0.0.0/33", "::/129", "10.0.0.0/-1", "10.0.0.0/+8", "a/8"]
        {
            #expect(AddressRange(text) == nil, "\(text)")
        }
    }

    @Test func `an IPv6 host is counted by its network and an IPv4 host by itself`() throws {
        func network(_ text: String) throws -> SocketAddress {
            try #require(SocketAddress(text)).network
        }
        #expect(try network("[2001:db8::1]:5") == network("[2001:db8::2:3]:6"))
        #expect(try network("[2001:db8::1]:5") != network("[2001:db8:0:1::1]:5"))
        #expect(try network("192.0.2.1:5") == network("[::ffff:192.0.2.1]:6"))
        #expect(try network("192.0.2.1:5") != network("192.0.2.2:5"))
    }
}
