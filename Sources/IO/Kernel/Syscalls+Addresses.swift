import Glibc

extension Syscalls {
    /// Lends `address` as the kernel wants it, for the time of `body`.
    static func withSocketAddress<Result>(
        _ address: SocketAddress, _ body: (UnsafePointer<sockaddr>, socklen_t) -> Result
    ) -> Result {
        switch address {
        case .ipv4(let number, let port):
            var raw = sockaddr_in()
            raw.sin_family = sa_family_t(AF_INET)
            raw.sin_port = port.bigEndian
            raw.sin_addr.s_addr = number.bigEndian
            return unsafe lend(&raw, MemoryLayout<sockaddr_in>.size, body)
        case .ipv6(let bytes, let port, let scope):
            var raw = sockaddr_in6()
            raw.sin6_family = sa_family_t(AF_INET6)
            raw.sin6_port = port.bigEndian
            raw.sin6_scope_id = scope
            // SAFETY: in6_addr is sixteen bytes of plain memory, as the two numbers are.
            unsafe withUnsafeMutableBytes(of: &raw.sin6_addr) { target in
                unsafe target.storeBytes(of: bytes.high.bigEndian, as: UInt64.self)
                unsafe target.storeBytes(
                    of: bytes.low.bigEndian, toByteOffset: 8, as: UInt64.self)
            }
            return unsafe lend(&raw, MemoryLayout<sockaddr_in6>.size, body)
        case .unix(let path):
            var raw = sockaddr_un()
            raw.sun_family = sa_family_t(AF_UNIX)
            precondition(path.utf8.count <= SocketAddress.maximumPathLength)
            // SAFETY: the path and its zero fit, as just checked; the struct starts zeroed.
            unsafe withUnsafeMutableBytes(of: &raw.sun_path) { target in
                unsafe target.copyBytes(from: path.utf8)
            }
            return unsafe lend(&raw, MemoryLayout<sockaddr_un>.size, body)
        }
    }

