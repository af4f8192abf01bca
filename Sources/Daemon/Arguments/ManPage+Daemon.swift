extension ManPage {
    /// A daemon's page, with what all daemons share.
    static func text(of program: ProgramSpecification) -> String {
        ManPage(
            program, flags: program.flags + FlagSpecification.common, number: 8,
            description: [sentence(program.summary)], sections: sections(program)
        ).text
    }

    private static func sentence(_ summary: String) -> String {
        let text = summary.prefix(1).uppercased() + summary.dropFirst()
        return text.hasSuffix(".") ? text : text + "."
    }

    private static func sections(_ program: ProgramSpecification) -> [Section] {
        let name = program.stateName
        return [
            Section(
                "SIGNALS",
                [
                    ("SIGHUP", "Rereads the configuration, as the command reload does."),
                    ("SIGTERM, SIGINT", "Ends in order; a second one ends it at once."),
                ]),
            Section(
                "FILES",
                [
                    ("/etc/fleet/\(name).toml", "The configuration, as the packages have it."),
                    (
                        "/etc/fleet/\(name).d/*.toml",
                        "Drop-ins, which are laid over it in the order of their names."
                    ),
                    (
                        "/var/lib/fleet/\(name)",
                        "The state, unless --state-directory or $STATE_DIRECTORY names another folder."
                    ),
                    (
                        "/run/fleet/\(name)/control.sock",
                        "The control socket of the system's daemon."
                    ),
                ]),
            Section(
                "ENVIRONMENT",
                [
                    (
                        "STATE_DIRECTORY, RUNTIME_DIRECTORY, CREDENTIALS_DIRECTORY, NOTIFY_SOCKET, "
                            + "WATCHDOG_USEC, JOURNAL_STREAM",
                        "Set by systemd; see systemd.exec(5) and sd_notify(3)."
                    ),
                    (
                        "XDG_STATE_HOME",
                        "Where users other than root keep state: $XDG_STATE_HOME/fleet/\(name)."
                    ),
                ]),
            Section("EXIT STATUS", ExitCode.meanings.map { ("\($0.code.rawValue)", $0.meaning) }),
        ]
    }
}
