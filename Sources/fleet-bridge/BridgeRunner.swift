import BridgeCore
import Client
import Daemon
import FleetModel
import IO
import JSON
import MQTT
import Store
import TLS

/// What the store's thread tells the loop.
enum StoreNews: Sendable {
    case committed(Result<CommitResult, StoreError>)
    case loaded(Route, Result<[MessageBatch], StoreError>)
    case happened(StoreThread.Event)
    case checked(Result<[String], StoreError>)
}

/// The bridge at work: one loop, the store's thread, two connections, and the core between them.
final class BridgeRunner {
    private let settings: BridgeSettings
    private let context: DaemonContext
    private let store: BridgeStore
    private let files: StoreFiles
    private let port: EventLoop.Port<StoreNews>
    private let presence: BridgePresence
    private let staleFilters: PerRoute<[String]>
    private var core: Bridge
    private var links: (edge: BridgeLink, upstream: BridgeLink)?
    private(set) var isStopping = false
    /// Set while there is something for the pump: it brings the next tick, if nothing else does.
    private var pumpDue: TimerID?
    /// What follows when the store holds all it can get before the end.
    private var afterSettling: (limit: TimerID, body: () -> Void)?
    /// What was said of the store, and when.
    private var complaints: [String: MonotonicTime] = [:]
    private var alarm: (deadline: MonotonicTime, timer: TimerID)?
    private var upSince = Timestamp(unixMilliseconds: 0)
    private var lastReport: (edge: [UInt8], upstream: [UInt8]) = ([], [])

    init(
        _ settings: BridgeSettings, _ opened: OpenedStore, machine: MachineIdentity,
        context: DaemonContext, port: EventLoop.Port<StoreNews>
    ) throws(FleetModel.NameError) {
        self.settings = settings
        self.context = context
        self.port = port
        store = opened.store
        files = opened.files
        staleFilters = opened.content.staleFilters
        presence = try BridgePresence(
            identity: settings.identity, instance: opened.instance, session: opened.content.session,
            startedAt: Timestamp(unixMilliseconds: SystemClock.unixMilliseconds()))
        core = Bridge(
            identity: settings.identity, stored: opened.content.state, boot: machine.bootBits,
            limits: settings.limits)
    }

    func start() {
        let edge = BridgeLink(
            .edge, configuration(settings.edge, will: presence.serviceWill),
            subscriptions: settings.routes.up.map { filter in
                // Retained messages once, when the session begins, and marked as such ever after.
                SubscriptionRequestItem(
                    filter.description, noLocal: true, retainAsPublished: true,
                    retainHandling: .sendIfNew)
            }, staleFilters: staleFilters.up, runner: self, context: context)
        let upstream = BridgeLink(
            .upstream, configuration(settings.upstream, will: presence.linkWill),
            subscriptions: settings.routes.down.map { filter in
                SubscriptionRequestItem(
                    filter.description, noLocal: true, retainAsPublished: true,
                    retainHandling: .sendIfNew)
            } + [
                // A late will must not stand: see `answerLateWill`. It counts as our own message.
                SubscriptionRequestItem(presence.linkTopic.text, retainHandling: .doNotSend)
            ], staleFilters: staleFilters.down, runner: self, context: context)
        links = (edge, upstream)
        context.loop.atEndOfTick { [weak self] in self?.pump() }
        edge.start()
        upstream.start()
        markDirty()
        reportRegularly(.edge, every: settings.edgeReportInterval)
        reportRegularly(.upstream, every: settings.upstreamReportInterval)
    }

    /// How long an orderly end may wait for the store, twice, and for the brokers; all of it stays
    /// below `DaemonMain.stopTime`.
    private static let settlingTime = Duration.milliseconds(150)
    private static let farewellTime = Duration.milliseconds(400)

    /// Commits and acknowledges what came, says good-bye on both sides, writes the last answers and
    /// closes the store: then the next start repeats nothing.
    func stop(_ done: @escaping () -> Void) {
        guard !isStopping, links != nil else { return done() }
        isStopping = true
        core.finish()
        let ended = context.loop.makePort { (_: Bool) in done() }
        whenSettled { [self] in
            sayGoodbye { [self] in
                whenSettled { [self] in store.thread.stop { ended.send(true) } }
            }
        }
    }

    /// Goes on when everything is in the store, or does not get there in time.
    private func whenSettled(_ body: @escaping () -> Void) {
        let limit = context.loop.schedule(after: Self.settlingTime) { [weak self] in
            self?.settled()
        }
        afterSettling = (limit, body)
        markDirty()
    }

    private func settled() {
        guard let (limit, body) = afterSettling else { return }
        afterSettling = nil
        context.loop.cancel(limit)
        body()
    }

