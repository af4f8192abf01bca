import MQTT
import Synchronization
import Testing

@testable import IO

@Suite struct ConnectorTests {
    @Test func aNumericAddressNeedsNoResolver() throws {
        let loop = try EventLoop()
        let server = try Server(loop)
        let resolver = Resolver(loop: loop, giveUpAfter: .seconds(1)) { _, _, _ in
            Issue.record("a numeric address was looked up")
            return .success([])
        }
        let outcome = Outcome(loop, resolver, host: "127.0.0.1", port: server.port)
        #expect(outcome.address == server.address)
        #expect(outcome.connector.lastGoodAddress == server.address)
    }

    @Test func theSystemsResolverKnowsLocalhost() throws {
        let loop = try EventLoop()
        let server = try Server(loop)
        let outcome = Outcome(loop, Resolver(loop: loop), host: "localhost", port: server.port)
        #expect(outcome.address == server.address, "\(String(describing: outcome.error))")
    }

    @Test func aNameThatDoesNotExistIsSaidSo() throws {
        let loop = try EventLoop()
        let outcome = Outcome(loop, Resolver(loop: loop), host: "no-such-host.invalid", port: 1)
        #expect(outcome.error?.description.contains("cannot resolve no-such-host.invalid") == true)
    }

    @Test func aRefusedFirstAddressIsFollowedByTheNextAtOnce() throws {
        let loop = try EventLoop()
        let server = try Server(loop)
        let refused = try refusingAddress()
        let start = SystemClock.monotonic()
        let outcome = Outcome(loop, fixed(loop, ipv6: [refused], ipv4: [server.address]))
        #expect(outcome.address == server.address)
        #expect(SystemClock.monotonic() - start < .seconds(5))
    }

    @Test func aBlackHoleIsOvertakenAfterTheAttemptDelay() throws {
        let loop = try EventLoop()
        let server = try Server(loop)
        let hole = try BlackHole()
        let start = SystemClock.monotonic()
        let outcome = Outcome(loop, fixed(loop, ipv6: [hole.address], ipv4: [server.address]))
        #expect(outcome.address == server.address)
        #expect(SystemClock.monotonic() - start >= HappyEyeballs.attemptDelay)
    }

    @Test func whenAllIsRefusedTheErrorNamesEveryAddress() throws {
        let loop = try EventLoop()
        let (one, two) = (try refusingAddress(), try refusingAddress())
        let outcome = Outcome(loop, fixed(loop, ipv6: [one], ipv4: [two]))
        #expect(outcome.error?.attempts.map(\.code) == [.connectionRefused, .connectionRefused])
        let text = try #require(outcome.error?.description)
        #expect(text.contains("\(one)") && text.contains("\(two)"))
        #expect(text.contains("is the broker running there"))
    }

    @Test func theOverallTimeIsLimited() throws {
        let loop = try EventLoop()
        let hole = try BlackHole()
        let outcome = Outcome(
            loop, fixed(loop, ipv6: [], ipv4: [hole.address]), timeout: .milliseconds(50))
        #expect(outcome.error?.isTimedOut == true)
    }

    @Test func aCancelledConnectionIsNotAnswered() throws {
        let loop = try EventLoop()
        let server = try Server(loop)
        let connector = Connector(
            loop: loop, resolver: fixed(loop, ipv6: [], ipv4: [server.address]), host: "name",
            port: 1)
        connector.connect { _ in Issue.record("answered after cancel") }
        connector.cancel()
        var isOver = false
        loop.schedule(after: .milliseconds(30)) { isOver = true }
        loop.run { isOver }
        #expect(!connector.isConnecting)
    }

    @Test func theLastGoodAddressServesWhenTheResolverFails() throws {
        let loop = try EventLoop()
        let server = try Server(loop)
        let works = Mutex(true)
        let address = server.address
        let resolver = Resolver(loop: loop, giveUpAfter: .seconds(5)) { host, family, _ in
            guard works.withLock({ $0 }) else {
                return .failure(NameError(host: host, reason: "gone", isFinal: false))
            }
            return .success(family == .ipv4 ? [address] : [])
        }
        let first = Outcome(loop, resolver)
        #expect(first.address == address)
        works.withLock { $0 = false }
        first.connect()
        #expect(first.address == address)
    }

