import Client
import Config
import Daemon
import IO

/// `fleet-bridge upstream add URL`: where the bridge forwards to, as a drop-in of its configuration.
enum UpstreamCommand {
    static let standardConfiguration = "/etc/fleet/bridge.toml"
    static let dropInName = "50-upstream.toml"
    static let secretName = "upstream.password"

    static let specification = SubcommandSpecification(
        "upstream", summary: "say where to forward to, and have the bridge that runs do so",
        operands: [
            OperandSpecification("ACTION", help: "add"),
            OperandSpecification("URL", help: "the broker, such as mqtts://user@host:8883"),
        ],
        flags: [
            PasswordInput.flag,
            FlagSpecification(
                "--ca-file", value: "FILE",
                help: "trust these CAs (PEM) instead of the system's"),
            FlagSpecification(
                "--config", value: "FILE",
                help: "the bridge's configuration, beside which the drop-in is written"
                    + " (\(standardConfiguration))"),
        ] + ControlClient.flags.filter { $0.name != "--json" })

    static func run(_ flags: ParsedFlags) throws -> ExitCode {
        guard flags.operands[0] == "add" else {
            throw DaemonError(
                .usage, "\"\(flags.operands[0])\" is nothing that can be done with an upstream",
                hint: "fleet-bridge upstream add URL")
        }
        let url = try parse(flags.operands[1])
        let main = flags["--config"] ?? standardConfiguration
        let folder = ConfigurationDocument.dropInFolder(of: main)
        let secret = try url.user.map { try PasswordInput.read(flags, of: $0, isNew: false) }
        let text = try dropIn(url, caFile: flags["--ca-file"].map(absolute))
        try Files.makeFolder(folder)
        var changes: [FileChange] = []
        if let secret {
            // The bridge reads it as its own user.
            changes.append(
                FileChange(
                    "\(folder)/\(secretName)", secret + [0x0A], mode: 0o600,
                    owner: StateDirectory.owner(flags, name: "bridge")))
        }
        changes.append(FileChange("\(folder)/\(dropInName)", Array(text.utf8)))
        try FileChange.make(changes) { try check(main) }
        print("\(folder)/\(dropInName): \(url)")
        return try reload(flags)
    }

    private static func absolute(_ path: String) throws(IOError) -> String {
        path.hasPrefix("/") ? path : try Files.linkTarget("/proc/self/cwd") + "/" + path
    }

    private static func parse(_ text: String) throws(DaemonError) -> BrokerURL {
        do throws(BrokerURLError) {
            return try BrokerURL(text)
        } catch {
            throw DaemonError(.usage, error.problem, hint: error.hint)
        }
    }

    static func dropIn(_ url: BrokerURL, caFile: String?) -> String {
        var lines = ["# Written by fleet-bridge upstream add.", "[upstream]"]
        lines.append("url = \(TOMLText.string("\(url)"))")
        if url.user != nil { lines.append("password_file = \(TOMLText.string(secretName))") }
        if let caFile { lines.append("ca_file = \(TOMLText.string(caFile))") }
        return lines.joined(separator: "\n") + "\n"
    }

    /// The configuration as a whole, as the bridge will read it.
    private static func check(_ main: String) throws {
        let reader = ConfigurationReader(try ConfigurationDocument.load(main))
        _ = LogOptions(reader.table("log"))
        let configuration = BridgeConfiguration(reader)
        try reader.finish()
        try BridgeProgram.check(configuration)
    }

    /// The bridge that runs takes it over; without one, the next that starts does.
    private static func reload(_ flags: ParsedFlags) throws -> ExitCode {
        do throws(DaemonError) {
            let socket = try ControlClient.path(flags, name: "bridge")
            _ = try ControlClient.call(socket, program: "fleet-bridge", "reload")
            print("the bridge forwards there now")
        } catch {
            guard error.exitCode == .unavailable else { throw error }
            print("no bridge runs; the next that starts forwards there")
        }
        return .success
    }
}

/// A file that is written, and can be put back.
private struct FileChange {
    let path: String
    let bytes: [UInt8]
    let mode: UInt32
    let owner: FileStatus?
    let before: [UInt8]?

    init(_ path: String, _ bytes: [UInt8], mode: UInt32 = 0o644, owner: FileStatus? = nil) {
        self.path = path
        self.bytes = bytes
        self.mode = mode
        self.owner = owner
        before = try? Files.read(path, limit: 1 << 20)
    }

    /// Makes all of them; when one fails, or `check` throws, everything is as it was.
    static func make(_ changes: [FileChange], check: () throws -> Void) throws {
        do {
            for change in changes { try change.write(change.bytes) }
            try check()
        } catch {
            for change in changes { change.undo() }
            throw error
        }
    }

    private func write(_ bytes: [UInt8]) throws(IOError) {
        try Files.writeAtomically(path, bytes.span, mode: mode, ownedLike: owner)
    }

    private func undo() {
        if let before {
            try? write(before)
        } else if Files.exists(path) {
            try? Files.remove(path)
        }
    }
}
