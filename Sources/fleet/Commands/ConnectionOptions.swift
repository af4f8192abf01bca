import ArgumentParser
import Config

/// The flags of every command that talks to a broker.
struct ConnectionOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "The broker, such as mqtts://user@host:8883.", valueName: "url"))
    var broker: String?

    @Option(
        help: ArgumentHelp(
            "A broker from the configuration file. Without it the default one.",
            valueName: "name"))
    var context: String?

    @Option(
        help: ArgumentHelp(
            "Trust these CAs (PEM) instead of the system's.", valueName: "file"))
    var caFile: String?

    @Option(
        help: ArgumentHelp(
            "Take the password from this file. Else from FLEET_PASSWORD, the context, or a prompt.",
            valueName: "file"))
    var passwordFile: String?

    @Option(
        help: ArgumentHelp("How long to wait for the broker, such as 10s.", valueName: "time"))
    var connectTimeout = TimeSpan(.seconds(10))

    func validate() throws {
        if broker != nil, context != nil {
            throw ValidationError("--broker and --context exclude each other")
        }
    }
}

/// A duration as configuration files write it: `500ms`, `5s`, `2 min`.
struct TimeSpan: ExpressibleByArgument, Hashable {
    let duration: Duration

    init(_ duration: Duration) { self.duration = duration }

    init?(argument: String) {
        guard let duration = DurationText.parse(argument), duration > .zero else { return nil }
        self.duration = duration
    }

    var defaultValueDescription: String { DurationText.format(duration) }
}