    private func sayGoodbye(_ done: @escaping () -> Void) {
        guard let links else { return done() }
        links.edge.publishOwn(presence.serviceTopic.bytes, presence.service(.offline).encode())
        links.upstream.publishOwn(
            presence.serviceTopic.bytes, presence.service(.offline).encode())
        linkChanged(.offline)
        var open = 2
        let closed = {
            open -= 1
            if open == 0 { done() }
        }
        links.edge.stop(within: Self.farewellTime, closed)
        links.upstream.stop(within: Self.farewellTime, closed)
    }

    private func configuration(
        _ broker: BrokerSettings, will: ClientWill
    ) -> MQTTClientConfiguration {
        var session = ClientSessionConfiguration(
            clientID: "fleet-bridge-\(presence.instance)")
        session.will = will
        // What the session holds is in the store; the server's side of it outlives a restart.
        session.cleanStart = false
        // What is sent at QoS 0 is answered by nobody, and nothing may go without an answer.
        session.requiredQoS = .atLeastOnce
        session.sessionExpirySeconds = UInt32(clamping: broker.sessionExpiry.components.seconds)
        session.pingResponseTimeout = min(broker.client.keepAlive, .seconds(15))
        // Mosquitto 2.0 forgets its own count when a session is resumed and sends more than it may,
        // so the number is not what bounds memory here: `pauseReading` is.
        session.receiveMaximum = .max
        session.maximumPacketSize = broker.maximumPacketSize
        let forwarder = settings.limits.forwarder
        session.maximumInFlight = UInt16(clamping: forwarder.maximumInFlight)
        session.maximumQueuedBytes =
            forwarder.maximumInFlightBytes
            + 2 * max(settings.edge.maximumPacketSize, settings.upstream.maximumPacketSize)
        var configuration = broker.client.configuration(broker.url, session)
        configuration.connectTo = broker.connectTo
        configuration.connectTimeout = .seconds(15)
        configuration.backoff.maximum = .seconds(30)
        return configuration
    }

    // MARK: What the links tell

    private var now: Moment {
        Moment(
            monotonic: context.loop.now,
            unixMilliseconds: UInt64(clamping: SystemClock.unixMilliseconds()))
    }

    func connected(_ link: BridgeLink, _ limits: LinkLimits) {
        core.connected(link.side, limits, now: now)
        if link.side == .upstream {
            upSince = Timestamp(unixMilliseconds: SystemClock.unixMilliseconds())
            linkChanged(.online)
        }
        report(link.side, again: true)
        markDirty()
    }

    func disconnected(_ link: BridgeLink, _ end: LinkEnd) {
        let needsNewSession = core.disconnected(link.side, end, now: now)
        markDirty()
        guard needsNewSession, !isStopping else { return }
        context.log.warning("a message seems to make the peer close; sending one at a time")
        core.sessionReplaced(link.side)
        // Not inside the client's own call.
        context.loop.schedule(after: .zero) { [weak link] in link?.replaceSession() }
    }

    /// The client has given up for good: only a changed configuration helps.
    func cannotConnect(_ name: String, _ failure: ClientFailure) {
        context.fail(DaemonError(.configuration, "\(name): \(failure.problem)", hint: failure.hint))
    }

    func received(_ message: ArrivingMessage, from side: Side) {
        // Never acknowledged, so it comes again after the restart.
        if isStopping { return }
        if side == .upstream, message.topic == presence.linkTopic.bytes {
            answerLateWill(message.payload)
        }
        core.received(message, from: side, now: now)
        markDirty()
    }

    func published(_ side: Side, token: UInt64, _ answer: Answer) {
        core.published(side, token: token, answer, now: now)
        markDirty()
    }

    func filtersForgotten(_ filters: [String], by side: Side) {
        store.forget(filters, of: side.incoming)
    }

    func nextMessage(_ side: Side) -> ForwardedMessage? {
        isStopping ? nil : core.nextMessage(side, now: now)
    }

    /// The will of a connection that we have replaced already may come after our `online`.
    private func answerLateWill(_ payload: [UInt8]) {
        guard let json = try? JSON.parse(payload), let link = try? Link(json: json),
            link.state == .offline
        else { return }
        guard link.instance == nil || link.instance == presence.instance else {
            context.log.warning(
                "another bridge writes this bridge's link topic",
                [
                    "topic": presence.linkTopic.text,
                    "hint": "give one of the two another node or upstream name",
                ])
            return
        }
        linkChanged(.online)
    }

