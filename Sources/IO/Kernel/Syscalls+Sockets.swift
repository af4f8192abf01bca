import CLinux
import Glibc

extension Syscalls {
    /// A non-blocking stream socket for `address`, socket(2).
    static func makeSocket(for address: SocketAddress) throws(IOError) -> FileDescriptor {
        let family =
            switch address {
            case .ipv4: AF_INET
            case .ipv6: AF_INET6
            case .unix: AF_UNIX
            }
        let type = Int32(SOCK_STREAM.rawValue | SOCK_NONBLOCK.rawValue | SOCK_CLOEXEC.rawValue)
        let number = try retrying("socket") { Int(socket(family, type, 0)) }
        return FileDescriptor(takingOwnership: Int32(number))
    }

    /// A non-blocking socket to a part of the kernel, netlink(7).
    static func makeNetlinkSocket(_ part: Int32) throws(IOError) -> FileDescriptor {
        let type = Int32(SOCK_RAW.rawValue | SOCK_NONBLOCK.rawValue | SOCK_CLOEXEC.rawValue)
        return FileDescriptor(
            takingOwnership: Int32(try retrying("socket") { Int(socket(AF_NETLINK, type, part)) }))
    }

    static func bind(
        _ socket: borrowing FileDescriptor, to address: SocketAddress
    ) throws(IOError) {
        let number = socket.rawValue
        _ = try retrying("bind") {
            // SAFETY: the address is lent for the call.
            unsafe withSocketAddress(address) { unsafe Int(Glibc.bind(number, $0, $1)) }
        }
    }

    static func listen(_ socket: borrowing FileDescriptor, backlog: Int32) throws(IOError) {
        let number = socket.rawValue
        _ = try retrying("listen") { Int(Glibc.listen(number, backlog)) }
    }

    /// Starts to connect: true when connected at once, false when the end is reported as writable.
    static func connect(
        _ socket: borrowing FileDescriptor, to address: SocketAddress
    ) throws(IOError) -> Bool {
        let number = socket.rawValue
        // SAFETY: the address is lent for the call.
        let result = unsafe withSocketAddress(address) { unsafe Glibc.connect(number, $0, $1) }
        if result == 0 { return true }
        // Interrupted, the attempt goes on all the same, connect(2).
        let code = errno
        if code == EINPROGRESS || code == EINTR { return false }
        precondition(code != EBADF && code != EFAULT, "a system call on what is not ours")
        throw IOError("connect", ErrorNumber(code), subject: "\(address)")
    }

    /// The next waiting connection, non-blocking, accept4(2); `nil` when there is none.
    static func accept(
        _ listener: borrowing FileDescriptor
    ) throws(IOError) -> (descriptor: Int32, peer: SocketAddress)? {
        let number = listener.rawValue
        let flags = Int32(SOCK_NONBLOCK.rawValue | SOCK_CLOEXEC.rawValue)
        var accepted: Int32 = -1
        let peer = unsafe try readSocketAddress { (raw, size) throws(IOError) in
            // SAFETY: the storage behind both pointers lives for the call.
            guard
                let result = try retryingNonBlocking(
                    "accept", { unsafe Int(accept4(number, raw, size, flags)) })
            else { return false }
            accepted = Int32(result)
            return true
        }
        guard accepted >= 0 else { return nil }
        return (accepted, peer ?? .unix(""))
    }

    static func localAddress(
        of socket: borrowing FileDescriptor
    ) throws(IOError) -> SocketAddress? {
        let number = socket.rawValue
        return unsafe try readSocketAddress { (raw, size) throws(IOError) in
            // SAFETY: the storage behind both pointers lives for the call.
            _ = try retrying("getsockname") { unsafe Int(getsockname(number, raw, size)) }
            return true
        }
    }

    static func peerAddress(
        of socket: borrowing FileDescriptor
    ) throws(IOError) -> SocketAddress? {
        let number = socket.rawValue
        return unsafe try readSocketAddress { (raw, size) throws(IOError) in
            // SAFETY: the storage behind both pointers lives for the call.
            _ = try retrying("getpeername") { unsafe Int(getpeername(number, raw, size)) }
            return true
        }
    }

    static func setOption(
        _ socket: borrowing FileDescriptor, level: Int32, _ option: Int32, _ value: Int32
    ) throws(IOError) {
        let number = socket.rawValue
        var value = value
        _ = try retrying("setsockopt") {
            // SAFETY: the kernel reads four bytes, which the value has.
            unsafe Int(setsockopt(number, level, option, &value, 4))
        }
    }

    static func option(
        _ socket: borrowing FileDescriptor, level: Int32, _ option: Int32
    ) throws(IOError) -> Int32 {
        let number = socket.rawValue
        var value: Int32 = 0
        var size: socklen_t = 4
        _ = try retrying("getsockopt") {
            // SAFETY: the kernel writes at most `size` bytes, which the value has.
            unsafe Int(getsockopt(number, level, option, &value, &size))
        }
        return value
    }

    /// Ends the writing direction, so that the peer reads an end, shutdown(2).
    static func shutDownWriting(_ socket: borrowing FileDescriptor) {
        // A peer that is gone already (ENOTCONN) is what was wanted.
        _ = Glibc.shutdown(socket.rawValue, Int32(SHUT_WR))
    }

    /// Ends the reading direction, shutdown(2).
    static func shutDownReading(_ socket: borrowing FileDescriptor) {
        _ = Glibc.shutdown(socket.rawValue, Int32(SHUT_RD))
    }
}
