import ArgumentParser
import Daemon
import FleetModel
import JSON

/// The command's page of the manual, made from what the parser knows of its commands.
enum FleetManual {
    /// For whoever makes packages, as the daemons have it; no help text shows it.
    static let flag = "--man"

    static func text() throws(JSONError) -> String {
        let command =
            try JSON.parse(Array(Fleet._dumpHelp().utf8)).object?["command"]?.object ?? [:]
        let subcommands = (command["subcommands"]?.array ?? []).compactMap(\.object)
        let program = ProgramSpecification(
            name: "fleet", stateName: "", summary: command["abstract"]?.string ?? "",
            subcommands: subcommands.filter { $0["commandName"]?.string != "help" }.map(subcommand))
        return ManPage(
            program, flags: flags(of: command), number: 1,
            description: ManPage.paragraphs(command["discussion"]?.string ?? ""),
            sections: sections
        ).text
    }

    private static func subcommand(_ command: JSONObject) -> SubcommandSpecification {
        let abstract = command["abstract"]?.string ?? ""
        let discussion = command["discussion"]?.string ?? ""
        let operands = arguments(of: command) { $0 == "positional" }.map { argument in
            OperandSpecification(
                argument["valueName"]?.string ?? "", help: argument["abstract"]?.string ?? "",
                isOptional: argument["isOptional"]?.bool ?? false)
        }
        return SubcommandSpecification(
            command["commandName"]?.string ?? "", summary: abstract + "\n\n" + discussion,
            operands: operands, flags: flags(of: command))
    }

    private static func flags(of command: JSONObject) -> [FlagSpecification] {
        arguments(of: command) { $0 != "positional" }.map { argument in
            let names = (argument["names"]?.array ?? []).compactMap(\.object).map { name in
                (name["kind"]?.string == "short" ? "-" : "--") + (name["name"]?.string ?? "")
            }
            let isFlag = argument["kind"]?.string == "flag"
            return FlagSpecification(
                names.joined(separator: ", "), value: isFlag ? nil : argument["valueName"]?.string,
                help: help(argument))
        }
    }

    private static func help(_ argument: JSONObject) -> String {
        var text = argument["abstract"]?.string ?? ""
        if let values = argument["allValues"]?.array?.compactMap(\.string), !values.isEmpty {
            text += " One of \(values.joined(separator: ", "))."
        }
        if let standard = argument["defaultValue"]?.string { text += " Default: \(standard)." }
        return text
    }

    private static func arguments(
        of command: JSONObject, _ isWanted: (String) -> Bool
    ) -> [JSONObject] {
        (command["arguments"]?.array ?? []).compactMap(\.object).filter { argument in
            argument["shouldDisplay"]?.bool != false && isWanted(argument["kind"]?.string ?? "")
        }
    }

    private static let sections = [
        ManPage.Section(
            "FILES", [("~/.config/fleet/config.toml", "Brokers by name, in [context.NAME].")]),
        ManPage.Section(
            "ENVIRONMENT",
            [
                ("FLEET_PASSWORD", "The password of the user in the broker's URL."),
                ("XDG_CONFIG_HOME", "Where fleet/config.toml is."),
                ("NO_COLOR", "Set to anything: no colours."),
            ]),
        ManPage.Section(
            "EXIT STATUS",
            [
                ("0", "Fine."),
                ("1", "Something is wrong in the fleet, or nothing came."),
                ("2", "The command was used wrongly, could not connect, or was refused."),
            ]),
    ]
}
