import ArgumentParser
import FleetModel
import IO
import MQTT

/// `fleet pub`
struct PublishCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "pub",
        abstract: "Publish a message.",
        usage: "fleet pub [<options>] <topic> [<message>]",
        discussion: """
            With --retain and an empty message the topic's retained message is deleted.

            Exit status: 0 if the broker took the message, 2 if not.
            """)

    /// Bytes of a message; MQTT takes a little less than 256 MiB.
    static let maximumBytes = 255 << 20

    @OptionGroup var connection: ConnectionOptions

    @Option(name: [.short, .long], help: ArgumentHelp("Quality of service.", valueName: "qos"))
    var qos = QoSOption(.atLeastOnce)

    @Flag(name: [.short, .long], help: "Let the broker keep the message for those who come later.")
    var retain = false

    @Option(
        name: [.short, .long],
        help: ArgumentHelp(
            "Take the message from this file; - is standard input.", valueName: "file"))
    var file: String?

    @Argument(help: "The topic to publish to.")
    var topic: String

    @Argument(help: "The message.")
    var message: String?

    func validate() throws {
        do throws(TopicError) {
            _ = try TopicName(topic, limits: .anyTopic)
        } catch {
            throw ValidationError("'\(topic)': \(error.detail)")
        }
        guard (message == nil) != (file == nil) else {
            throw ValidationError("give either a message or --file; an empty message is \"\"")
        }
        if retain, message != "", case .command? = FleetTopic(parsing: topic)?.channel {
            throw ValidationError("a command must not be retained: it would run again and again")
        }
    }

    func run() throws {
        try FleetProgram.run { (output) throws(FleetError) in
            let publisher = Publisher(
                OutgoingMessage(
                    topic: Array(topic.utf8), payload: try payload(), qos: qos.qos,
                    retain: retain), output)
            try Conversation.run(try BrokerSettings(connection, .process), output, publisher)
            return .fine
        }
    }

    private func payload() throws(FleetError) -> [UInt8] {
        if let message { return Array(message.utf8) }
        do throws(IOError) {
            if file == "-" { return try Terminal.readInput(limit: Self.maximumBytes) }
            return try Files.read(file ?? "", limit: Self.maximumBytes)
        } catch {
            throw FleetError("\(error)")
        }
    }
}

extension TopicLimits {
    /// What the protocol allows; the broker may allow less.
    static let anyTopic = TopicLimits(maximumLevels: 65_536)
}

/// Publishes one message and waits for the broker's answer.
private final class Publisher: ConversationHandler {
    private let message: OutgoingMessage
    private let output: Output
    private var isSent = false

    init(_ message: OutgoingMessage, _ output: Output) {
        self.message = message
        self.output = output
    }

    func connected(_ conversation: Conversation, _ result: ConnectResult) throws(FleetError) {
        guard !isSent else { return }
        isSent = true
        if let refusal = conversation.publish(message) { throw FleetError(refusal) }
    }

    func published(
        _ conversation: Conversation, _ outcome: PublishOutcome
    ) throws(FleetError) {
        switch outcome.result {
        case .refused(let refusal): throw FleetError(refusal)
        case .acknowledged(let code) where code.isError:
            throw FleetError(
                "the broker refuses the message: \(code.name)",
                hint: "check the broker's access rules and limits")
        case .acknowledged:
            if outcome.retainDropped {
                output.note("the broker keeps no retained messages: it was published without")
            }
            if outcome.qos.rawValue < message.qos.rawValue {
                output.note("the broker takes at most QoS \(outcome.qos.rawValue)")
            }
            conversation.end()
        }
    }
}

extension FleetError {
    fileprivate init(_ refusal: PublishRefusal) {
        switch refusal {
        case .invalidTopic: self.init("the topic is not valid")
        case .invalidProperty: self.init("a property of the message is not valid")
        case .queueFull: self.init("the message is too large to wait for the connection")
        case .tooLarge(let bytes, let maximum):
            self.init("the message has \(bytes) bytes; the broker takes \(maximum)")
        }
    }
}
