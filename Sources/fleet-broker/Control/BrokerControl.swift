import BrokerCore
import Daemon
import FleetModel
import IO
import MQTT

/// What the broker's control socket answers; `ControlCommands` is its other end.
///
/// Whoever brings another command registers it here: `control.register("name") { request, reply in … }`.
final class BrokerControl {
    /// Rows of a table that one step makes; the loop serves clients between two steps.
    private static let step: UInt32 = 256

    private unowned let server: BrokerServer
    private unowned let observer: BrokerObserver
    private let context: DaemonContext
    private let socket: ControlServer

    init(
        _ server: BrokerServer, _ observer: BrokerObserver, _ socket: ControlServer,
        _ context: DaemonContext
    ) {
        self.server = server
        self.observer = observer
        self.context = context
        self.socket = socket
        registerStatus()
        registerTables()
        registerOrders()
    }

    /// Opens the socket and answers; `nil` where there is none, of which a warning speaks.
    static func open(
        _ server: BrokerServer, _ observer: BrokerObserver, _ settings: ObserveSettings,
        _ context: DaemonContext
    ) throws(DaemonError) -> BrokerControl? {
        guard let socket = try ControlServer.open(settings.control, context) else { return nil }
        let control = BrokerControl(server, observer, socket, context)
        try socket.start(context.log)
        return control
    }

    /// Adds a command of another part of the broker.
    func register(_ name: String, _ command: @escaping ControlServer.Command) {
        socket.register(name, command)
    }

    func stop() { socket.stop() }

    // MARK: Commands

    private func registerStatus() {
        socket.register("status") { [weak self] _, reply in
            guard let self else { return }
            self.observer.gather { figures in
                reply.finish(figures.json(logLevel: self.context.log.level))
            }
        }
    }

    private func registerTables() {
        socket.register("clients") { [weak self] _, reply in
            self?.streamSessions(reply) { $0.connection != nil }
        }
        socket.register("sessions") { [weak self] _, reply in
            self?.streamSessions(reply) { _ in true }
        }
        socket.register("subscriptions") { [weak self] request, reply in
            self?.answer(reply) { control throws(DaemonError) in
                control.showSubscriptions(try request.required("client"), reply)
            }
        }
        socket.register("queue") { [weak self] request, reply in
            self?.answer(reply) { control throws(DaemonError) in
                control.streamQueue(
                    try request.required("client"), withPayload: request.flag("payload"), reply)
            }
        }
        socket.register("retained") { [weak self] request, reply in
            self?.answer(reply) { control throws(DaemonError) in
                let filter = try Self.filter(request.string("filter") ?? "#")
                if request.flag("delete") {
                    control.deleteRetained(filter, reply)
                } else {
                    control.streamRetained(filter, withPayload: request.flag("payload"), reply)
                }
            }
        }
    }

    private func registerOrders() {
        socket.register("kick") { [weak self] request, reply in
            self?.answer(reply) { control throws(DaemonError) in
                control.kick(try request.required("client"), reply)
            }
        }
    }

    private func answer(
        _ reply: ControlReply, _ body: (BrokerControl) throws(DaemonError) -> Void
    ) {
        do throws(DaemonError) {
            try body(self)
        } catch {
            reply.fail(error)
        }
    }

    private static func filter(_ text: String) throws(DaemonError) -> TopicFilter {
        do throws(TopicError) {
            return try TopicFilter(text)
        } catch {
            throw DaemonError(.usage, "\"\(text)\" is no topic filter: \(error.detail)")
        }
    }

    private static func noSession(_ client: String) -> DaemonError {
        DaemonError(
            .failure, "there is no session of a client \"\(client)\"",
            hint: "fleet-broker sessions lists them")
    }
}

// MARK: - Sessions

extension BrokerControl {
    /// Sessions in the order of their places in the shards, a step of each shard at a time.
    private func streamSessions(
        _ reply: ControlReply, _ isWanted: @escaping @Sendable (SessionInfo) -> Bool
    ) {
        var place: UInt32 = 0
        reply.stream { [weak self] done in
            guard let self else { return done(false) }
            let start = place
            self.server.onEveryShard(
                { shard in
                    let now = shard.loop.now
                    var rows: [JSONObject] = []
                    let next = shard.shard.sessions(from: start, limit: Self.step) { session in
                        guard isWanted(session) else { return }
                        let peer = session.connection.flatMap { shard.peer(of: $0.id) }
                        rows.append(session.json(peer: peer, at: now))
                    }
                    return (rows, next != nil)
                },
                then: { answers in
                    for (rows, _) in answers { rows.forEach(reply.item) }
                    place += Self.step
                    let hasMore = answers.contains(where: \.1)
                    if !hasMore { reply.finish() }
                    done(hasMore)
                })
        }
    }

