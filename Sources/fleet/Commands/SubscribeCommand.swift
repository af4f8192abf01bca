import ArgumentParser
import IO
import MQTT

/// `fleet sub`
struct SubscribeCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "sub",
        abstract: "Print messages as they come.",
        usage: "fleet sub [<options>] <filters> ...",
        discussion: """
            A payload is printed as it is, with a line end behind it; on a terminal, what the \
            terminal would obey is escaped. -o json prints one object a line.

            Exit status: 0, 1 if --timeout or --retained-only ended it and nothing had come, \
            2 if the command was used wrongly or could not connect.
            """)

    enum Format: String, CaseIterable, ExpressibleByArgument {
        case text, json
    }

    @OptionGroup var connection: ConnectionOptions

    @Option(name: [.short, .long], help: ArgumentHelp("Quality of service.", valueName: "qos"))
    var qos = QoSOption(.atMostOnce)

    @Flag(name: [.short, .long], help: "Print the topic before each payload.")
    var verbose = false

    @Option(name: [.short, .long], help: "How to print.")
    var output = Format.text

    @Option(
        name: [.short, .long], help: ArgumentHelp("End after this many messages.", valueName: "n"))
    var count: Int?

    @Option(help: ArgumentHelp("End after this time, such as 5s.", valueName: "time"))
    var timeout: TimeSpan?

    @Flag(help: "Print only retained messages, and end when they have come.")
    var retainedOnly = false

    @Argument(
        help: "What to subscribe to: topics, with + for one level and a last # for all below.")
    var filters: [String]

    func validate() throws {
        for filter in filters {
            do throws(TopicError) {
                _ = try TopicFilter(filter, limits: .anyTopic)
            } catch {
                throw ValidationError("'\(filter)': \(error.detail)")
            }
        }
        if let count, count < 1 { throw ValidationError("--count must be 1 or more") }
    }

    func run() throws {
        try FleetProgram.run { (output) throws(FleetError) in
            let settings = try BrokerSettings(connection, .process)
            let printer = MessagePrinter(
                isJSON: self.output == .json, verbose: verbose, limit: count, output)
            if retainedOnly {
                try printRetained(settings, printer, output)
            } else {
                let subscriber = Subscriber(
                    filters, qos.qos, timeout?.duration, printer, output)
                try Conversation.run(settings, staysConnected: true, output, subscriber)
            }
            let wasBounded = timeout != nil || retainedOnly
            return wasBounded && printer.printed == 0 ? .wrong : .fine
        }
    }

    private func printRetained(
        _ settings: BrokerSettings, _ printer: MessagePrinter, _ output: Output
    ) throws(FleetError) {
        let limit = timeout?.duration ?? settings.connectTimeout
        let harvest = Harvest(filters, qos: qos.qos, limit: limit) {
            (message) throws(FleetError) in
            if message.retain, !printer.hasEnough { try printer.print(message) }
        }
        try Conversation.run(settings, output, harvest)
        try Subscriber.report(harvest.refusals, of: filters.count, output)
    }
}

/// Prints what comes until it is enough, too late, or interrupted.
final class Subscriber: ConversationHandler {
    private let filters: [String]
    private let qos: QoS
    private let timeout: Duration?
    private let printer: MessagePrinter
    private let output: Output
    private var isTimed = false

    init(
        _ filters: [String], _ qos: QoS, _ timeout: Duration?, _ printer: MessagePrinter,
        _ output: Output
    ) {
        self.filters = filters
        self.qos = qos
        self.timeout = timeout
        self.printer = printer
        self.output = output
    }

    func connected(_ conversation: Conversation, _ result: ConnectResult) {
        // After another connection the client subscribes again by itself.
        guard !isTimed else { return }
        isTimed = true
        conversation.subscribe(filters.map { SubscriptionRequestItem($0, qos: qos) })
        guard let timeout else { return }
        _ = conversation.loop.schedule(after: timeout) { [weak conversation] in
            conversation?.end()
        }
    }

    func subscribed(_ conversation: Conversation, _ codes: [ReasonCode]) throws(FleetError) {
        let refusals = zip(filters, codes).filter { $0.1.isError }.map {
            Harvest.Refusal(filter: $0.0, reasonCode: $0.1)
        }
        try Self.report(refusals, of: filters.count, output)
    }

    func received(
        _ conversation: Conversation, _ message: ReceivedMessage
    ) throws(FleetError) {
        guard !printer.hasEnough else { return }
        try printer.print(message)
        if printer.hasEnough { conversation.end() }
    }

    /// Says which filters the broker refuses; all of them are an error.
    static func report(
        _ refusals: [Harvest.Refusal], of count: Int, _ output: Output
    ) throws(FleetError) {
        for refusal in refusals {
            output.note("the broker refuses \(refusal.filter): \(refusal.reasonCode.name)")
        }
        guard refusals.count < count else {
            throw FleetError(
                "the broker refuses every filter", hint: "check the broker's access rules")
        }
    }
}
