import IO

/// Why the store could not do something. Bound values never appear in it.
public struct StoreError: Error, Hashable, Sendable, CustomStringConvertible {
    public enum Kind: Hashable, Sendable {
        /// The file is damaged, cut off, or no database at all. `StoreFile.quarantine` puts it aside.
        case corrupt
        /// A sound database that another program made; it is left alone.
        case foreign
        /// Made by a newer version of this program; it is left alone.
        case newer(found: Int, supported: Int)
        /// No room: the disk, a quota or a limit on file size.
        case full
        case readOnly
        /// The disk failed. After a failed fsync(2) nobody knows what it holds.
        case inputOutput
        /// Another process held the lock for longer than the busy time-out.
        case busy
        /// The file or its folder cannot be opened or made.
        case cannotOpen
        case constraint
        case noMemory
        case interrupted
        /// The queue of the store's thread is at its limit, or the thread has stopped.
        case refused
        /// A fault in the program: wrong SQL, a type that does not fit.
        case other
    }

    public var kind: Kind
    public var code: ResultCode
    /// What failed, in SQLite's or our words.
    public var message: String
    /// The file.
    public var path: String
    /// The statement with its placeholders, where there is one.
    public var statement: String?

    public init(
        _ kind: Kind, _ message: String, path: String, code: ResultCode = .error,
        statement: String? = nil
    ) {
        self.kind = kind
        self.code = code
        self.message = message
        self.path = path
        self.statement = statement
    }

    static func foreign(_ applicationID: UInt32, path: String) -> StoreError {
        StoreError(
            .foreign, "made by another program (application_id \(applicationID))", path: path)
    }

    static func newer(_ format: Int, _ schema: Schema, path: String) -> StoreError {
        StoreError(
            .newer(found: format, supported: schema.formatVersion),
            "made by a newer version of this program (format \(format), this one knows"
                + " \(schema.formatVersion))", path: path)
    }

    /// Whether it is the wrong store for this program: no later attempt goes better.
    public var isForGood: Bool {
        switch kind {
        case .foreign, .newer: true
        default: false
        }
    }

    /// The one thing the user can do about it.
    public var hint: String? {
        switch kind {
        case .corrupt: "the file is put aside and a new one is made; see the log for its name"
        case .foreign: "name another state folder with --state-directory DIR"
        case .newer(_, let supported): Self.hint(path, StoreFile.copy(of: path, format: supported))
        case .full: "make room on the disk (df -h), or lower the limits of the store"
        case .readOnly: "the file system may have become read-only after an error; see dmesg"
        case .inputOutput: "the disk or SD card may be failing; see dmesg"
        case .busy: "another program has the file open for writing; see fuser FILE"
        case .cannotOpen: "the user that runs this program must own the folder"
        case .constraint, .noMemory, .interrupted, .refused, .other: nil
        }
    }

    private static func hint(_ path: String, _ copy: String) -> String {
        let way =
            Files.exists(copy)
            ? "go back to what was there before it with: store restore \(copy)"
            : "move the file away to begin anew"
        return "install the newer version again, or " + way
    }

    public var description: String {
        var text = "store \(path): \(message)"
        if let statement { text += ", in: \(statement)" }
        if let hint { text += " (\(hint))" }
        return text
    }

    /// Whether the thread must reopen and check the file before it may acknowledge anything again.
    var needsRecovery: Bool { kind == .inputOutput }
}

extension StoreError.Kind {
    /// From SQLite's code and the errno behind it.
    init(_ code: ResultCode, systemError: Int32) {
        self =
            switch code.primary {
            case .corrupt, .notADatabase: .corrupt
            case .full: .full
            // SQLite knows ENOSPC; a quota and a limit on file size come as plain I/O errors.
            case .inputOutput where StoreKernel.meansNoRoom(systemError): .full
            case .inputOutput: .inputOutput
            case .readOnly: .readOnly
            case .busy, .locked: .busy
            case .cannotOpen, .permission: .cannotOpen
            case .constraint: .constraint
            case .noMemory: .noMemory
            case .interrupted: .interrupted
            default: .other
            }
    }
}
