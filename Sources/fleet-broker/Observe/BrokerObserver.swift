import BrokerCore
import Daemon
import FleetModel
import IO
import MQTT

/// Looks at the broker's figures now and then and tells them: `$SYS`, `service/broker`, the line of
/// `systemctl status`, and `/metrics` for whoever asks.
final class BrokerObserver {
    /// Places of sessions that one step of a survey looks at; the loop serves others between two steps.
    static let surveyStep: UInt32 = 4_096
    /// Between two looks where nothing is published below `$SYS`.
    private static let standardInterval = Duration.seconds(10)
    /// Who asks over HTTP so soon after another gets the same figures: a flood costs no more.
    private static let freshness = Duration.milliseconds(250)

    private unowned let server: BrokerServer
    private let settings: ObserveSettings
    private let context: DaemonContext
    private let started: MonotonicTime
    private var topics = SystemTopics()
    private var presence: BrokerPresence?
    private var lastService: MonotonicTime?
    private var lastStore = StoreFigures.State.none
    private var clientsMaximum = 0
    private var heapMaximum = 0
    /// What was told over HTTP last.
    private var scraped: BrokerFigures?
    private var waiting: [(BrokerFigures) -> Void] = []
    private var http: HTTPServer?
    private var isStopping = false

    init(_ server: BrokerServer, _ settings: ObserveSettings, _ context: DaemonContext) {
        self.server = server
        self.settings = settings
        self.context = context
        started = context.loop.now
        presence = settings.fleet.flatMap {
            BrokerPresence($0, state: context.state, log: context.log)
        }
    }

    /// Tells everything for the first time, and again and again from then on.
    func start() throws(DaemonError) {
        try startHTTP()
        server.onStoreChange = { [weak self] in
            self?.gather { figures in self?.tell(figures) }
        }
        tick()
    }

    /// Says that the broker goes, while there are still clients to hear it.
    func stop() {
        isStopping = true
        http?.stop()
        if let presence { publish(presence, presence.offline()) }
    }

    private func tick() {
        guard !isStopping else { return }
        gather { [weak self] figures in
            guard let self, !self.isStopping else { return }
            self.tell(figures)
            let interval = self.settings.systemInterval ?? Self.standardInterval
            self.context.loop.schedule(after: interval) { [weak self] in self?.tick() }
        }
    }

    private func tell(_ figures: BrokerFigures) {
        guard !isStopping else { return }
        if settings.systemInterval != nil {
            let messages = topics.messages(figures)
            server.onEveryShard(
                { shard in
                    for message in messages {
                        shard.shard.publishAsServer(
                            topic: message.topic, payload: message.payload, retain: true,
                            at: shard.loop.now)
                    }
                }, then: { _ in })
        }
        tellService(figures)
        context.tell(status: Self.status(figures))
    }

    /// A change of the store is told at once, all else not too often.
    private func tellService(_ figures: BrokerFigures) {
        let isDue = lastService.map { figures.now >= $0 + settings.serviceInterval } ?? true
        guard isDue || figures.store.state != lastStore, var presence else { return }
        lastStore = figures.store.state
        guard let payload = presence.online(figures) else { return }
        lastService = figures.now
        self.presence = presence
        publish(presence, payload)
    }

    private func publish(_ presence: BrokerPresence, _ payload: [UInt8]) {
        let topic = presence.topic.bytes
        server.onEveryShard(
            { shard in
                shard.shard.publishAsServer(
                    topic: topic, payload: payload, qos: .atLeastOnce, retain: true,
                    at: shard.loop.now)
            }, then: { _ in })
    }

    private static func status(_ figures: BrokerFigures) -> String {
        var text = "serving \(figures.shards.connected.total) clients"
        let survey = figures.shards.survey
        if survey.queuedMessages > 0 {
            text += ", \(survey.queuedMessages) messages wait in \(survey.waitingSessions) sessions"
        }
        if let fault = figures.store.fault { text += "; \(fault)" }
        return text
    }
}

// MARK: - Gathering

extension BrokerObserver {
    /// Looks at everything, step by step, and hands the figures over, at once or later.
    func gather(_ finish: @escaping (BrokerFigures) -> Void) {
        waiting.append(finish)
        if waiting.count == 1 { survey(from: 0, SessionSurvey()) }
    }

    private func survey(from start: UInt32, _ sum: SessionSurvey) {
        server.onEveryShard(
            { shard in
                var survey = SessionSurvey()
                let next = shard.shard.survey(from: start, limit: Self.surveyStep, into: &survey)
                return (survey, next != nil)
            },
            then: { [weak self] answers in
                guard let self else { return }
                var sum = sum
                for (survey, _) in answers { sum += survey }
                guard answers.contains(where: \.1) else { return self.conclude(sum) }
                self.context.loop.schedule(after: .zero) { [weak self] in
                    self?.survey(from: start + Self.surveyStep, sum)
                }
            })
    }

    private func conclude(_ survey: SessionSurvey) {
        server.onEveryShard(
            { $0.shard.figures },
            then: { [weak self] answers in
                guard let self else { return }
                var sum = ShardFigures()
                for figures in answers { sum += figures }
                sum.survey = survey
                let figures = self.figures(sum, shardCount: answers.count)
                let waiting = self.waiting
                self.waiting = []
                for finish in waiting { finish(figures) }
            })
    }

    private func figures(_ sum: ShardFigures, shardCount: Int) -> BrokerFigures {
        let process = ProcessFigures.read()
        let now = SystemClock.monotonic()
        clientsMaximum = max(clientsMaximum, sum.connected.total)
        heapMaximum = max(heapMaximum, process?.anonymousBytes ?? 0)
        return BrokerFigures(
            shards: sum, shardCount: shardCount, listeners: server.listenerFigures,
            store: server.storeFigures, process: process, uptime: now - started, now: now,
            clientsMaximum: clientsMaximum, heapMaximum: heapMaximum)
    }
}

// MARK: - HTTP

extension BrokerObserver {
    private func startHTTP() throws(DaemonError) {
        guard let address = settings.httpAddress else { return }
        do throws(IOError) {
            let server = try HTTPServer(address, limits: settings.http)
            try server.start(
                on: context.loop,
                trouble: { [context] in context.log.error("cannot accept", ["error": $0]) },
                answer: { [weak self] request, reply in self?.answer(request, reply) })
            context.log.notice("listening for HTTP", ["address": server.address])
            http = server
        } catch {
            throw DaemonError(
                listening: error, at: address, hint: "stop it, or set another http.address")
        }
    }

    private func answer(_ request: HTTPRequest, _ reply: @escaping (HTTPResponse) -> Void) {
        switch request.path {
        case "/metrics":
            withFigures { figures in
                reply(
                    HTTPResponse(
                        .ok, contentType: PrometheusText.contentType,
                        body: MetricsPage.make(figures).bytes))
            }
        case "/healthz":
            // The loop turns: nobody else could say so.
            reply(HTTPResponse(.ok, "ok"))
        case "/readyz":
            if let fault = isStopping ? "stopping" : server.storeFigures.fault {
                reply(HTTPResponse(.serviceUnavailable, fault))
            } else {
                reply(HTTPResponse(.ok, "ready"))
            }
        default:
            reply(HTTPResponse(.notFound, "there are /metrics, /healthz and /readyz"))
        }
    }

    private func withFigures(_ body: @escaping (BrokerFigures) -> Void) {
        if let scraped, SystemClock.monotonic() < scraped.now + Self.freshness {
            return body(scraped)
        }
        gather { [weak self] figures in
            self?.scraped = figures
            body(figures)
        }
    }
}
