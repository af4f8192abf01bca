import IO
import MQTT
import TLS

/// A connection to a broker that comes back by itself: the one that agent, bridge and `fleet` share.
///
/// It connects from `start` to `stop`, again and again with growing, jittered pauses, and keeps what
/// is to be sent and subscribed meanwhile (`ClientSession` has the rules and the limits). All calls
/// and all callbacks happen on the loop's thread. What a tick writes goes out in one write at its end.
public final class MQTTClient {
    private enum Phase {
        /// Not started, or stopped.
        case idle
        /// Between two attempts.
        case waiting(TimerID)
        /// Name resolution, TCP and TLS; then the transport with MQTT on it.
        case connecting(ClientLink)
        /// DISCONNECT is said: what is left is written, and the server closes.
        case closing(ClientLink)
    }

    private struct Stopping {
        var limit: TimerID
        var completion: () -> Void
    }

    public let configuration: MQTTClientConfiguration
    public weak var delegate: (any MQTTClientDelegate)?
    private let loop: EventLoop
    /// Remembers the last good address from one attempt to the next.
    private let connector: Connector

    private var session: ClientSession
    private var phase = Phase.idle
    private var stopping: Stopping?
    private var tlsContext: TLSContext?
    private var backoff: Backoff
    private var generator = SystemRandomNumberGenerator()
    private var connectedAt: MonotonicTime?
    private var hook: HookID?
    private var alarm: (deadline: MonotonicTime, timer: TimerID)?
    private var dirty: TimerID?
    private var isDelivering = false

    /// A client that does nothing before `start`. Clients of one process share a resolver.
    public init(
        _ configuration: MQTTClientConfiguration, loop: EventLoop, resolver: Resolver? = nil,
        delegate: (any MQTTClientDelegate)? = nil
    ) {
        self.configuration = configuration
        self.loop = loop
        self.delegate = delegate
        connector = Connector(
            loop: loop, resolver: resolver ?? Resolver(loop: loop),
            host: configuration.connectTo?.host ?? configuration.url.host,
            port: configuration.connectTo?.port ?? configuration.url.port,
            timeout: configuration.connectTimeout)
        backoff = Backoff(configuration.backoff)
        session = ClientSession(
            configuration.session, firstPacketID: .random(in: 1 ... .max, using: &generator))
    }

    /// Closes the connection without a word, as the end of the process would: the server publishes
    /// the will. For an orderly end, `stop`.
    deinit {
        switch phase {
        case .idle: break
        case .waiting(let timer): loop.cancel(timer)
        case .connecting(let link), .closing(let link): link.close()
        }
        for timer in [alarm?.timer, dirty, stopping?.limit] {
            if let timer { loop.cancel(timer) }
        }
        if let hook { loop.removeHook(hook) }
    }

    /// Whether the server has taken the connection, and it is not over.
    public var isConnected: Bool { session.isConnected }
    /// Messages that wait or are on their way.
    public var queuedMessages: Int { session.queuedMessages }
    /// Bytes of their topics, properties and payloads.
    public var queuedBytes: Int { session.queuedBytes }

    /// Reads nothing while it is `true` and there is a connection, so that the server's messages
    /// wait there. The server's silence then proves nothing, and does not end the connection.
    public var pausesReading: Bool {
        get { session.pausesInput }
        set {
            guard newValue != session.pausesInput else { return }
            session.pausesInput = newValue
            markDirty()
        }
    }

    // MARK: What the application does

    /// Begins to connect. A configuration that cannot be used is reported as `disconnected` without
    /// a next attempt.
    public func start() {
        guard case .idle = phase else { return }
        if hook == nil { hook = loop.atEndOfTick { [weak self] in self?.endOfTick() } }
        // Never inside the caller's call: the delegate may not be ready.
        phase = .waiting(loop.schedule(after: .zero) { [weak self] in self?.connect() })
    }

    /// Takes a message to be published. `nil`: taken, and `published` with `token` follows once.
    /// Otherwise why not.
    public func publish(_ message: OutgoingMessage, token: UInt64 = 0) -> PublishRefusal? {
        defer { markDirty() }
        return session.publish(message, token: token, at: loop.now)
    }

