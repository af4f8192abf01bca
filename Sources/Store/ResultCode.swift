import CSQLite

/// A result of SQLite, extended (https://www.sqlite.org/rescode.html).
public struct ResultCode: RawRepresentable, Hashable, Sendable, CustomStringConvertible {
    public var rawValue: Int32

    public init(rawValue: Int32) {
        self.rawValue = rawValue
    }

    init(_ rawValue: Int32) {
        self.rawValue = rawValue
    }

    /// The code without its extension: `SQLITE_IOERR` of `SQLITE_IOERR_FSYNC`.
    public var primary: ResultCode { ResultCode(rawValue & 0xFF) }

    public static let ok = ResultCode(SQLITE_OK)
    public static let row = ResultCode(SQLITE_ROW)
    public static let done = ResultCode(SQLITE_DONE)
    public static let error = ResultCode(SQLITE_ERROR)
    public static let permission = ResultCode(SQLITE_PERM)
    public static let busy = ResultCode(SQLITE_BUSY)
    public static let locked = ResultCode(SQLITE_LOCKED)
    public static let noMemory = ResultCode(SQLITE_NOMEM)
    public static let readOnly = ResultCode(SQLITE_READONLY)
    public static let interrupted = ResultCode(SQLITE_INTERRUPT)
    public static let inputOutput = ResultCode(SQLITE_IOERR)
    public static let corrupt = ResultCode(SQLITE_CORRUPT)
    public static let full = ResultCode(SQLITE_FULL)
    public static let cannotOpen = ResultCode(SQLITE_CANTOPEN)
    public static let tooBig = ResultCode(SQLITE_TOOBIG)
    public static let constraint = ResultCode(SQLITE_CONSTRAINT)
    public static let misuse = ResultCode(SQLITE_MISUSE)
    public static let notADatabase = ResultCode(SQLITE_NOTADB)
    /// fsync(2) failed.
    public static let synchronize = ResultCode(SQLITE_IOERR | 4 << 8)

    /// SQLite's English text, such as `database disk image is malformed`.
    public var description: String {
        // SAFETY: sqlite3_errstr returns a constant, terminated string.
        guard let text = unsafe sqlite3_errstr(rawValue) else { return "code \(rawValue)" }
        return unsafe String(cString: text) + " (\(rawValue))"
    }
}