    private func linkChanged(_ state: Presence) {
        let since =
            state == .online
            ? upSince : Timestamp(unixMilliseconds: SystemClock.unixMilliseconds())
        links?.upstream.publishOwn(
            presence.linkTopic.bytes, presence.link(state, since: since).encode())
    }

    // MARK: The pump

    private func markDirty() {
        guard pumpDue == nil else { return }
        // What another hook of this tick tells, after the pump has run, waits for no other event.
        pumpDue = context.loop.schedule(after: .zero) {}
    }

    /// Once a tick: everything that the core has to do.
    private func pump() {
        guard let pumpDue, let links else { return }
        context.loop.cancel(pumpDue)
        self.pumpDue = nil
        if let transaction = core.takeTransaction(now: now) { commit(transaction) }
        while let request = core.nextLoad(now: now) { load(request) }
        for link in [links.edge, links.upstream] {
            while let delivery = core.nextAcknowledgement(link.side) { link.acknowledge(delivery) }
            link.pauseReading(core.isPaused(link.side))
            link.send()
            guard link.isUp, !isStopping else { continue }
            if core.isStalled(link.side, now: context.loop.now) { link.reconnect() }
        }
        if core.isSettled { settled() }
        setAlarm()
    }

    private func setAlarm() {
        guard let deadline = core.nextDeadline(now: context.loop.now) else { return }
        if let alarm, alarm.deadline <= deadline { return }
        if let alarm { context.loop.cancel(alarm.timer) }
        let timer = context.loop.schedule(at: deadline) { [weak self] in
            self?.alarm = nil
            self?.markDirty()
        }
        alarm = (deadline, timer)
    }

    // MARK: The store

    private func commit(_ transaction: StoreTransaction) {
        let port = self.port
        let isTaken = store.commit(transaction) { port.send(.committed($0)) }
        if !isTaken { core.commitFailed(now: now) }
    }

    private func load(_ request: LoadRequest) {
        let port = self.port
        let isTaken = store.load(request) { port.send(.loaded(request.route, $0)) }
        if !isTaken { core.loadFailed(request.route, now: now) }
    }

    func handle(_ news: StoreNews) {
        switch news {
        case .committed(.success(let result)): core.committed(result)
        case .committed(.failure(let error)):
            complain("not stored, trying again: \(error)")
            core.commitFailed(now: now)
        case .loaded(let route, .success(let batches)): core.loaded(route, batches)
        case .loaded(let route, .failure(let error)):
            complain("not read, trying again: \(error)")
            core.loadFailed(route, now: now)
        case .happened(.reopened(let error)):
            complain("the store was reopened and is sound, after: \(error)")
        case .happened(.failed(let error)): storeFailed(error)
        case .checked(.success(let problems)):
            guard let first = problems.first else {
                return context.log.info("the store is sound")
            }
            files.markDamaged()
            context.fail(
                DaemonError(
                    .dataError, "the store is damaged: \(first)",
                    hint: "start again: it is put aside and a new one is made"))
        case .checked(.failure(let error)):
            context.log.warning("the store could not be checked: \(error)")
        }
        markDirty()
    }

    private static let complaintInterval = Duration.seconds(60)
    private static let complaintLimit = 20

    /// A disk that stays full is no news every second.
    private func complain(_ text: String) {
        let now = context.loop.now
        if let last = complaints[text], now < last + Self.complaintInterval {
            return context.log.debug(text)
        }
        if complaints.count >= Self.complaintLimit { complaints = [:] }
        complaints[text] = now
        context.log.error(text)
    }

    private func storeFailed(_ error: StoreError) {
        if error.kind == .corrupt { files.markDamaged() }
        context.fail(
            DaemonError(
                error.kind == .corrupt ? .dataError : .inputOutput,
                "the store cannot go on: \(error)",
                hint: "start again; a damaged store is then put aside and a new one made"))
    }

    // MARK: Reports

    private func reportRegularly(_ side: Side, every interval: Duration) {
        context.loop.schedule(after: interval) { [weak self] in
            guard let self, !isStopping else { return }
            report(side, again: false)
            reportRegularly(side, every: interval)
        }
    }

    /// Publishes `service/bridge`, when its figures have changed.
    private func report(_ side: Side, again: Bool) {
        guard let links, !isStopping else { return }
        let state = presence.service(
            .online, core: core, quarantined: files.quarantined, now: now)
        let payload = state.encode()
        switch side {
        case .edge:
            guard again || payload != lastReport.edge else { return }
            links.edge.publishOwn(presence.serviceTopic.bytes, payload)
            lastReport.edge = payload
        case .upstream:
            guard again || payload != lastReport.upstream else { return }
            links.upstream.publishOwn(presence.serviceTopic.bytes, payload)
            lastReport.upstream = payload
        }
    }
}