    /// Takes away what was published and not acknowledged, in its order, for a client that follows this one; to
    /// be called once this one has stopped, and then it is not started again.
    public func takeMessages() -> [OutgoingMessage] { session.takeMessages() }

    /// Subscribes, now and whenever the server has lost the session; `subscribed` follows each time.
    public func subscribe(_ items: [SubscriptionRequestItem], token: UInt64 = 0) {
        session.subscribe(items, token: token, at: loop.now)
        markDirty()
    }

    /// Ends subscriptions; `unsubscribed` follows.
    public func unsubscribe(_ filters: [String], token: UInt64 = 0) {
        session.unsubscribe(filters, token: token, at: loop.now)
        markDirty()
    }

    /// Says that a message is in safe hands (or, in 5.0, why it is refused). Ignored for `nil`, and
    /// for a delivery of an earlier connection: the server sends that message again.
    public func acknowledge(_ delivery: DeliveryID?, reasonCode: ReasonCode = .success) {
        guard let delivery else { return }
        session.acknowledge(delivery, reasonCode: reasonCode, at: loop.now)
        markDirty()
    }

    /// Ends the connection in order: waits until the server has answered everything, says
    /// DISCONNECT, writes what is left and waits for the server to close; at the latest after
    /// `limit`. Then `disconnected` with the kind `.requested`, and `completion`.
    ///
    /// Messages that are not done by then stay queued for a later `start`.
    public func stop(
        within limit: Duration = .milliseconds(500), completion: @escaping () -> Void = {}
    ) {
        guard stopping == nil else { return completion() }
        let timer = loop.schedule(after: limit) { [weak self] in self?.stopNow() }
        stopping = Stopping(limit: timer, completion: completion)
        guard session.isConnected else { return stopNow() }
        markDirty()
    }

    // MARK: Connecting

    private func connect() {
        if let problem = configuration.session.problem {
            return giveUp(
                ClientFailure(.configuration, problem, hint: "correct the configuration"))
        }
        if configuration.url.usesTLS && tlsContext == nil {
            do throws(TLSError) {
                tlsContext = try TLSContext(client: configuration.tls)
            } catch {
                return retry(after: ClientFailure(tls: error, broker: configuration.url))
            }
        }
        let link = ClientLink(
            configuration, connector: connector, context: tlsContext, loop: loop, client: self)
        phase = .connecting(link)
        link.open()
    }

    /// The transport is open.
    func linkOpened() {
        session.transportOpened(at: loop.now)
        markDirty()
    }

    /// Bytes came; false when the session does not want more of them now. Nobody is told yet, so
    /// that nobody can close the link inside this call.
    func linkReceived(_ input: inout ByteBuffer) -> Bool {
        let now = loop.now
        let used = input.withSpan { session.received($0, at: now) }
        input.consume(used)
        return session.wantsInput
    }

    /// What was received can be told.
    func linkDidRead() {
        deliver()
        markDirty()
    }

    /// The transport cannot be opened, broke or closed.
    func linkFailed(_ failure: ClientFailure) {
        if case .closing = phase { return finishStop() }
        // What is wrong with TLS may be a file that is renewed meanwhile.
        if failure.isAboutTLS { tlsContext = nil }
        session.transportClosed(at: loop.now)
        deliver(instead: failure)
        // The session knew of no connection: it says nothing.
        if case .connecting = phase { retry(after: failure) }
    }

    // MARK: Telling the application

    /// Hands out what the session has to say. `failure`: what is known better than "closed".
    private func deliver(instead failure: ClientFailure? = nil) {
        guard !isDelivering else { return }
        isDelivering = true
        defer { isDelivering = false }
        while let event = session.nextEvent() {
            switch event {
            case .connected(let result):
                connectedAt = loop.now
                delegate?.client(self, connected: result)
            case .message(let message): delegate?.client(self, received: message)
            case .published(let outcome): delegate?.client(self, published: outcome)
            case .subscribed(let token, let codes):
                delegate?.client(self, subscribed: token, reasonCodes: codes)
            case .unsubscribed(let token, let codes):
                delegate?.client(self, unsubscribed: token, reasonCodes: codes)
            case .closed(let end): ended(end, instead: failure)
            }
        }
    }

