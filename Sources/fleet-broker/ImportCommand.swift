import Daemon
import IO

/// `fleet-broker import`: a Mosquitto's configuration, users and rules as ours.
enum ImportCommand {
    static let specification = SubcommandSpecification(
        "import", summary: "turn a Mosquitto's configuration, users and rules into Fleet's",
        operands: [OperandSpecification("FILE", help: "the mosquitto.conf")],
        flags: [
            FlagSpecification(
                "--output", value: "DIR",
                help: "write broker.toml and broker.users there, which must not exist yet; without "
                    + "it, broker.toml is printed")
        ])

    static func run(_ flags: ParsedFlags) throws -> ExitCode {
        let imported = try MosquittoImport(flags.operands[0])
        if let folder = flags["--output"] {
            try write(imported, to: folder)
        } else {
            print(imported.toml, terminator: "")
        }
        var notes = imported.notes.lines
        if !imported.users.isEmpty && flags["--output"] == nil {
            notes.append("the users are written with --output DIR only")
        }
        if !notes.isEmpty {
            StandardError.write("What was not taken over, or needs a look:")
            for note in notes { StandardError.write(note) }
        }
        return .success
    }

    private static func write(_ imported: MosquittoImport, to folder: String) throws {
        let configuration = "\(folder)/broker.toml"
        let users = "\(folder)/\(MosquittoImport.usersFile)"
        for path in [configuration, users] where Files.exists(path) {
            throw DaemonError(
                .cannotCreate, "\(path) is there already",
                hint: "name another folder with --output")
        }
        try Files.makeFolder(folder)
        // The users first: a configuration without them would not be taken.
        if !imported.users.isEmpty {
            try Files.writeAtomically(users, Array(imported.users.utf8).span, mode: 0o640)
        }
        try Files.writeAtomically(configuration, Array(imported.toml.utf8).span)
        print("wrote \(configuration)" + (imported.users.isEmpty ? "" : " and \(users)"))
    }
}
