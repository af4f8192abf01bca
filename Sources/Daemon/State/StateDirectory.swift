import IO

/// The folder in which a daemon keeps what must survive, locked against a second one.
public final class StateDirectory {
    public let path: String
    /// Held for as long as this value lives; the kernel lets go of it however the process ends.
    private let lock: FileDescriptor

    /// Makes the folder where it is missing and locks it.
    ///
    /// Only owner (and under root the group) may enter it.
    public init(path: String) throws(DaemonError) {
        self.path = path
        do throws(IOError) {
            let parentMode: UInt32 = Kernel.isRoot ? 0o755 : 0o700
            try Files.makeFolder(Files.folder(of: path), mode: parentMode)
            try Files.makeFolder(path, mode: Kernel.isRoot ? 0o750 : 0o700)
        } catch {
            throw DaemonError(
                .cannotCreate, "the state folder \(path) cannot be made: \(error)",
                hint: "name one that this user may write with --state-directory DIR")
        }
        let name = path + "/lock"
        let taken: FileDescriptor?
        do throws(IOError) {
            taken = try Kernel.lock(name)
        } catch {
            throw DaemonError(
                .cannotCreate, "the state folder \(path) cannot be used: \(error)",
                hint: "the user that runs this program must own it")
        }
        guard let lock = taken else {
            throw DaemonError(
                .unavailable, "the state folder \(path) is in use by \(StateDirectory.owner(name))",
                hint: "stop it, or give this one another folder with --state-directory DIR")
        }
        Kernel.rewrite(lock, "\(Kernel.processID)\n")
        self.lock = lock
        // A command of root's leaves the file to the daemon.
        if Kernel.isRoot, let owner = try? Files.status(path) {
            try? Files.changeOwner(name, like: owner)
        }
    }

    /// The folder of the daemon called `name`, for a subcommand with the flag `--state-directory`.
    public static func path(_ flags: ParsedFlags, name: String) throws(DaemonError) -> String {
        try path(flag: flags["--state-directory"], name: name)
    }

    /// Whose the state of the daemon called `name` is, so that root can make files which the daemon reads; `nil`
    /// for others than root, and where there is no state yet.
    public static func owner(_ flags: ParsedFlags, name: String) -> FileStatus? {
        guard Kernel.isRoot, let path = try? path(flags, name: name) else { return nil }
        return try? Files.status(path)
    }

    /// The folder for a daemon called `name` (`broker`): the flag, else `$STATE_DIRECTORY`, as systemd
    /// sets it, else `/var/lib/fleet/NAME` for root and `$XDG_STATE_HOME/fleet/NAME` for others.
    static func path(
        flag: String?, name: String, isRoot: Bool = Kernel.isRoot,
        environment: (String) -> String? = Kernel.environment
    ) throws(DaemonError) -> String {
        if let flag { return flag }
        // systemd.exec(5): several folders are separated by colons; ours asks for one.
        if let systemd = environment("STATE_DIRECTORY")?.split(separator: ":").first {
            return String(systemd)
        }
        if isRoot { return "/var/lib/fleet/\(name)" }
        // XDG Base Directory Specification: a relative path is to be ignored.
        if let base = environment("XDG_STATE_HOME"), base.hasPrefix("/") {
            return "\(base)/fleet/\(name)"
        }
        guard let home = environment("HOME"), home.hasPrefix("/") else {
            throw DaemonError(
                .usage, "no folder to keep state in: $HOME is not set",
                hint: "name one with --state-directory DIR")
        }
        return "\(home)/.local/state/fleet/\(name)"
    }

    private static func owner(_ lock: String) -> String {
        let bytes = (try? Files.read(lock, limit: 32)) ?? []
        let digits = String(decoding: bytes.prefix { (0x30...0x39).contains($0) }, as: UTF8.self)
        return digits.isEmpty ? "another process" : "process \(digits)"
    }
}
