import ArgumentParser
import Testing

@testable import fleet

/// The help texts, whole: whoever changes a flag sees here what users will read, and changes
/// docs/reference/fleet.md with it.
@Suite struct HelpTests {
    /// What `fleet <arguments> --help` prints on 80 columns, without the line end behind it.
    private func help(_ arguments: String...) -> String {
        do {
            var command = try Fleet.parseAsRoot(arguments + ["--help"])
            try command.run()
            return ""
        } catch {
            var text = Fleet.fullMessage(for: error, columns: 80)
            while text.last == "\n" { text.removeLast() }
            return text
        }
    }

    @Test func theCommand() {
        #expect(
            help() == """
                OVERVIEW: Look after a fleet of Raspberry Pis.

                A broker is given by --broker, or by a context in ~/.config/fleet/config.toml;
                without either it is the one of this machine, mqtt://localhost:1883.

                  [context.farm]
                  broker = "mqtts://admin@cloud.example:8883"
                  password_file = "farm.password"
                  default = true

                USAGE: fleet <subcommand>

                OPTIONS:
                  --version               Show the version.
                  -h, --help              Show help information.

                SUBCOMMANDS:
                  status                  Show every node: its state, version, load,
                                          temperature, link and queue.
                  pub                     Publish a message.
                  sub                     Print messages as they come.

                  See 'fleet help <subcommand>' for detailed help.
                """)
    }

    @Test func status() {
        #expect(
            help("status") == """
                OVERVIEW: Show every node: its state, version, load, temperature, link and
                queue.

                Nodes behind a link that is down are unknown: their own words cannot cross it.
                '~' before a time says: since then or a little later.

                Exit status: 0 if all is well, 1 if something is wrong in the fleet, 2 if the
                command was used wrongly or could not connect.

                USAGE: fleet status [<options>]

                OPTIONS:
                  --broker <url>          The broker, such as mqtts://user@host:8883.
                  --context <name>        A broker from the configuration file. Without it the
                                          default one.
                  --ca-file <file>        Trust these CAs (PEM) instead of the system's.
                  --password-file <file>  Take the password from this file. Else from
                                          FLEET_PASSWORD, the context, or a prompt.
                  --connect-timeout <time>
                                          How long to wait for the broker, such as 10s.
                                          (default: 10s)
                  -o, --output <output>   How to print. (values: table, wide, json; default:
                                          table)
                  --site <name>           Only this site.
                  --node <name>           Only this node of the site; asks for its topics one
                                          by one.
                  --version               Show the version.
                  -h, --help              Show help information.
                """)
    }

    @Test func pub() {
        #expect(
            help("pub") == """
                OVERVIEW: Publish a message.

                With --retain and an empty message the topic's retained message is deleted.

                Exit status: 0 if the broker took the message, 2 if not.

                USAGE: fleet pub [<options>] <topic> [<message>]

                ARGUMENTS:
                  <topic>                 The topic to publish to.
                  <message>               The message.

                OPTIONS:
                  --broker <url>          The broker, such as mqtts://user@host:8883.
                  --context <name>        A broker from the configuration file. Without it the
                                          default one.
                  --ca-file <file>        Trust these CAs (PEM) instead of the system's.
                  --password-file <file>  Take the password from this file. Else from
                                          FLEET_PASSWORD, the context, or a prompt.
                  --connect-timeout <time>
                                          How long to wait for the broker, such as 10s.
                                          (default: 10s)
                  -q, --qos <qos>         Quality of service. (values: 0, 1, 2; default: 1)
                  -r, --retain            Let the broker keep the message for those who come
                                          later.
                  -f, --file <file>       Take the message from this file; - is standard input.
                  --version               Show the version.
                  -h, --help              Show help information.
                """)
    }

    @Test func sub() {
        #expect(
            help("sub") == """
                OVERVIEW: Print messages as they come.

                A payload is printed as it is, with a line end behind it; on a terminal, what
                the terminal would obey is escaped. -o json prints one object a line.

                Exit status: 0, 1 if --timeout or --retained-only ended it and nothing had
                come, 2 if the command was used wrongly or could not connect.

                USAGE: fleet sub [<options>] <filters> ...

                ARGUMENTS:
                  <filters>               What to subscribe to: topics, with + for one level
                                          and a last # for all below.

                OPTIONS:
                  --broker <url>          The broker, such as mqtts://user@host:8883.
                  --context <name>        A broker from the configuration file. Without it the
                                          default one.
                  --ca-file <file>        Trust these CAs (PEM) instead of the system's.
                  --password-file <file>  Take the password from this file. Else from
                                          FLEET_PASSWORD, the context, or a prompt.
                  --connect-timeout <time>
                                          How long to wait for the broker, such as 10s.
                                          (default: 10s)
                  -q, --qos <qos>         Quality of service. (values: 0, 1, 2; default: 0)
                  -v, --verbose           Print the topic before each payload.
                  -o, --output <output>   How to print. (values: text, json; default: text)
                  -c, --count <n>         End after this many messages.
                  --timeout <time>        End after this time, such as 5s.
                  --retained-only         Print only retained messages, and end when they have
                                          come.
                  --version               Show the version.
                  -h, --help              Show help information.
                """)
    }
}
