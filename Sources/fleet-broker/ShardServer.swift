import BrokerCore
import Daemon
import IO
import MQTT
import TLS

/// The shell around one `BrokerShard`, on one loop: its connections, the clock and random bits.
///
/// Bytes are read into one buffer of the loop's and handed to the shard in place. What the shard leaves
/// is taken at the end of each tick: one write for each connection that has something new.
final class ShardServer: EventHandler {
    /// Bytes taken from one connection in one tick; who has more waits for the next.
    static let readSize = 64 * 1024
    /// How long a connection that ends may take to receive its last bytes.
    static let lingerTime = Duration.seconds(1)
    /// How long clients may take to go when the broker ends.
    static let farewellTime = Duration.milliseconds(400)

    /// Checks a password somewhere else and calls back on this loop.
    typealias Authenticate = (
        _ user: [UInt8], _ password: [UInt8], _ peer: SocketAddress,
        _ completion: @escaping (AuthenticationResult) -> Void
    ) -> Void

    let loop: EventLoop
    let log: Log
    var shard: BrokerShard
    private let authenticate: Authenticate
    /// By the slot of the connection's identifier.
    private var links: [Link?] = []
    private var linkCount = 0
    private var inbox = ByteBuffer()
    private var timer: (id: TimerID, time: MonotonicTime)?
    private var farewell: (() -> Void)?

    init(
        _ shard: consuming BrokerShard, loop: EventLoop, log: Log,
        authenticate: @escaping Authenticate
    ) {
        self.shard = shard
        self.loop = loop
        self.log = log
        self.authenticate = authenticate
        loop.atEndOfTick { [weak self] in self?.endTick() }
    }

    /// Takes over a new configuration; users who are gone or have another password are disconnected.
    func reconfigure(
        _ configuration: BrokerConfiguration, removed: Set<[UInt8]>, changed: Set<[UInt8]>
    ) {
        shard.reconfigure(configuration, at: loop.now)
        shard.usersChanged(removed: removed, changed: changed, at: loop.now)
    }

    /// Says goodbye to all clients and calls `done` when they are gone, or have had their time.
    func stop(_ done: @escaping () -> Void) {
        shard.shutDown(at: loop.now)
        farewell = done
        loop.schedule(after: Self.farewellTime) { [weak self] in self?.sayFarewell() }
        endTick()
    }

    private func sayFarewell() {
        guard let done = farewell else { return }
        farewell = nil
        done()
    }
}

// MARK: - Connections

extension ShardServer {
    /// Serves a connection that a listener accepted.
    func accept(
        _ socket: consuming FileDescriptor, _ peer: SocketAddress, _ listener: ServerListener
    ) {
        guard
            let id = shard.opened(
                rules: listener.rules, nonce: SystemRandom.number(), at: loop.now)
        else {
            return log.warning("connection refused: limits.connections", ["address": peer])
        }
        do {
            let transport =
                if let context = listener.context {
                    try Transport(server: socket, context: context)
                } else {
                    Transport(plain: socket)
                }
            let link = Link(id, transport, peer)
            try loop.add(
                link.transport.descriptor, interest: .readable, token: id.rawValue, handler: self)
            while links.count <= id.slot { links.append(nil) }
            links[id.slot] = link
            linkCount += 1
        } catch {
            shard.closed(id, .connectionFailed("\(error)"), at: loop.now)
            log.error("cannot serve a connection", ["address": peer, "error": "\(error)"])
        }
    }

    private func link(_ id: ConnectionID) -> Link? {
        guard id.slot < links.count, let link = links[id.slot], link.id == id else { return nil }
        return link
    }

    func ready(token: UInt64, readiness: Readiness) {
        guard let link = link(ConnectionID(rawValue: token)) else { return }
        if readiness.contains(.readable) || readiness.contains(.hangUp)
            || !link.transport.isEstablished
        {
            read(link)
        }
        if readiness.contains(.writable) && !link.isGone { flush(link) }
        if !link.isGone { watch(link) }
    }