    private func showSubscriptions(_ client: String, _ reply: ControlReply) {
        let clientID = Array(client.utf8)
        server.onEveryShard(
            { shard -> [JSONObject]? in
                guard shard.shard.session(clientID: clientID) != nil else { return nil }
                var rows: [JSONObject] = []
                shard.shard.forEachSubscription(clientID: clientID) { filter, qos in
                    rows.append([
                        "filter": .string(String(decoding: filter, as: UTF8.self)),
                        "qos": .integer(Int64(qos.rawValue)),
                    ])
                }
                return rows
            },
            then: { answers in
                let found = answers.compactMap { $0 }
                guard !found.isEmpty else { return reply.fail(Self.noSession(client)) }
                for rows in found { rows.forEach(reply.item) }
                reply.finish()
            })
    }

    private func kick(_ client: String, _ reply: ControlReply) {
        let clientID = Array(client.utf8)
        server.onEveryShard(
            {
                $0.shard.disconnect(clientID: clientID, at: $0.loop.now)
            },
            then: { answers in
                if answers.contains(true) {
                    reply.finish(["client": .string(client)])
                } else {
                    reply.fail(
                        DaemonError(
                            .failure, "no client \"\(client)\" is connected",
                            hint: "fleet-broker clients lists them"))
                }
            })
    }
}

// MARK: - Messages

extension BrokerControl {
    private func streamQueue(_ client: String, withPayload: Bool, _ reply: ControlReply) {
        let clientID = Array(client.utf8)
        var place = 0
        reply.stream { [weak self] done in
            guard let self else { return done(false) }
            let start = place
            self.server.onEveryShard(
                { shard -> ([JSONObject], hasMore: Bool)? in
                    guard shard.shard.session(clientID: clientID) != nil else { return nil }
                    var rows: [JSONObject] = []
                    let next = shard.shard.queue(
                        clientID: clientID, from: start, limit: Int(Self.step), at: shard.loop.now
                    ) { rows.append($0.json(withPayload: withPayload)) }
                    return (rows, next != nil)
                },
                then: { answers in
                    guard let (rows, hasMore) = answers.compactMap({ $0 }).first else {
                        // It may have ended between two steps; then what was shown is all there was.
                        if start == 0 { reply.fail(Self.noSession(client)) } else { reply.finish() }
                        return done(false)
                    }
                    rows.forEach(reply.item)
                    place += Int(Self.step)
                    if !hasMore { reply.finish() }
                    done(hasMore)
                })
        }
    }

    /// Every shard has all retained messages, so the first one is asked.
    private func streamRetained(
        _ filter: TopicFilter, withPayload: Bool, _ reply: ControlReply
    ) {
        var place = 0
        reply.stream { [weak self] done in
            guard let self else { return done(false) }
            let start = place
            self.server.onEveryShard(
                { shard -> ([JSONObject], next: Int?) in
                    var rows: [JSONObject] = []
                    guard shard.shard.position.index == 0 else { return (rows, nil) }
                    let next = shard.shard.retained(
                        matching: filter, from: start, limit: Int(Self.step), at: shard.loop.now
                    ) { rows.append($0.json(withPayload: withPayload)) }
                    return (rows, next)
                },
                then: { answers in
                    for (rows, _) in answers { rows.forEach(reply.item) }
                    guard let next = answers.first?.next else {
                        reply.finish()
                        return done(false)
                    }
                    place = next
                    done(true)
                })
        }
    }

    /// Removes what matches, step by step; each topic that went is an item.
    private func deleteRetained(_ filter: TopicFilter, _ reply: ControlReply) {
        var place = 0
        var count = 0
        reply.stream { [weak self] done in
            guard let self else { return done(false) }
            let start = place
            self.server.onEveryShard(
                { shard -> ([[UInt8]], next: Int?) in
                    var topics: [[UInt8]] = []
                    let next = shard.shard.retained(
                        matching: filter, from: start, limit: Int(Self.step), at: shard.loop.now
                    ) { topics.append($0.topic) }
                    topics.removeAll { !shard.shard.removeRetained(topic: $0) }
                    return (topics, next)
                },
                then: { answers in
                    for topic in answers.first?.0 ?? [] {
                        reply.item(["topic": .string(String(decoding: topic, as: UTF8.self))])
                        count += 1
                    }
                    guard let next = answers.compactMap(\.next).max() else {
                        reply.finish(["deleted": .integer(Int64(count))])
                        return done(false)
                    }
                    place = next
                    done(true)
                })
        }
    }
}
