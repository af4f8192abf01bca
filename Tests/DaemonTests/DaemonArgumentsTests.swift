import FleetModel
import Testing

@testable import Daemon

private let program = ProgramSpecification(
    name: "fleet-test", stateName: "test", summary: "a daemon for tests",
    flags: [
        FlagSpecification(
            "--listen", value: "ADDRESS:PORT",
            help: "serve on ADDRESS:PORT instead of the listeners of the configuration",
            repeats: true),
        FlagSpecification("--fast", help: "hurry"),
    ],
    subcommands: [
        SubcommandSpecification(
            "passwd", summary: "set a password",
            operands: [
                OperandSpecification("FILE", help: "the password file"),
                OperandSpecification("USER", help: "the user", isOptional: true),
            ],
            flags: [FlagSpecification("--rounds", value: "N", help: "rounds of PBKDF2")])
    ])

private func parse(_ arguments: String...) throws -> DaemonArguments {
    try DaemonArguments.parse(["/usr/bin/fleet-test"] + arguments, for: program)
}

private func usageError(_ arguments: [String]) -> String {
    do throws(UsageError) {
        _ = try DaemonArguments.parse(["fleet-test"] + arguments, for: program)
        return "no error"
    } catch {
        return error.description
    }
}

@Suite struct ParsingArguments {
    @Test func flagsTakeTheirValueInBothForms() throws {
        let arguments = try parse(
            "--config", "a.toml", "--state-directory=/x=y", "--listen", "1", "--listen=2", "--fast")
        guard case .run(let flags) = arguments else {
            Issue.record("\(arguments)")
            return
        }
        #expect(flags["--config"] == "a.toml")
        #expect(flags["--state-directory"] == "/x=y")
        #expect(flags.all("--listen") == ["1", "2"])
        #expect(flags.has("--fast"))
        #expect(!flags.has("--check-config"))
        #expect(flags.all("--nothing").isEmpty)
    }

    @Test func aSubcommandTakesItsOwnFlagsAndOperands() throws {
        let arguments = try parse("passwd", "--rounds", "9", "FILE", "--", "-user")
        guard case .subcommand("passwd", let flags) = arguments else {
            Issue.record("\(arguments)")
            return
        }
        #expect(flags.operands == ["FILE", "-user"])
        #expect(flags["--rounds"] == "9")
    }

    @Test(arguments: [
        (["--confgi", "x"], "fleet-test: unknown flag \"--confgi\"\nDid you mean --config?"),
        (["--zzz"], "fleet-test: unknown flag \"--zzz\"\nTry: fleet-test --help"),
        (["--config"], "fleet-test: --config needs a value: --config FILE\nTry: fleet-test --help"),
        (
            ["--config="],
            "fleet-test: --config needs a value: --config FILE\nTry: fleet-test --help"
        ),
        (["--fast=1"], "fleet-test: --fast takes no value\nTry: fleet-test --help"),
        (
            ["--config", "a", "--config", "b"],
            "fleet-test: --config is given twice\nTry: fleet-test --help"
        ),
        (["paswd"], "fleet-test: unknown subcommand \"paswd\"\nDid you mean passwd?"),
        (["--fast", "x"], "fleet-test: unexpected argument \"x\"\nTry: fleet-test --help"),
        (["passwd"], "fleet-test passwd: FILE is missing\nTry: fleet-test passwd --help"),
        (
            ["passwd", "a", "b", "c"],
            "fleet-test passwd: unexpected argument \"c\"\nTry: fleet-test passwd --help"
        ),
        (
            ["passwd", "--fast"],
            "fleet-test passwd: unknown flag \"--fast\"\nTry: fleet-test passwd --help"
        ),
        (["--\u{1B}[2J"], "fleet-test: unknown flag \"--\\u{1B}[2J\"\nTry: fleet-test --help"),
    ])
    func aWrongCommandLineSaysWhatIsWrongAndWhatToDo(_ arguments: [String], _ text: String) {
        #expect(usageError(arguments) == text)
    }

    @Test func theVersionIsThatOfTheFleet() throws {
        #expect(try parse("--version") == .print("fleet-test \(FleetVersion.current)\n"))
    }

    @Test func theHelpTextIsMadeFromTheSpecification() throws {
        let expected = """
            fleet-test: a daemon for tests

            Usage: fleet-test [FLAG]...
                   fleet-test passwd [FLAG]... FILE [USER]

            Flags:
              --listen ADDRESS:PORT  serve on ADDRESS:PORT instead of the listeners of the
                                     configuration
              --fast                 hurry
              --config FILE          read the configuration from FILE and then from the
                                     drop-ins FILE.d/*.toml (broker.toml: broker.d)
              --check-config         print the configuration in effect, each value with its
                                     origin, and end
              --drop-in NAME=FILE    with --check-config: read FILE as the drop-in NAME, as
                                     if it were there already
              --state-directory DIR  keep state in DIR
              --version              print the version and end
              --help                 print this text and end

            Subcommands:
              passwd  set a password

            State is kept in the folder of --state-directory, else in $STATE_DIRECTORY, else
            in /var/lib/fleet/test (root) or $XDG_STATE_HOME/fleet/test (others).

            """
        #expect(try parse("--help") == .print(expected))
        #expect(try parse("-h", "--version") == .print(expected))
        #expect(
            try parse("passwd", "--help")
                == .print(
                    """
                    fleet-test passwd: set a password

                    Usage: fleet-test passwd [FLAG]... FILE [USER]

                    Arguments:
                      FILE  the password file
                      USER  the user

                    Flags:
                      --rounds N  rounds of PBKDF2
                      --help      print this text and end

                    """))
    }
}
