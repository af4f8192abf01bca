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

    /// Finds what a user's password is checked by in a SCRAM exchange, and calls back on this loop; a
    /// made-up one for who is not known.
    typealias FindVerifier = (
        _ user: [UInt8], _ completion: @escaping (SCRAMVerifier?) -> Void
    ) -> Void

    let loop: EventLoop
    let log: Log
    var shard: BrokerShard
    /// `nil`: nothing is kept.
    let store: StoreHandle?
    private let authenticate: Authenticate
    let findVerifier: FindVerifier
    /// SCRAM exchanges that wait for their client's second message.
    var exchanges: [ConnectionID: SCRAMExchange] = [:]
    /// The turn that the store has, until it is committed.
    var pendingTurn: Turn?
    /// Counts the stores; an answer of one that was replaced is no answer.
    var storeEpoch = 0
    var commits: EventLoop.Port<CommitReport>?
    var drained: (() -> Void)?
    /// By the slot of the connection's identifier.
    var links: [Link?] = []
    var linkCount = 0
    /// By the same slot: when a connection that ends is given up.
    private var lingering: [Int: TimerID] = [:]
    /// TLS handshakes that go on in one turn, so that a flood of them leaves time for the others.
    var handshakesPerTurn: Int
    private var handshakesLeft: Int
    private var inbox = ByteBuffer()
    private var timer: (id: TimerID, time: MonotonicTime)?
    private var farewell: (() -> Void)?
    private(set) var isStopping = false
    /// `nil` where there is one shard.
    var peers: ShardPeers?
    /// Empty mail, to be swapped for what the shard has.
    var outgoing = ShardMail()
    /// Where the last connection with TLS went.
    var nextLoop = 0
    /// What listeners have read of certificates and keys at the last reload, by their terms.
    var contexts: [ObjectIdentifier: TLSContext] = [:]
    /// Counts the reloads whose reviews have begun.
    var reviewRound = 0
    /// Shards that were behind when this loop last looked.
    var knownCrowd: UInt64 = 0
    /// Others were told that this shard has too much to commit.
    var wasBehindStore = false

    init(
        _ shard: consuming BrokerShard, store: StoreHandle?, loop: EventLoop, log: Log,
        handshakesPerTurn: Int,
        authenticate: @escaping Authenticate,
        findVerifier: @escaping FindVerifier
    ) {
        self.shard = shard
        self.loop = loop
        self.log = log
        self.handshakesPerTurn = handshakesPerTurn
        handshakesLeft = handshakesPerTurn
        self.store = store
        self.authenticate = authenticate
        self.findVerifier = findVerifier
        if store != nil { commits = loop.makePort { [weak self] in self?.take($0) } }
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
        isStopping = true
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
    /// The address of a connection's client, while it is open.
    func peer(of id: ConnectionID) -> SocketAddress? { link(id)?.peer }

    /// Watches a connection that the shard knows.
    func keep(_ link: Link) throws(IOError) {
        try loop.add(
            link.transport.descriptor, interest: link.interest, token: link.id.rawValue,
            handler: self)
        while links.count <= link.id.slot { links.append(nil) }
        links[link.id.slot] = link
        linkCount += 1
    }

    /// Does not watch a connection any more.
    func forget(_ link: Link) {
        loop.remove(link.transport.descriptor)
        links[link.id.slot] = nil
        exchanges[link.id] = nil
        linkCount -= 1
    }

    func link(_ id: ConnectionID) -> Link? {
        guard id.slot < links.count, let link = links[id.slot], link.id == id else { return nil }
        return link
    }

    func ready(token: UInt64, readiness: Readiness) {
        if let peers { collectMail(peers) }
        guard let link = link(ConnectionID(rawValue: token)) else { return }
        if link.state.contains(.inHandshake) {
            // Each step may cost as much as a thousand messages: the loop tells of the others again.
            if handshakesLeft == 0 { return }
            handshakesLeft -= 1
            read(link)
            if !link.state.contains(.gone) { noteHandshake(link) }
        } else if readiness.contains(.readable) || readiness.contains(.hangUp) {
            read(link)
        }
        if link.state.contains(.gone) { return }
        if readiness.contains(.writable) || link.layers?.hasOutput == true { flush(link) }
        if !link.state.contains(.gone) { watch(link) }
    }

    private func read(_ link: Link) {
        inbox.removeAll(keepingCapacity: true)
        do throws(TransportError) {
            if let layers = link.layers { return try read(link, through: layers) }
            switch try link.transport.read(into: &inbox, atMost: Self.readSize) {
            case .bytes: take(link)
            case .wouldBlock: break
            case .closed: lose(link, .connectionClosed)
            }
        } catch {
            lose(link, .connectionFailed("\(error)"))
        }
    }

    private func read(_ link: Link, through layers: LinkLayers) throws(TransportError) {
        switch try layers.read(&link.transport, into: &inbox, atMost: Self.readSize) {
        case .bytes: take(link)
        case .wouldBlock: break
        case .closed: lose(link, .connectionClosed)
        case .proxied(let source): proxied(link, source)
        case .ended(let cause):
            take(link)
            shard.close(link.id, cause, at: loop.now)
        }
    }

    /// Once the handshake has ended: who the client is, by its certificate or key, before its first bytes.
    private func noteHandshake(_ link: Link) {
        guard link.state.contains(.inHandshake), link.transport.isEstablished else { return }
        link.state.remove(.inHandshake)
        review(link)
        guard let kind = link.identity,
            let user = link.transport.peerIdentity(kind)
        else { return }
        shard.identified(link.id, user: Array(user.utf8))
    }

    /// What was read is the shard's.
    private func take(_ link: Link) {
        // A connection that ends is read to its end, so that its last bytes are not lost to a reset.
        if inbox.isEmpty || link.state.contains(.closing) { return }
        if link.state.contains(.inHandshake) { noteHandshake(link) }
        inbox.withSpan { shard.received($0, on: link.id, at: loop.now) }
    }

    /// Writes what may leave, as far as the peer takes it.
    private func flush(_ link: Link) {
        do throws(TransportError) {
            let left = try shard.flush(link.id, at: loop.now) { bytes throws(TransportError) in
                try link.write(bytes)
            }
            try finishFlush(link, isDone: left == 0)
        } catch {
            lose(link, .connectionFailed("\(error)"))
        }
    }

    /// Writes what the layers have, and our goodbye when it is time; `isDone`: the shard has no more.
    private func finishFlush(_ link: Link, isDone: Bool) throws(TransportError) {
        var isDone = isDone
        if let layers = link.layers {
            if isDone && link.state.contains(.closing) {
                layers.close(farewell == nil ? .normal : .goingAway)
            }
            _ = try link.write([UInt8]().span)
            isDone = isDone && !layers.hasOutput
        }
        if isDone {
            link.state.remove(.hasOutput)
        } else {
            link.state.insert(.hasOutput)
        }
        if isDone && link.state.contains(.closing) && !link.state.contains(.shutDown) {
            link.state.insert(.shutDown)
            link.transport.shutDown()
        }
    }

    private func watch(_ link: Link) {
        do throws(IOError) {
            try loop.modify(link.transport.descriptor, interest: link.interest)
        } catch {
            lose(link, .connectionFailed("\(error)"))
        }
    }

    /// The shard is done with the connection: its last bytes leave, then the peer closes or is closed.
    private func close(_ link: Link) {
        guard link.state.isDisjoint(with: [.closing, .gone]) else { return }
        link.state.insert(.closing)
        link.state.remove(.paused)
        lingering[link.id.slot] = loop.schedule(after: Self.lingerTime) { [weak self, weak link] in
            if let self, let link { self.lose(link, .connectionClosed) }
        }
        flush(link)
        if !link.state.contains(.gone) { watch(link) }
    }

    /// The transport is at its end.
    func lose(_ link: Link, _ cause: DisconnectCause) {
        guard !link.state.contains(.gone) else { return }
        link.state.insert(.gone)
        if let linger = lingering.removeValue(forKey: link.id.slot) { loop.cancel(linger) }
        link.terms.leave(link.state.contains(.countsAddress) ? link.peer : nil, at: loop.now)
        shard.closed(link.id, cause, at: loop.now)
        // The shard says goodbye to what it still knew; its events name the address.
        while let action = shard.nextAction() { perform(action) }
        forget(link)
    }
}