    private func ended(_ end: SessionEnd, instead failure: ClientFailure?) {
        guard case .connecting(let link) = phase else { return }
        if end == .requested { return beginClosing(link) }
        // The server is told why, if that goes without waiting.
        _ = try? link.write(&session.output)
        var reason = ClientFailure(end, broker: configuration.url, version: session.version)
        if end == .transportClosed, let failure { reason = failure }
        if case .refused(_, _, _, .some) = end { return retry(after: reason, atOnce: true) }
        retry(after: reason)
    }

    /// Closes what there is, and tries again after a pause.
    private func retry(after failure: ClientFailure, atOnce: Bool = false) {
        close()
        if stopping != nil { return finishStop() }
        if let connectedAt { backoff.connectionEnded(after: loop.now - connectedAt) }
        connectedAt = nil
        let pause = atOnce ? .zero : backoff.next(using: &generator)
        phase = .waiting(loop.schedule(after: pause) { [weak self] in self?.connect() })
        delegate?.client(self, disconnected: failure, retryAfter: pause)
    }

    private func giveUp(_ failure: ClientFailure) {
        close()
        phase = .idle
        delegate?.client(self, disconnected: failure, retryAfter: nil)
    }

    private func close() {
        switch phase {
        case .idle: break
        case .waiting(let timer): loop.cancel(timer)
        case .connecting(let link), .closing(let link): link.close()
        }
        session.transportClosed(at: loop.now)
        setAlarm()
    }

    // MARK: Stopping

    private func beginClosing(_ link: ClientLink) {
        phase = .closing(link)
        markDirty()
    }

    private func stopNow() {
        // Said in time or not, DISCONNECT keeps the will from being published.
        session.disconnect()
        if case .connecting(let link) = phase { _ = try? link.write(&session.output) }
        finishStop()
    }

    private func finishStop() {
        guard let stopping else { return }
        self.stopping = nil
        loop.cancel(stopping.limit)
        close()
        phase = .idle
        connectedAt = nil
        if let hook { loop.removeHook(hook) }
        hook = nil
        deliver()
        let failure = ClientFailure(.requested, broker: configuration.url, version: session.version)
        delegate?.client(self, disconnected: failure, retryAfter: nil)
        stopping.completion()
    }

    // MARK: The end of a tick

    /// Something may have to be told or written. The timer brings another tick for what another
    /// hook of this tick asks for after ours has run.
    private func markDirty() {
        guard dirty == nil else { return }
        dirty = loop.schedule(after: .zero) {}
    }

    private func endOfTick() {
        guard let dirty else { return }
        loop.cancel(dirty)
        self.dirty = nil
        deliver()
        if stopping != nil && session.isConnected && session.isDrained {
            session.disconnect()
            deliver()
        }
        switch phase {
        case .idle, .waiting: break
        case .connecting(let link), .closing(let link): flush(link)
        }
        setAlarm()
    }

    private func flush(_ link: ClientLink) {
        link.setWantsInput(session.wantsInput)
        do throws(ClientFailure) {
            var isWritten = false
            repeat {
                isWritten = try link.write(&session.output)
                session.outputDrained(at: loop.now)
            } while isWritten && !session.output.isEmpty
            if session.output.isEmpty, case .closing = phase { link.shutDown() }
        } catch {
            linkFailed(error)
        }
        deliver()
    }

    /// Sets the timer for the session's next deadline; an earlier one than needed just looks again.
    private func setAlarm() {
        guard let deadline = session.nextDeadline else {
            if let alarm { loop.cancel(alarm.timer) }
            alarm = nil
            return
        }
        if let alarm {
            if alarm.deadline <= deadline { return }
            loop.cancel(alarm.timer)
        }
        let timer = loop.schedule(at: deadline) { [weak self] in self?.deadlineReached() }
        alarm = (deadline, timer)
    }

    private func deadlineReached() {
        alarm = nil
        session.advance(to: loop.now)
        deliver()
        markDirty()
    }
}
