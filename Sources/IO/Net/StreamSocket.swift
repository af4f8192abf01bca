import Glibc
import MQTT

/// What a non-blocking read or write of a stream came to.
public enum StreamProgress: Hashable, Sendable {
    /// So many bytes, at least one.
    case bytes(Int)
    /// Nothing now; the loop reports when there is.
    case wouldBlock
    /// The peer has ended its direction; more will not come.
    case closed
}

/// Options of a TCP socket, tcp(7); each is off when `nil`.
public struct StreamOptions: Hashable, Sendable {
    /// Send what is written at once. Whoever writes once a tick has gathered already.
    public var noDelay = true
    /// Ask a silent peer after so many seconds whether it is there, then twice more, a third apart.
    public var keepAliveSeconds: Int32?
    /// Give up when bytes that were sent stay unacknowledged for so long, TCP_USER_TIMEOUT.
    public var userTimeoutMilliseconds: Int32?
    /// Bytes the kernel may hold for sending, SO_SNDBUF.
    public var sendBufferBytes: Int32?

    public init() {}

    /// For a client behind a link that may vanish without a word: a black hole is found within a minute.
    public static let client: StreamOptions = {
        var options = StreamOptions()
        options.keepAliveSeconds = 30
        options.userTimeoutMilliseconds = 30_000
        return options
    }()
}

extension FileDescriptor {
    /// Writes `bytes` to a stream: how many were taken, `nil` when it would block.
    public func write(_ bytes: Span<UInt8>) throws(IOError) -> Int? {
        try Syscalls.send(rawValue, bytes)
    }

    /// Sets a TCP socket's options; a Unix socket has none of them.
    public func apply(_ options: StreamOptions) throws(IOError) {
        if let bytes = options.sendBufferBytes {
            try Syscalls.setOption(self, level: SOL_SOCKET, SO_SNDBUF, bytes)
        }
        guard try Syscalls.option(self, level: SOL_SOCKET, SO_DOMAIN) != AF_UNIX else { return }
        let tcp = Int32(IPPROTO_TCP)
        if options.noDelay { try Syscalls.setOption(self, level: tcp, TCP_NODELAY, 1) }
        if let seconds = options.keepAliveSeconds {
            try Syscalls.setOption(self, level: SOL_SOCKET, SO_KEEPALIVE, 1)
            try Syscalls.setOption(self, level: tcp, TCP_KEEPIDLE, seconds)
            try Syscalls.setOption(self, level: tcp, TCP_KEEPINTVL, max(1, seconds / 3))
            try Syscalls.setOption(self, level: tcp, TCP_KEEPCNT, 3)
        }
        if let milliseconds = options.userTimeoutMilliseconds {
            try Syscalls.setOption(self, level: tcp, TCP_USER_TIMEOUT, milliseconds)
        }
    }

    /// The address at this end, getsockname(2).
    public func localAddress() throws(IOError) -> SocketAddress {
        try Syscalls.localAddress(of: self) ?? .unix("")
    }

    /// The address at the other end, getpeername(2).
    public func peerAddress() throws(IOError) -> SocketAddress {
        try Syscalls.peerAddress(of: self) ?? .unix("")
    }

    /// Ends the writing direction, so that the peer reads an end, shutdown(2).
    public func shutDownWriting() {
        Syscalls.shutDownWriting(self)
    }

    /// Ends the reading direction: the loop reports it as readable, and a read as closed, shutdown(2).
    public func shutDownReading() {
        Syscalls.shutDownReading(self)
    }

    /// Starts a connection to `address`; `isConnected` false means: wait for writable, then ask
    /// `connectionError`.
    public static func connecting(
        to address: SocketAddress, options: StreamOptions = .client
    ) throws(IOError) -> PendingConnection {
        let socket = try Syscalls.makeSocket(for: address)
        try socket.apply(options)
        let isConnected = try Syscalls.connect(socket, to: address)
        return PendingConnection(socket: socket, isConnected: isConnected)
    }

    /// Why the connection attempt failed, SO_ERROR; `nil` when it did not.
    public func connectionError() throws(IOError) -> ErrorNumber? {
        let code = try Syscalls.option(self, level: SOL_SOCKET, SO_ERROR)
        return code == 0 ? nil : ErrorNumber(rawValue: code)
    }
}

/// A socket on its way to a peer.
public struct PendingConnection: ~Copyable, Sendable {
    public let socket: FileDescriptor
    /// False: the loop reports it as writable when the attempt has ended.
    public let isConnected: Bool

    /// The socket, for whoever goes on with it.
    public consuming func takeSocket() -> FileDescriptor {
        socket
    }
}
