import IO
import MQTT
import TLS

/// The way to the broker for one connection: name resolution, TCP and TLS, then bytes both ways.
///
/// Used once: a client makes a new one for each attempt.
final class ClientLink: EventHandler {
    /// How much is read at once, and how often before others have their turn.
    private static let readSize = 16 << 10
    private static let readsPerEvent = 8

    private let configuration: MQTTClientConfiguration
    private let connector: Connector
    private let context: TLSContext?
    private let loop: EventLoop
    private weak var client: MQTTClient?
    private var transport: Transport?
    private var input = ByteBuffer()
    private var limit: TimerID?
    private var isOpen = false
    private var wantsInput = true
    /// The session stopped before the end of `input`.
    private var isHeldBack = false
    private var hasOutput = false
    private var isShutDown = false

    init(
        _ configuration: MQTTClientConfiguration, connector: Connector, context: TLSContext?,
        loop: EventLoop, client: MQTTClient
    ) {
        self.configuration = configuration
        self.connector = connector
        self.context = context
        self.loop = loop
        self.client = client
    }

    // MARK: Opening

    /// Begins; `linkOpened` or `linkFailed` follows, never inside this call.
    func open() {
        connector.connect { [weak self] result in
            switch consume result {
            case .success(let socket): self?.connected(socket)
            case .failure(let error):
                guard let self else { return }
                fail(ClientFailure(connecting: error, broker: configuration.url))
            }
        }
    }

    private func connected(_ socket: consuming FileDescriptor) {
        do throws(ClientFailure) {
            limit = loop.schedule(after: configuration.connectTimeout) { [weak self] in
                self?.tooLate()
            }
            transport = try makeTransport(socket)
            try watch()
            try goOnOpening()
        } catch {
            fail(error)
        }
    }

    private func makeTransport(
        _ socket: consuming FileDescriptor
    ) throws(ClientFailure) -> Transport {
        guard let context else { return Transport(plain: socket) }
        do throws(TLSError) {
            return try Transport(client: socket, context: context, host: configuration.url.host)
        } catch {
            throw ClientFailure(tls: error, broker: configuration.url)
        }
    }

    private func watch() throws(ClientFailure) {
        do throws(IOError) {
            try transport?.join(loop, handler: self)
        } catch {
            throw ClientFailure(transport: .io(error), broker: configuration.url)
        }
    }

    private func goOnOpening() throws(ClientFailure) {
        do throws(TransportError) {
            guard try transport?.handshake() ?? false else { return updateInterest() }
        } catch {
            throw ClientFailure(transport: error, broker: configuration.url)
        }
        isOpen = true
        cancelLimit()
        updateInterest()
        client?.linkOpened()
    }

    private func tooLate() {
        limit = nil
        fail(
            ClientFailure(
                .timeout, "no TLS connection to \(configuration.url): the handshake takes too long",
                hint: "check that the broker expects TLS at this port"))
    }

    // MARK: Bytes

    func ready(token: UInt64, readiness: Readiness) {
        do throws(ClientFailure) {
            guard isOpen else { return try goOnOpening() }
            // A connection that has ended is read to its end even when nothing is wanted: the loop
            // reports it until somebody does.
            let mayRead = wantsInput || isShutDown || readiness.contains(.hangUp)
            if mayRead && !readiness.isDisjoint(with: [.readable, .hangUp]) { try read() }
            if readiness.contains(.writable) { client?.linkDidRead() }
        } catch {
            fail(error)
        }
    }

    private func read() throws(ClientFailure) {
        for _ in 0..<Self.readsPerEvent {
            switch try readOnce() {
            case .bytes:
                take()
                // Whoever was told may have closed this link, or may not want more.
                guard transport != nil, !isHeldBack else { return }
            case .wouldBlock: return input.releaseIfEmpty()
            case .closed:
                throw ClientFailure(
                    .transportClosed, broker: configuration.url, version: .v5_0)
            }
        }
    }

    private func readOnce() throws(ClientFailure) -> StreamProgress {
        do throws(TransportError) {
            return try transport?.read(into: &input, atMost: Self.readSize) ?? .wouldBlock
        } catch {
            throw ClientFailure(transport: error, broker: configuration.url)
        }
    }

    /// Writes what goes without waiting; true when all of it went.
    func write(_ output: inout ByteBuffer) throws(ClientFailure) -> Bool {
        guard isOpen, transport != nil else { return output.isEmpty }
        do throws(TransportError) {
            while !output.isEmpty {
                guard case .bytes? = try transport?.write(from: &output) else { break }
            }
        } catch {
            throw ClientFailure(transport: error, broker: configuration.url)
        }
        hasOutput = !output.isEmpty
        if !hasOutput { output.releaseIfEmpty() }
        updateInterest()
        return !hasOutput
    }

    /// Hands the session what was read, and lets the client tell what came of it.
    private func take() {
        isHeldBack = !(client?.linkReceived(&input) ?? true)
        client?.linkDidRead()
    }

    /// Reads, or stops reading, which makes the broker wait. What the session did not look at goes
    /// to it again.
    func setWantsInput(_ wants: Bool) {
        if wants != wantsInput {
            wantsInput = wants
            updateInterest()
        }
        if wants && isHeldBack { take() }
    }

    /// Says that nothing more will be written; the broker closes then, which is `linkFailed`.
    func shutDown() {
        guard !isShutDown else { return }
        isShutDown = true
        transport?.shutDown()
        updateInterest()
    }

    // MARK: The end

    /// Closes, now; nobody is told.
    func close() {
        cancelLimit()
        connector.cancel()
        transport?.leave(loop)
        transport = nil
        isOpen = false
    }

    private func fail(_ failure: ClientFailure) {
        client?.linkFailed(failure)
    }

    private func cancelLimit() {
        if let limit { loop.cancel(limit) }
        limit = nil
    }

    private func updateInterest() {
        transport?.setInterest(hasOutput: hasOutput, wantsInput: wantsInput, loop)
    }
}

extension Transport {
    fileprivate func join(
        _ loop: EventLoop, handler: any EventHandler
    ) throws(IOError) {
        try loop.add(descriptor, interest: .readable, token: 0, handler: handler)
    }

    fileprivate func leave(_ loop: EventLoop) { loop.remove(descriptor) }

    fileprivate func setInterest(hasOutput: Bool, wantsInput: Bool, _ loop: EventLoop) {
        // A descriptor that epoll(7) watches can be watched for something else.
        try? loop.modify(
            descriptor, interest: interest(hasOutput: hasOutput, wantsInput: wantsInput))
    }
}