    @Test func aHangingResolverDoesNotHoldUpTheOtherFamilyNorTheNextName() throws {
        let loop = try EventLoop()
        let server = try Server(loop)
        let gate = Gate()
        defer { gate.open() }
        let address = server.address
        let resolver = Resolver(loop: loop, giveUpAfter: .milliseconds(50)) { _, family, _ in
            if family == .ipv6 { gate.wait() }
            return .success(family == .ipv4 ? [address] : [])
        }
        #expect(Outcome(loop, resolver, host: "one").address == address)
        #expect(Outcome(loop, resolver, host: "two").address == address)
    }

    @Test func aResolverThatHangsForBothFamiliesIsGivenUp() throws {
        let loop = try EventLoop()
        let gate = Gate()
        defer { gate.open() }
        let resolver = Resolver(loop: loop, giveUpAfter: .milliseconds(20)) { _, _, _ in
            gate.wait()
            return .success([])
        }
        let outcome = Outcome(loop, resolver)
        #expect(outcome.error?.resolution.count == 2)
        #expect(outcome.error?.description.contains("does not answer") == true)
    }

    private func fixed(
        _ loop: EventLoop, ipv6: [SocketAddress], ipv4: [SocketAddress]
    ) -> Resolver {
        Resolver(loop: loop, giveUpAfter: .seconds(5)) { _, family, _ in
            .success(family == .ipv6 ? ipv6 : ipv4)
        }
    }
}

/// A listener that keeps what it accepts.
private final class Server {
    let listener: Listener
    private var accepted: [Int32] = []

    var address: SocketAddress { listener.address }
    var port: UInt16 { listener.address.port ?? 0 }

    init(_ loop: EventLoop) throws {
        listener = try Listener(.loopbackIPv4(port: 0))
        try listener.start(on: loop) { _, _ in }
    }
}

/// A connector and how its last connection ended.
private final class Outcome {
    let loop: EventLoop
    let connector: Connector
    private(set) var address: SocketAddress?
    private(set) var error: ConnectError?

    init(
        _ loop: EventLoop, _ resolver: Resolver, host: String = "name", port: UInt16 = 1,
        timeout: Duration = .seconds(15)
    ) {
        self.loop = loop
        connector = Connector(
            loop: loop, resolver: resolver, host: host, port: port, timeout: timeout)
        connect()
    }

    func connect() {
        var isOver = false
        address = nil
        connector.connect { [self] outcome in
            switch consume outcome {
            case .success(let socket): address = try? socket.peerAddress()
            case .failure(let error): self.error = error
            }
            isOver = true
        }
        loop.run(within: .seconds(20)) { isOver }
    }
}

/// An address that nobody listens on: bound, so that nobody else gets it, and not listening.
private func refusingAddress() throws -> SocketAddress {
    let socket = try Syscalls.makeSocket(for: .loopbackIPv4(port: 0))
    try Syscalls.bind(socket, to: .loopbackIPv4(port: 0))
    let address = try socket.localAddress()
    _ = socket.release()
    return address
}

/// A port whose SYNs are dropped: it listens, and its queue is full.
private final class BlackHole {
    let address: SocketAddress
    private let listener: Int32
    private var fillers: [Int32] = []

    init() throws {
        let socket = try Syscalls.makeSocket(for: .loopbackIPv4(port: 0))
        try Syscalls.bind(socket, to: .loopbackIPv4(port: 0))
        try Syscalls.listen(socket, backlog: 0)
        address = try socket.localAddress()
        listener = socket.release()
        for _ in 0..<4 {
            fillers.append(try FileDescriptor.connecting(to: address).takeSocket().release())
        }
    }

    deinit {
        for number in fillers + [listener] { _ = FileDescriptor(takingOwnership: number) }
    }
}
