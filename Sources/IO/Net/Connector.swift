import MQTT

/// Makes TCP connections to one host and port: resolves the name, races both address families as RFC 8305
/// says, and remembers the address that was good.
///
/// That one is tried first as long as the name still has it, and alone when the name cannot be resolved.
/// One attempt at a time: `connect`, then `cancel` or the completion.
public final class Connector {
    /// How long `connect` may take in all.
    public static let timeout = Duration.seconds(30)

    public let host: String
    public let port: UInt16
    /// The address of the last connection that was made.
    public private(set) var lastGoodAddress: SocketAddress?

    private let loop: EventLoop
    private let resolver: Resolver
    private let timeout: Duration
    private let options: StreamOptions
    private var race: Race?

    /// `host` is a name or a numeric address, which needs no resolver.
    public init(
        loop: EventLoop, resolver: Resolver, host: String, port: UInt16,
        timeout: Duration = Connector.timeout, options: StreamOptions = .client
    ) {
        self.loop = loop
        self.resolver = resolver
        self.host = host
        self.port = port
        self.timeout = timeout
        self.options = options
    }

    deinit {
        race?.stop()
    }

    public var isConnecting: Bool { race != nil }

    /// Connects; `completion` is called once, on the loop and not within this call, unless cancelled.
    public func connect(
        completion: @escaping (consuming Result<FileDescriptor, ConnectError>) -> Void
    ) {
        precondition(race == nil, "a connector makes one connection at a time")
        let race = Race(
            loop: loop, resolver: resolver, host: host, port: port, options: options,
            lastGood: lastGoodAddress)
        self.race = race
        race.start(timeout) { [weak self] outcome in
            self?.race = nil
            switch consume outcome {
            case .success(let winner):
                self?.lastGoodAddress = winner.address
                completion(.success(winner.takeSocket()))
            case .failure(let error): completion(.failure(error))
            }
        }
    }

    /// Stops; the completion is not called.
    public func cancel() {
        race?.stop()
        race = nil
    }
}

/// Why no connection came about: what was tried, and what the resolver said.
public struct ConnectError: Error, Hashable, Sendable, CustomStringConvertible {
    public var host: String
    public var port: UInt16
    /// One for each address that was tried.
    public var attempts: [IOError]
    /// What the resolver said about the families that it gave nothing for.
    public var resolution: [NameError]
    /// The time was up before all had failed.
    public var isTimedOut: Bool

    /// One line for people, with what to do.
    public var description: String {
        var parts = attempts.map { "\($0.subject) \($0.code)" }
        if attempts.isEmpty, let error = resolution.first { return "\(error)" }
        if isTimedOut { parts.append("no answer in time") }
        if parts.isEmpty { parts.append("the name has no address") }
        return "cannot connect to \(host):\(port): \(parts.joined(separator: ", ")); \(hint)"
    }

    private var hint: String {
        attempts.contains { $0.code == .connectionRefused }
            ? "is the broker running there, and is the port right?"
            : "check the link, the address and firewalls on the way"
    }
}

/// The connected socket and where it leads.
struct Winner: ~Copyable {
    let socket: FileDescriptor
    let address: SocketAddress

    consuming func takeSocket() -> FileDescriptor { socket }
}

/// One run of `HappyEyeballs`: does what the machine says, and tells it what happens.
private final class Race: EventHandler {
    private let loop: EventLoop
    private let resolver: Resolver
    private let host: String
    private let port: UInt16
    private let options: StreamOptions
    private var machine: HappyEyeballs
    private var attempts: [UInt64: Attempt] = [:]
    private var jobs: [(JobID, AddressFamily)] = []
    private var nextToken: UInt64 = 0
    private var timer: TimerID?
    private var deadline: TimerID?
    private var completion: ((consuming Result<Winner, ConnectError>) -> Void)?

    /// A socket on its way; a class since a dictionary cannot hold the descriptor itself.
    private final class Attempt {
        var socket: FileDescriptor?
        let address: SocketAddress