    private static func lend<Raw, Result>(
        _ raw: inout Raw, _ size: Int, _ body: (UnsafePointer<sockaddr>, socklen_t) -> Result
    ) -> Result {
        // SAFETY: every sockaddr_* begins like sockaddr, and is lent for the call only.
        unsafe withUnsafePointer(to: &raw) { pointer in
            unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                unsafe body($0, socklen_t(size))
            }
        }
    }

    /// Lets `fill` write an address, as accept(2) and getsockname(2) do, and reads it.
    static func readSocketAddress(
        _ fill: (UnsafeMutablePointer<sockaddr>, UnsafeMutablePointer<socklen_t>)
            throws(IOError) -> Bool
    ) throws(IOError) -> SocketAddress? {
        var storage = sockaddr_storage()
        var size = socklen_t(MemoryLayout<sockaddr_storage>.size)
        // SAFETY: the storage has room for every address, and the kernel is told its size.
        let outcome: Result<Bool, IOError> = unsafe withUnsafeMutablePointer(to: &storage) {
            unsafe $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { raw in
                do throws(IOError) {
                    return .success(unsafe try fill(raw, &size))
                } catch {
                    return .failure(error)
                }
            }
        }
        guard try outcome.get() else { return nil }
        return address(in: storage, size: Int(size))
    }

    /// The address in a filled `sockaddr_storage`; a nameless Unix peer has the empty path.
    static func address(in storage: sockaddr_storage, size: Int) -> SocketAddress? {
        // SAFETY: the family says which struct the bytes are; each is smaller than the storage.
        unsafe withUnsafeBytes(of: storage) { bytes in
            switch Int32(storage.ss_family) {
            case AF_INET:
                let raw = unsafe bytes.load(as: sockaddr_in.self)
                return .ipv4(
                    UInt32(bigEndian: raw.sin_addr.s_addr), port: UInt16(bigEndian: raw.sin_port))
            case AF_INET6:
                let raw = unsafe bytes.load(as: sockaddr_in6.self)
                let offset = MemoryLayout<sockaddr_in6>.offset(of: \.sin6_addr) ?? 8
                let high = unsafe bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self)
                let low = unsafe bytes.loadUnaligned(fromByteOffset: offset + 8, as: UInt64.self)
                return .ipv6(
                    IPv6Bytes(high: UInt64(bigEndian: high), low: UInt64(bigEndian: low)),
                    port: UInt16(bigEndian: raw.sin6_port), scope: raw.sin6_scope_id)
            case AF_UNIX:
                let start = MemoryLayout<sockaddr_un>.offset(of: \.sun_path) ?? 2
                let path = unsafe bytes[start..<max(start, min(size, bytes.count))]
                let end = unsafe path.firstIndex(of: 0) ?? path.endIndex
                return .unix(unsafe String(decoding: path[..<end], as: UTF8.self))
            default:
                return nil
            }
        }
    }

    /// A numeric host by getaddrinfo(3), which asks no name server with AI_NUMERICHOST.
    static func parseNumericAddress(_ host: String, port: UInt16) -> SocketAddress? {
        // inet_aton's short forms ("127.1", "1") are no addresses here.
        let isDotted = host.utf8.count { $0 == UInt8(ascii: ".") } == 3
        guard isDotted || host.contains(":") else { return nil }
        var hints = unsafe addrinfo()
        unsafe hints.ai_flags = AI_NUMERICHOST
        unsafe hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        guard case .success(let addresses) = unsafe lookUp(host, hints: hints, port: port) else {
            return nil
        }
        return addresses.first
    }

    /// Asks the system's resolver, getaddrinfo(3); may take seconds unless the host is numeric.
    ///
    /// Failure: the resolver's code (EAI_…) and, for EAI_SYSTEM, the errno.
    static func lookUp(
        _ host: String, hints: addrinfo, port: UInt16
    ) -> Result<[SocketAddress], NameError> {
        var hints = unsafe hints
        var list: UnsafeMutablePointer<addrinfo>?
        // SAFETY: the list is the resolver's until freeaddrinfo, which runs once.
        let code = unsafe getaddrinfo(host, nil, &hints, &list)
        guard code == 0 else {
            let text = unsafe gai_strerror(code).map { unsafe String(cString: $0) } ?? "unknown"
            let isFinal = code == EAI_NONAME
            return .failure(NameError(host: host, reason: text, isFinal: isFinal))
        }
        defer { unsafe freeaddrinfo(list) }
        var addresses: [SocketAddress] = []
        var next = unsafe list
        while let entry = unsafe next {
            let raw = unsafe entry.pointee
            unsafe next = raw.ai_next
            guard let source = unsafe raw.ai_addr else { continue }
            var storage = sockaddr_storage()
            let size = Int(unsafe raw.ai_addrlen)
            // SAFETY: the resolver's address is `size` bytes, cut to what the storage holds.
            unsafe withUnsafeMutableBytes(of: &storage) { target in
                unsafe target.copyMemory(
                    from: UnsafeRawBufferPointer(start: source, count: min(size, target.count)))
            }
            if let address = address(in: storage, size: size)?.withPort(port),
                !addresses.contains(address)
            {
                addresses.append(address)
            }
        }
        return .success(addresses)
    }

    /// All addresses of one family that a stream connection to `host` can use.
    static func lookUp(
        _ host: String, family: AddressFamily, port: UInt16
    ) -> Result<[SocketAddress], NameError> {
        var hints = unsafe addrinfo()
        unsafe hints.ai_family = family == .ipv4 ? AF_INET : AF_INET6
        unsafe hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        return unsafe lookUp(host, hints: hints, port: port)
    }

    /// An address as text without its port, getnameinfo(3).
    static func numericHost(of address: SocketAddress) -> String {
        var text = [CChar](repeating: 0, count: Int(NI_MAXHOST))
        let room = socklen_t(text.count)
        // SAFETY: the text has `room` bytes and ends with a zero.
        let code = unsafe withSocketAddress(address) { raw, size in
            unsafe getnameinfo(raw, size, &text, room, nil, 0, NI_NUMERICHOST)
        }
        guard code == 0 else { return "?" }
        let end = text.firstIndex(of: 0) ?? text.endIndex
        return String(decoding: text[..<end].map { UInt8(truncatingIfNeeded: $0) }, as: UTF8.self)
    }
}

/// The two families that a name can have addresses of.
enum AddressFamily: Sendable, CaseIterable {
    case ipv6, ipv4
}

/// Why a name gave no address.
public struct NameError: Error, Hashable, Sendable, CustomStringConvertible {
    /// The name that was asked for.
    public var host: String
    /// The resolver's reason, gai_strerror(3).
    public var reason: String
    /// The name has no address, says a server that knows; asking again will not change it soon.
    public var isFinal: Bool

    public var description: String {
        "cannot resolve \(host): \(reason); check the name, /etc/resolv.conf and the link"
    }
}
