import ArgumentParser
import FleetModel
import Glibc
import IO

/// The command itself: it only leads to its subcommands.
struct Fleet: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "fleet",
        abstract: "Look after a fleet of Raspberry Pis.",
        discussion: """
            A broker is given by --broker, or by a context in ~/.config/fleet/config.toml; without either it \
            is the one of this machine, mqtt://localhost:1883.

              [context.farm]
              broker = "mqtts://admin@cloud.example:8883"
              password_file = "farm.password"
              default = true
            """,
        version: FleetVersion.current,
        subcommands: [StatusCommand.self, PublishCommand.self, SubscribeCommand.self])
}

/// The process: arguments in, exit status out.
@main
enum FleetProgram {
    static func main() {
        do {
            if CommandLine.arguments.dropFirst() == [FleetManual.flag] {
                return print(try FleetManual.text(), terminator: "")
            }
            var command = try Fleet.parseAsRoot()
            try command.run()
        } catch {
            end(error)
        }
    }

    /// Runs the work of a command with the process' streams; does not return unless all is fine.
    static func run(_ body: (Output) throws(FleetError) -> FleetExit) throws {
        let output = Output.standard(environment: ProcessEnvironment.value)
        let end: FleetExit
        do throws(FleetError) {
            end = try body(output)
        } catch {
            if error == .outputClosed { return }
            output.note("\(error)")
            end = .failed
        }
        if end != .fine { throw ExitCode(end.rawValue) }
    }

    /// Prints what the parser has to say, help or error, and ends the process. Whatever is wrong
    /// with the usage ends with 2, not with the parser's 64.
    private static func end(_ error: any Error) -> Never {
        if let code = error as? ExitCode { exit(code.rawValue) }
        let isFine = Fleet.exitCode(for: error) == .success
        let text = Fleet.fullMessage(for: error)
        if !text.isEmpty {
            try? Terminal.write(Array((text + "\n").utf8).span, to: isFine ? .output : .error)
        }
        exit(isFine ? FleetExit.fine.rawValue : FleetExit.failed.rawValue)
    }
}