        init(_ socket: consuming FileDescriptor, _ address: SocketAddress) {
            self.socket = consume socket
            self.address = address
        }
    }

    init(
        loop: EventLoop, resolver: Resolver, host: String, port: UInt16, options: StreamOptions,
        lastGood: SocketAddress?
    ) {
        self.loop = loop
        self.resolver = resolver
        self.host = host
        self.port = port
        self.options = options
        machine = HappyEyeballs(lastGood: lastGood, now: loop.now)
    }

    func start(
        _ timeout: Duration,
        completion: @escaping (consuming Result<Winner, ConnectError>) -> Void
    ) {
        self.completion = completion
        deadline = loop.schedule(after: timeout) { [weak self] in self?.fail(isTimedOut: true) }
        if let address = SocketAddress(numericHost: host, port: port) {
            machine.resolved(.ipv6, [], loop.now)
            machine.resolved(.ipv4, [address], loop.now)
        } else {
            for family in AddressFamily.allCases { resolve(family) }
        }
        // Not within `connect`: its caller has not finished yet.
        timer = loop.schedule(after: .zero) { [weak self] in self?.advance() }
    }

    /// Ends everything without a word.
    func stop() {
        completion = nil
        for (job, family) in jobs { resolver.cancel(job, family) }
        jobs = []
        for attempt in attempts.values { close(attempt) }
        attempts = [:]
        if let timer { loop.cancel(timer) }
        if let deadline { loop.cancel(deadline) }
    }

    private func resolve(_ family: AddressFamily) {
        let job = resolver.resolve(host, family, port: port) { [weak self] answer in
            self?.answered(family, answer)
            self?.advance()
        }
        switch job {
        case .success(let id): jobs.append((id, family))
        case .failure(let error): machine.resolutionFailed(family, error, loop.now)
        }
    }

    private func answered(_ family: AddressFamily, _ answer: Result<[SocketAddress], NameError>) {
        switch answer {
        case .success(let addresses): machine.resolved(family, addresses, loop.now)
        case .failure(let error): machine.resolutionFailed(family, error, loop.now)
        }
    }

    private func advance() {
        while completion != nil {
            switch machine.next(loop.now) {
            case .start(let address): attempt(address)
            case .wait(let time):
                if let timer { loop.cancel(timer) }
                timer = time.map { time in
                    loop.schedule(at: time) { [weak self] in self?.advance() }
                }
                return
            case .giveUp: return fail(isTimedOut: false)
            }
        }
    }

    private func attempt(_ address: SocketAddress) {
        do throws(IOError) {
            let pending = try FileDescriptor.connecting(to: address, options: options)
            let isConnected = pending.isConnected
            let socket = pending.takeSocket()
            if isConnected { return succeed(Winner(socket: socket, address: address)) }
            let token = nextToken
            nextToken += 1
            try loop.add(socket, interest: .writable, token: token, handler: self)
            attempts[token] = Attempt(socket, address)
        } catch {
            machine.attemptFailed(error.about("\(address)"), loop.now)
        }
    }

    func ready(token: UInt64, readiness: Readiness) {
        guard let attempt = attempts.removeValue(forKey: token),
            let socket = attempt.socket.take()
        else { return }
        loop.remove(socket)
        do throws(IOError) {
            if let code = try socket.connectionError() { throw IOError("connect", code) }
            succeed(Winner(socket: socket, address: attempt.address))
        } catch {
            machine.attemptFailed(error.about("\(attempt.address)"), loop.now)
            advance()
        }
    }

    private func close(_ attempt: Attempt) {
        if let socket = attempt.socket.take() { loop.remove(socket) }
    }

    private func succeed(_ winner: consuming Winner) {
        let completion = completion
        stop()
        completion?(.success(winner))
    }

    private func fail(isTimedOut: Bool) {
        let error = ConnectError(
            host: host, port: port, attempts: machine.attemptErrors,
            resolution: machine.resolutionErrors, isTimedOut: isTimedOut)
        let completion = completion
        stop()
        completion?(.failure(error))
    }
}
