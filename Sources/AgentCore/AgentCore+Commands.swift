public import FleetModel
import MQTT

/// A message that came on one of the agent's subscriptions.
public struct InboundMessage: Hashable, Sendable {
    /// What the shell could read of the payload.
    public enum Payload: Hashable, Sendable {
        case empty
        case json(JSONValue)
        case malformed(why: String)
    }

    public var topic: [UInt8]
    public var payload: Payload
    public var retain: Bool
    public var responseTopic: [UInt8]?
    public var correlationData: [UInt8]?
    /// Names the message in `AgentAction.acknowledge`; `nil` at QoS 0.
    public var delivery: UInt64?

    public init(
        topic: [UInt8], payload: Payload, retain: Bool = false, responseTopic: [UInt8]? = nil,
        correlationData: [UInt8]? = nil, delivery: UInt64? = nil
    ) {
        self.topic = topic
        self.payload = payload
        self.retain = retain
        self.responseTopic = responseTopic
        self.correlationData = correlationData
        self.delivery = delivery
    }
}

/// A command between its arrival and its last answer.
struct PendingCommand: Sendable {
    let id: RequestID
    let verb: Verb
    let answer: AnswerAddress
    let delivery: UInt64?
}

/// Where the answers to a command go.
struct AnswerAddress: Sendable {
    let topic: [UInt8]
    let correlationData: [UInt8]?

    /// The longest Response Topic and Correlation Data that are honoured, in bytes.
    static let maximumBytes = 512

    /// The request's MQTT 5 Response Topic where it lies below the node's `res/`, else
    /// `res/<verb>/<id>`: a request must not make the node write elsewhere.
    init(_ message: InboundMessage, standard: FleetTopic, below prefix: String) {
        if let correlation = message.correlationData, correlation.count <= Self.maximumBytes {
            correlationData = correlation
        } else {
            correlationData = nil
        }
        let wildcards: [UInt8] = [UInt8(ascii: "+"), UInt8(ascii: "#"), 0]
        if let asked = message.responseTopic, asked.count <= Self.maximumBytes,
            asked.count > prefix.utf8.count, asked.starts(with: prefix.utf8),
            !asked.contains(where: { wildcards.contains($0) })
        {
            topic = asked
        } else {
            topic = standard.bytes
        }
    }
}

extension AgentCore {
    /// The verbs that this agent knows; none of them changes anything, so all may be repeated.
    static let verbs = ["ping", "inventory"]

    /// A message on one of `subscriptions`.
    public mutating func received(_ message: InboundMessage, at now: Moment) {
        guard let topic = FleetTopic(parsing: message.topic), topic.site == configuration.site,
            topic.node == configuration.node || topic.scope == .allNodes
        else { return acknowledge(message.delivery) }
        switch topic.channel {
        case .status:
            if case .json(let json) = message.payload, let status = try? Status(json: json) {
                heardStatus(status, at: now)
            } else if case .empty = message.payload {
                // Somebody cleared our retained status.
                heardStatus(Status(state: .offline, instance: configuration.instance), at: now)
            }
            acknowledge(message.delivery)
        case .command(let verb, let id):
            if takesReadings {
                receivedCommand(message, verb: verb, id: id, at: now)
            } else {
                acknowledge(message.delivery)
            }
        default:
            acknowledge(message.delivery)
        }
    }

    private mutating func acknowledge(_ delivery: UInt64?) {
        if let delivery { actions.append(.acknowledge(delivery: delivery)) }
    }

