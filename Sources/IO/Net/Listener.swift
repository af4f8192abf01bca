import Glibc
import MQTT

/// A listening socket: TCP over IPv4 or IPv6, or Unix.
///
/// Accepts in bounded batches, so that a flood of connections does not starve those that are there. When
/// the process has no descriptor left, a reserve is given up for the moment that it takes to accept and
/// close the stranger, who learns at once that there is no room; the loop does not spin.
public final class Listener: EventHandler {
    /// Connections accepted in one tick; others wait for the next.
    public static let batchSize = 64
    /// Connections that the kernel holds for us, listen(2); it caps the number by net.core.somaxconn.
    public static let backlog: Int32 = 1_024
    /// The pause after an error that accepting more would only repeat.
    public static let pause = Duration.milliseconds(500)

    /// The address that it has, with the port that the kernel chose for 0.
    public let address: SocketAddress
    /// The machine does not have the address, or not yet: connections come once it has.
    public let awaitsAddress: Bool
    /// Connections handed over.
    public private(set) var acceptedCount: UInt64 = 0
    /// Connections closed at once because no descriptor was left.
    public private(set) var refusedCount: UInt64 = 0

    private let socket: FileDescriptor
    private let options: StreamOptions
    private var reserve: FileDescriptor?
    private var loop: EventLoop?
    private var resumption: TimerID?
    private var lastReport: MonotonicTime?
    private var accept: ((consuming FileDescriptor, SocketAddress) -> Void)?
    private var trouble: ((IOError) -> Void)?

    /// Binds and listens. A Unix socket's path is taken over when nobody answers there, and removed at the end;
    /// `access` says who may connect to it. With `early`, an address that the machine does not have is no error.
    public init(
        _ address: SocketAddress, options: StreamOptions = StreamOptions(),
        access: UnixSocketAccess? = nil, early: Bool = false
    ) throws(IOError) {
        let socket = try Syscalls.makeSocket(for: address)
        do throws(IOError) {
            switch address {
            case .unix(let path):
                try Self.removeStaleSocket(path)
            case .ipv6:
                // ::1 and 127.0.0.1 are two listeners, whatever net.ipv6.bindv6only says.
                try Syscalls.setOption(socket, level: Int32(IPPROTO_IPV6), IPV6_V6ONLY, 1)
                try Syscalls.setOption(socket, level: SOL_SOCKET, SO_REUSEADDR, 1)
            case .ipv4:
                try Syscalls.setOption(socket, level: SOL_SOCKET, SO_REUSEADDR, 1)
            }
            awaitsAddress = try Self.bind(socket, to: address, early: early)
            // Nobody can connect before listen(2), whatever rights the path has until here.
            if case .unix(let path) = address, let access { try access.apply(to: path) }
            try Syscalls.listen(socket, backlog: Self.backlog)
            self.address = try socket.localAddress()
        } catch {
            throw error.about("\(address)", hint: Self.hint(for: error.code, address))
        }
        reserve = try? Files.openNull()
        self.socket = socket
        self.options = options
    }

    /// Returns whether the address is not there, IP_FREEBIND of ip(7).
    private static func bind(
        _ socket: borrowing FileDescriptor, to address: SocketAddress, early: Bool
    ) throws(IOError) -> Bool {
        do throws(IOError) {
            try Syscalls.bind(socket, to: address)
            return false
        } catch {
            guard early, error.code == .addressNotAvailable else { throw error }
        }
        if case .ipv6 = address {
            try Syscalls.setOption(socket, level: Int32(IPPROTO_IPV6), IPV6_FREEBIND, 1)
        } else {
            try Syscalls.setOption(socket, level: Int32(IPPROTO_IP), IP_FREEBIND, 1)
        }
        try Syscalls.bind(socket, to: address)
        return true
    }

    deinit {
        if case .unix(let path) = address { try? Files.remove(path) }
    }

    /// The listeners on 127.0.0.1 and on ::1 at one port; a machine without IPv6 has the first only.
    ///
    /// With port 0 the kernel chooses one, the same for both.
    public static func loopback(
        port: UInt16, options: StreamOptions = StreamOptions()
    ) throws(IOError) -> [Listener] {
        var attemptsLeft = port == 0 ? 16 : 1
        while true {
            attemptsLeft -= 1
            let first = try Listener(.loopbackIPv4(port: port), options: options)
            do throws(IOError) {
                let both = first.address.port ?? port
                return [first, try Listener(.loopbackIPv6(port: both), options: options)]
            } catch {
                switch error.code {
                case .addressFamilyNotSupported, .addressNotAvailable: return [first]
                // The port that is free on 127.0.0.1 is taken on ::1: another one.
                case .addressInUse where attemptsLeft > 0: continue
                default: throw error
                }
            }
        }
    }

