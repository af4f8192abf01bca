/// How a daemon ends, in the numbers of sysexits.h(3head).
public struct ExitCode: RawRepresentable, Hashable, Sendable {
    public var rawValue: Int32

    public init(rawValue: Int32) {
        self.rawValue = rawValue
    }

    public static let success = ExitCode(rawValue: 0)
    /// A subcommand found what it looks for to be wrong.
    public static let failure = ExitCode(rawValue: 1)
    /// A flag or an operand is wrong: `EX_USAGE`.
    public static let usage = ExitCode(rawValue: 64)
    /// What a file holds is damaged or of another kind: `EX_DATAERR`.
    public static let dataError = ExitCode(rawValue: 65)
    /// Something that is needed cannot be had now, such as a port or the state folder's lock:
    /// `EX_UNAVAILABLE`.
    public static let unavailable = ExitCode(rawValue: 69)
    /// A fault in the program itself: `EX_SOFTWARE`.
    public static let software = ExitCode(rawValue: 70)
    /// The kernel refused something basic: `EX_OSERR`.
    public static let systemError = ExitCode(rawValue: 71)
    /// A file or folder cannot be made: `EX_CANTCREAT`.
    public static let cannotCreate = ExitCode(rawValue: 73)
    /// Reading or writing failed: `EX_IOERR`.
    public static let inputOutput = ExitCode(rawValue: 74)
    /// Not allowed: `EX_NOPERM`.
    public static let noPermission = ExitCode(rawValue: 77)
    /// The configuration is wrong: `EX_CONFIG`.
    public static let configuration = ExitCode(rawValue: 78)

    /// What people read of them, in the manual.
    static let meanings: [(code: ExitCode, meaning: String)] = [
        (.success, "Ended as asked."),
        (.failure, "What a command looks for is not there, or is denied."),
        (.usage, "The command line is wrong."),
        (.dataError, "A file holds something else than it should."),
        (.unavailable, "Something is not to be had: an address, the lock of the state folder."),
        (.systemError, "The operating system refused something."),
        (.cannotCreate, "A file or folder cannot be made."),
        (.inputOutput, "Reading or writing failed."),
        (.noPermission, "This user may not do that."),
        (
            .configuration,
            "The configuration is wrong, or somebody else has the port that it names: trying again does "
                + "not help."
        ),
    ]
}

/// Why a daemon cannot start or go on: what failed, what to do about it, and the exit code.
public struct DaemonError: Error, Hashable, Sendable, CustomStringConvertible {
    public var exitCode: ExitCode
    public var message: String
    /// The one thing the user can do about it.
    public var hint: String?

    public init(_ exitCode: ExitCode, _ message: String, hint: String? = nil) {
        self.exitCode = exitCode
        self.message = message
        self.hint = hint
    }

    public var description: String {
        guard let hint else { return message }
        return "\(message) (\(hint))"
    }
}