    private mutating func receivedCommand(
        _ message: InboundMessage, verb: Verb, id: RequestID, at now: Moment
    ) {
        let isDeletion = message.retain && message.payload == .empty
        guard !isDeletion, !memory.contains(id) else { return acknowledge(message.delivery) }
        let command = PendingCommand(
            id: id, verb: verb,
            answer: AnswerAddress(
                message, standard: configuration.topic(.response(verb, id)),
                below: "\(FleetTopic.prefix)/\(configuration.site)/\(configuration.node)/res/"),
            delivery: message.delivery)
        if let (state, why) = objection(to: message, verb: verb, id: id, at: now) {
            acknowledge(message.delivery)
            respond(to: command, state, why: why, at: now)
            return
        }
        let record = CommandRecord(
            id: id, verb: verb.text, unixMilliseconds: now.unixMilliseconds, isRepeatable: true)
        guard memory.insert(record) else {
            acknowledge(message.delivery)
            respond(to: command, .failed, why: "too many commands in seven days", at: now)
            return
        }
        pending.append(command)
        actions.append(.remember(record))
    }

    /// Why a command does not run; the cheapest reasons first.
    private mutating func objection(
        to message: InboundMessage, verb: Verb, id: RequestID, at now: Moment
    ) -> (Response.State, String)? {
        if message.retain {
            // Answered once, not at every connection that hands it out again.
            _ = memory.insert(
                CommandRecord(
                    id: id, verb: verb.text, unixMilliseconds: now.unixMilliseconds,
                    isRepeatable: true))
            log(.warning, "refused the retained command \(verb) \(id); it must not be retained")
            return (.failed, "a retained command is refused: it would run at every connection")
        }
        let command: Command
        switch message.payload {
        case .empty: command = Command()
        case .malformed(let why): return (.failed, "the payload is no JSON: \(why)")
        case .json(let json):
            do { command = try Command(json: json) } catch { return (.failed, error.description) }
        }
        if let expires = command.expires {
            guard clockIsSynchronised else {
                return (.failed, "the clock is not set yet, so its expiry cannot be judged")
            }
            if now.timestamp > expires { return (.expired, "expired at \(expires)") }
        }
        guard Self.verbs.contains(verb.text) else {
            let known = Self.verbs.joined(separator: ", ")
            return (.failed, "unknown verb; this agent knows \(known)")
        }
        if pending.count >= AgentLimits.runningCommands {
            return (.failed, "\(AgentLimits.runningCommands) commands are running already")
        }
        return nil
    }

    /// The record of `remember` is durable, or could not be made so.
    public mutating func remembered(_ id: RequestID, failure: String? = nil, at now: Moment) {
        guard let command = pending.first(where: { $0.id == id }) else { return }
        acknowledge(command.delivery)
        if let failure {
            // Both verbs only read: running one twice is better than none on a card gone read-only.
            log(.error, "cannot store the id of command \(id): \(failure)")
        }
        respond(to: command, .accepted, at: now)
        if command.verb.text == "inventory" {
            actions.append(.gatherInventory(id))
        } else {
            finish(
                id, .done, data: .object(["up": .integer(now.uptimeMilliseconds)]), at: now)
        }
    }

    /// What came of `gatherInventory`.
    public mutating func inventoryGathered(
        _ id: RequestID, _ inventory: Result<JSONValue, InventoryFailure>, at now: Moment
    ) {
        switch inventory {
        case .success(let data): finish(id, .done, data: data, at: now)
        case .failure(let failure): finish(id, .failed, why: failure.why, at: now)
        }
    }

    private mutating func finish(
        _ id: RequestID, _ state: Response.State, why: String? = nil, data: JSONValue? = nil,
        at now: Moment
    ) {
        guard let index = pending.firstIndex(where: { $0.id == id }) else { return }
        respond(to: pending.remove(at: index), state, why: why, data: data, at: now)
    }

    private mutating func respond(
        to command: PendingCommand, _ state: Response.State, why: String? = nil,
        data: JSONValue? = nil, at now: Moment
    ) {
        let response = Response(
            state: state, taken: taken(at: now), instance: configuration.instance, why: why,
            data: data)
        var publication = Publication(
            topic: configuration.topic(.response(command.verb, command.id)),
            payload: response.encode())
        publication.topic = command.answer.topic
        publication.correlationData = command.answer.correlationData
        actions.append(.publish(publication))
    }
}

/// Why the inventory could not be gathered.
public struct InventoryFailure: Error, Hashable, Sendable {
    public let why: String
    public init(why: String) { self.why = why }
}