    /// Starts to accept: `accept` gets each connection, non-blocking and with the options set; `trouble`
    /// what accepting ran into (no descriptors, no memory), at most twice a second.
    public func start(
        on loop: EventLoop, trouble: @escaping (IOError) -> Void = { _ in },
        accept: @escaping (consuming FileDescriptor, SocketAddress) -> Void
    ) throws(IOError) {
        precondition(self.loop == nil, "a listener is started once")
        try loop.add(socket, interest: .readable, token: 0, handler: self)
        self.loop = loop
        self.accept = accept
        self.trouble = trouble
    }

    /// Stops to accept; the kernel goes on to queue connections until this listener goes.
    public func stop() {
        guard let loop else { return }
        if let resumption { loop.cancel(resumption) }
        loop.remove(socket)
        self.loop = nil
        accept = nil
        trouble = nil
    }

    public func ready(token: UInt64, readiness: Readiness) {
        for _ in 0..<Self.batchSize {
            // The handler may stop this listener between two connections.
            guard let accept else { return }
            do throws(IOError) {
                guard let next = try Syscalls.accept(socket) else { return }
                let connection = FileDescriptor(takingOwnership: next.descriptor)
                // A peer that is gone already cannot take options; its connection says so by itself.
                try? connection.apply(options)
                acceptedCount += 1
                accept(connection, next.peer)
            } catch {
                guard proceed(after: error) else { return }
            }
        }
    }

    /// Whether accepting can go on after `error`.
    private func proceed(after error: IOError) -> Bool {
        switch error.code {
        case .tooManyOpenFiles, .tooManyOpenFilesInSystem:
            if refuseOne() {
                report(error)
                return true
            }
            report(error)
            rest()
            return false
        case .noMemory, .noBufferSpace:
            report(error)
            rest()
            return false
        default:
            // The peer's or the network's errors, accept(2): that connection is gone, others are not.
            return true
        }
    }

    /// Accepts one connection in the reserve's place and closes it; false without a reserve.
    private func refuseOne() -> Bool {
        guard reserve != nil else {
            reserve = try? Files.openNull()
            return false
        }
        reserve = nil
        // Anything that this accept runs into is what the refusal is about already.
        if let next = try? Syscalls.accept(socket) {
            Syscalls.close(next.descriptor)
            refusedCount += 1
        }
        reserve = try? Files.openNull()
        return reserve != nil
    }

    private func report(_ error: IOError) {
        guard let loop else { return }
        if let lastReport, loop.now < lastReport + Self.pause { return }
        lastReport = loop.now
        let hint =
            error.code == .tooManyOpenFiles
            ? "raise LimitNOFILE= in the unit, or lower the limit of clients" : ""
        trouble?(error.about("\(address)", hint: hint))
    }

    private func rest() {
        guard let loop, resumption == nil else { return }
        // Without interest, a level-triggered event would come at once again.
        try? loop.modify(socket, interest: [])
        resumption = loop.schedule(after: Self.pause) { [weak self] in
            guard let self, let loop = self.loop else { return }
            self.resumption = nil
            try? loop.modify(self.socket, interest: .readable)
        }
    }

    private static func removeStaleSocket(_ path: String) throws(IOError) {
        guard Files.exists(path) else { return }
        do throws(IOError) {
            _ = try FileDescriptor.connecting(to: .unix(path))
        } catch {
            if error.code == .connectionRefused { try Files.remove(path) }
        }
    }

    private static func hint(for code: ErrorNumber, _ address: SocketAddress) -> String {
        switch code {
        case .addressInUse:
            "another program listens there (ss -ltnp shows it); stop it or take another port"
        case .addressNotAvailable: "this machine does not have that address"
        case .permissionDenied, .operationNotPermitted:
            "ports below 1024 need AmbientCapabilities=CAP_NET_BIND_SERVICE in the unit"
        case .noSuchFile: "make the socket's folder first"
        default: ""
        }
    }
}