    private func read(_ link: Link) {
        inbox.removeAll(keepingCapacity: true)
        let progress: StreamProgress
        do throws(TransportError) {
            progress = try link.transport.read(into: &inbox, atMost: Self.readSize)
        } catch {
            return lose(link, .connectionFailed("\(error)"))
        }
        switch progress {
        case .bytes:
            // A connection that ends is read to its end, so that its last bytes are not lost to a reset.
            if link.isClosing { return }
            inbox.withSpan { shard.received($0, on: link.id, at: loop.now) }
        case .wouldBlock: break
        case .closed: lose(link, .connectionClosed)
        }
    }

    /// Writes what may leave, as far as the peer takes it.
    private func flush(_ link: Link) {
        do throws(TransportError) {
            let left = try shard.flush(link.id, at: loop.now) { bytes throws(TransportError) in
                var sent = 0
                while sent < bytes.count {
                    let count = try link.transport.write(bytes.extracting(sent..<bytes.count))
                    if count == 0 { break }
                    sent += count
                }
                return sent
            }
            link.hasOutput = left > 0
        } catch {
            return lose(link, .connectionFailed("\(error)"))
        }
        if link.isClosing && !link.hasOutput && !link.hasShutDown {
            link.hasShutDown = true
            link.transport.shutDown()
        }
    }

    private func watch(_ link: Link) {
        let interest = link.transport.interest(
            hasOutput: link.hasOutput, wantsInput: !link.isPaused)
        do throws(IOError) {
            try loop.modify(link.transport.descriptor, interest: interest)
        } catch {
            lose(link, .connectionFailed("\(error)"))
        }
    }

    /// The shard is done with the connection: its last bytes leave, then the peer closes or is closed.
    private func close(_ link: Link) {
        guard !link.isClosing && !link.isGone else { return }
        link.isClosing = true
        link.isPaused = false
        link.linger = loop.schedule(after: Self.lingerTime) { [weak self, weak link] in
            if let self, let link { self.lose(link, .connectionClosed) }
        }
        flush(link)
        if !link.isGone { watch(link) }
    }

    /// The transport is at its end.
    private func lose(_ link: Link, _ cause: DisconnectCause) {
        guard !link.isGone else { return }
        link.isGone = true
        if let linger = link.linger { loop.cancel(linger) }
        loop.remove(link.transport.descriptor)
        shard.closed(link.id, cause, at: loop.now)
        // The shard says goodbye to what it still knew; its events name the address.
        while let action = shard.nextAction() { perform(action) }
        links[link.id.slot] = nil
        linkCount -= 1
    }
}

// MARK: - The end of a tick

extension ShardServer {
    private func endTick() {
        repeat {
            // Durability is memory here: what a turn changed is as safe as it will be.
            if let turn = shard.endTurn() { shard.committed(turn.number, at: loop.now) }
            while let action = shard.nextAction() { perform(action) }
            while let id = shard.nextDirty() {
                guard let link = link(id) else { continue }
                flush(link)
                if !link.isGone { watch(link) }
            }
        } while shard.hasWork
        setTimer()
        if farewell != nil && linkCount == 0 { sayFarewell() }
    }

    private func perform(_ action: BrokerAction) {
        switch action {
        case .close(let id): link(id).map(close)
        case .authenticate(let id, let user, let password):
            check(id, user: user, password: password)
        case .pauseReading(let id): setPaused(id, true)
        case .resumeReading(let id): setPaused(id, false)
        case .log(let event):
            log(event) { [links] id in
                id.slot < links.count ? links[id.slot]?.peer : nil
            }
        }
    }

    private func setPaused(_ id: ConnectionID, _ isPaused: Bool) {
        guard let link = link(id), !link.isClosing else { return }
        link.isPaused = isPaused
        watch(link)
    }

    private func check(_ id: ConnectionID, user: [UInt8], password: [UInt8]) {
        guard let peer = link(id)?.peer else { return }
        authenticate(user, password, peer) { [weak self] result in
            guard let self else { return }
            self.shard.authenticated(id, result: result, at: self.loop.now)
        }
    }

    private func setTimer() {
        guard let next = shard.nextDeadline else { return }
        if let timer {
            guard next < timer.time else { return }
            loop.cancel(timer.id)
        }
        let id = loop.schedule(at: next) { [weak self] in
            guard let self else { return }
            self.timer = nil
            self.shard.advance(to: self.loop.now)
        }
        timer = (id, next)
    }
}
