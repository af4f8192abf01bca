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
            PasswordInput.flag,
            FlagSpecification("--delete", help: "remove the user"),
            FlagSpecification(
                "--keep-old",
                help: "the password that counted last counts as well, until the next change"),
            FlagSpecification(
                "--state-directory", value: "DIR",
                help: "the broker's state folder, whose owner gets a file that root makes"),
        ])

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
        let table = try UserTable(text: text, path: path)
        let keepsOld = flags.has("--keep-old")
        if keepsOld && flags.has("--delete") {
            throw DaemonError(.usage, "--keep-old and --delete exclude each other")
        }
        let old = table.verifier(of: Array(user.utf8))
        if keepsOld && old == nil {
            throw DaemonError(.dataError, "there is no password of \(user) to keep in \(path)")
        }
        let verifier =
            flags.has("--delete") ? nil : try makeVerifier(flags, user, old: keepsOld ? old : nil)
        guard
            let changed = PasswordFile.change(
                text, user: user, verifier: verifier, keepsOld: keepsOld)
        else {
            throw DaemonError(.dataError, "there is no user \(user) in \(path)")
        }
        // The broker reads it as its own user: root must not take the file away from it.
        try Files.writeAtomically(
            path, Array(changed.utf8).span, mode: existing?.permissions ?? 0o600,
            ownedLike: existing ?? StateDirectory.owner(flags, name: "broker"))
        return .success
    }

    /// - Parameter old: what the new verifier shares salt and iterations with.
    private static func makeVerifier(
        _ flags: ParsedFlags, _ user: String, old: SCRAMVerifier?
    ) throws -> String {
        let password = try PasswordInput.read(flags, of: user, isNew: true)
        guard let old else { return SCRAMVerifier(password: password).description }
        return SCRAMVerifier(password: password, iterations: old.iterations, salt: old.salt)
            .description
    }
}
