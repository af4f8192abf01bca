import IO

/// What a daemon that has a store can do with it; the store's own module knows how.
public protocol StoreKeeper {
    /// The store's file in the state folder.
    static var fileName: String { get }
    /// The format that this program writes; it reads it and all older ones.
    static var formatVersion: Int { get }

    /// The format of the store at `path`; `nil`: there is none.
    static func format(of path: String) throws -> Int?
    /// Copies the store to a file that is not there yet; says what the copy holds.
    static func backUp(_ path: String, to target: String) throws -> String
    /// What is wrong with the store, a line each, and what it holds.
    static func check(_ path: String) throws -> (problems: [String], content: String)
    /// Puts the store of a file in the place of the one at `path`; returns where that one is now.
    static func restore(
        from source: String, to path: String, ownedLike owner: FileStatus
    ) throws -> String?
}

/// `store backup FILE`, `check`, `restore FILE` and `format` of a daemon.
public enum StoreCommand {
    public static let name = "store"

    public static let specification = SubcommandSpecification(
        name, summary: "copy the store, look for damage, go back to a copy, or tell its format",
        operands: [
            OperandSpecification(
                "ACTION",
                help:
                    "backup and check work while the daemon runs, restore while it does not; format "
                    + "prints the format of the store and the newest that this program reads"),
            OperandSpecification(
                "FILE",
                help: "the copy that backup makes (there must be none yet), or that restore takes",
                isOptional: true),
        ],
        flags: [.stateDirectory])

    public static func run<Keeper: StoreKeeper>(
        _ keeper: Keeper.Type, _ flags: ParsedFlags, of program: ProgramSpecification
    ) throws -> ExitCode {
        let folder = try StateDirectory.path(flags, name: program.stateName)
        let path = folder + "/" + Keeper.fileName
        switch (flags.operands[0], flags.operands.dropFirst().first) {
        case ("backup", let target?): return try backUp(keeper, try existing(path), to: target)
        case ("check", nil): return try check(keeper, try existing(path))
        case ("restore", let source?): return try restore(keeper, source, folder)
        case ("format", nil): return try format(keeper, path)
        case ("backup", nil): throw DaemonError(.usage, "backup needs the FILE to write")
        case ("restore", nil): throw DaemonError(.usage, "restore needs the FILE to read")
        case (let action, _):
            throw DaemonError(
                .usage, "\"\(action)\" is nothing that can be done with a store",
                hint: "backup FILE, check, restore FILE, or format")
        }
    }

    private static func existing(_ path: String) throws(DaemonError) -> String {
        guard Files.exists(path) else {
            throw DaemonError(
                .dataError, "there is no store at \(path)",
                hint: "name the daemon's folder with --state-directory DIR")
        }
        return path
    }

    private static func backUp<Keeper: StoreKeeper>(
        _ keeper: Keeper.Type, _ path: String, to target: String
    ) throws -> ExitCode {
        guard !Files.exists(target) else {
            throw DaemonError(
                .cannotCreate, "\(target) exists already; a backup overwrites nothing")
        }
        print("\(target): \(try Keeper.backUp(path, to: target))")
        return .success
    }

    private static func check<Keeper: StoreKeeper>(
        _ keeper: Keeper.Type, _ path: String
    ) throws -> ExitCode {
        let (problems, content) = try Keeper.check(path)
        for problem in problems { print(problem) }
        print(
            "\(path): \(problems.isEmpty ? "sound" : "damaged")"
                + (content.isEmpty ? "" : ", \(content)"))
        return problems.isEmpty ? .success : .dataError
    }

    private static func restore<Keeper: StoreKeeper>(
        _ keeper: Keeper.Type, _ source: String, _ folder: String
    ) throws -> ExitCode {
        let path = folder + "/" + Keeper.fileName
        // A daemon that runs has the lock, and keeps its store.
        let state = try StateDirectory(path: folder)
        let old = try Keeper.restore(
            from: source, to: path, ownedLike: try Files.status(state.path))
        print("\(path): restored from \(source)")
        if let old { print("what was there is \(old)") }
        if let format = try Keeper.format(of: path), format < Keeper.formatVersion {
            print(
                "it has the format \(format); this program makes it \(Keeper.formatVersion) when it "
                    + "starts, so install the older one first to go back to it")
        }
        return .success
    }

    /// For scripts: a line each. Ends with 78 where the store is newer than the program.
    private static func format<Keeper: StoreKeeper>(
        _ keeper: Keeper.Type, _ path: String
    ) throws -> ExitCode {
        let format = try Keeper.format(of: path)
        print("store_format=\(format.map { "\($0)" } ?? "none")")
        print("program_format=\(Keeper.formatVersion)")
        return (format ?? 0) <= Keeper.formatVersion ? .success : .configuration
    }
}