// MARK: - The end of a tick

extension ShardServer {
    private func endTick() {
        if let peers { collectMail(peers) }
        repeat {
            if let turn = shard.endTurn(at: loop.now) { commit(turn) }
            while let action = shard.nextAction() { perform(action) }
            // Before anything leaves: what a client is told of is on its way to all shards.
            if let peers { postMail(peers) }
            while let id = shard.nextDirty() {
                guard let link = link(id) else { continue }
                flush(link)
                if !link.state.contains(.gone) { watch(link) }
            }
        } while shard.hasWork
        if let peers {
            postMail(peers)
            noteCrowd(peers)
        }
        setTimer()
        handshakesLeft = handshakesPerTurn
        if farewell != nil && linkCount == 0 { sayFarewell() }
        if let drained, !shard.hasUncommitted {
            self.drained = nil
            drained()
        }
    }

    private func perform(_ action: BrokerAction) {
        switch action {
        case .close(let id): link(id).map(close)
        case .move(let id, let target): move(id, to: target)
        case .authenticate(let id, let user, let password):
            check(id, user: user, password: password)
        case .exchange(let id, let data, let isFirst): exchange(id, data, isFirst: isFirst)
        case .pauseReading(let id): setPaused(id, true)
        case .resumeReading(let id): setPaused(id, false)
        case .log(let event):
            log(event) { [links] id in
                id.slot < links.count ? links[id.slot]?.peer : nil
            }
        }
    }

    private func setPaused(_ id: ConnectionID, _ isPaused: Bool) {
        guard let link = link(id), !link.state.contains(.closing) else { return }
        if isPaused { link.state.insert(.paused) } else { link.state.remove(.paused) }
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
