import Daemon
import IO
import TLS

/// `fleet-broker passwd FILE USER`: adds a user to a password file, changes the password or removes the user.
enum PasswdCommand {
    static let specification = SubcommandSpecification(
        "passwd", summary: "add a user to a password file, change the password, or remove the user",
        operands: [
            OperandSpecification("FILE", help: "the password file; made if there is none"),
            OperandSpecification("USER", help: "the user's name"),
        ],
        flags: [
            FlagSpecification(
                "--password-file", value: "FILE",
                help: "take the password from the first line of FILE; - is standard input"),
            FlagSpecification("--delete", help: "remove the user"),
        ])

    /// The longest password, as MQTT can send it.
    private static let maximumPassword = 65_535

    static func run(_ flags: ParsedFlags) throws -> ExitCode {
        let path = flags.operands[0]
        let user = flags.operands[1]
        if let fault = PasswordFile.fault(inUser: user) { throw DaemonError(.usage, fault) }
        let existing = Files.exists(path) ? try Files.status(path) : nil
        let text =
            existing != nil
            ? String(
                decoding: try Files.readPrivate(path, limit: UserTable.maximumFileSize),
                as: UTF8.self) : ""
        // A file with a malformed line is not made to look well by one more line.
        _ = try UserTable(text: text, path: path)
        let verifier = flags.has("--delete") ? nil : try makeVerifier(flags, user)
        guard let changed = PasswordFile.change(text, user: user, verifier: verifier) else {
            throw DaemonError(.dataError, "there is no user \(user) in \(path)")
        }
        // The broker reads it as its own user: root must not take the file away from that user's group.
        try Files.writeAtomically(
            path, Array(changed.utf8).span, mode: existing?.permissions ?? 0o640,
            ownedLike: existing)
        return .success
    }

    private static func makeVerifier(_ flags: ParsedFlags, _ user: String) throws -> String {
        let password = try readPassword(flags, user)
        guard !password.isEmpty else {
            throw DaemonError(.dataError, "an empty password is no password")
        }
        guard password.count <= maximumPassword else {
            throw DaemonError(.dataError, "a password has at most \(maximumPassword) bytes")
        }
        return SCRAMVerifier(password: password).description
    }

    /// From a file, from standard input or from the terminal; never from an argument, which everybody on
    /// the machine could see.
    private static func readPassword(_ flags: ParsedFlags, _ user: String) throws -> [UInt8] {
        if let path = flags["--password-file"] {
            return firstLine(
                path == "-"
                    ? try Terminal.readInput(limit: maximumPassword + 2)
                    : try Files.readPrivate(path, limit: maximumPassword + 2))
        }
        guard Terminal.Stream.input.isTerminal else {
            return firstLine(try Terminal.readInput(limit: maximumPassword + 2))
        }
        guard let password = try Terminal.askSecret("Password for \(user): "),
            let again = try Terminal.askSecret("Again: ")
        else { throw DaemonError(.failure, "no password was given") }
        guard password == again else {
            throw DaemonError(.dataError, "the two passwords differ; nothing was changed")
        }
        return password
    }

    private static func firstLine(_ bytes: [UInt8]) -> [UInt8] {
        var line = Array(bytes.prefix { $0 != UInt8(ascii: "\n") })
        if line.last == UInt8(ascii: "\r") { line.removeLast() }
        return line
    }
}
