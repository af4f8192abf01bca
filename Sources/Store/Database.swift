import CSQLite
import IO

/// One connection to one SQLite file, sqlite3. It belongs to one thread at a time.
///
/// The file has a write-ahead log. Whose it is and which format it has is read from its header before
/// SQLite touches it: a store of a newer version, or of another program, is left as it is.
@safe
public final class Database {
    public let path: String
    public let schema: Schema
    public let options: StoreOptions
    /// Whether this call made the store.
    public let isNew: Bool
    /// Whether the last owner closed it. If not, what it had committed was recovered from the log, and a
    /// `StoreCheck` in the background is due.
    ///
    /// The mark is the log itself: SQLite removes it when the last connection closes, and only then.
    public let wasStoppedCleanly: Bool

    let handle: OpaquePointer
    private var statements: [String: Statement] = [:]
    private var isClosed = false
    /// Pages in the log after the last commit, and how many are too many.
    private var logPages = 0
    private var checkpointThreshold: Int
    private var synchronous = StoreOptions.Synchronous.full

    // MARK: Opening and closing

    /// Whether SQLite takes pages as it needs them, and not twenty at once; set before its first use.
    private static let isPrepared = fleet_sqlite_without_page_reserve() == SQLITE_OK

    /// Opens or makes the store at `path`, brings it to the format of `schema`.
    ///
    /// - Parameter migrates: false for who only looks: an older store keeps its format.
    public init(
        path: String, schema: Schema, options: StoreOptions, migrates: Bool = true
    ) throws(StoreError) {
        let header = try Database.inspect(path, schema)
        _ = Database.isPrepared
        var handle: OpaquePointer?
        let flags =
            SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_PRIVATECACHE
            | SQLITE_OPEN_EXRESCODE
        // SAFETY: the path lives for the call. SQLite gives a handle even when it fails.
        let code = unsafe ResultCode(sqlite3_open_v2(path, &handle, flags, nil))
        guard let handle = unsafe handle else {
            throw StoreError(.noMemory, "no memory", path: path, code: .noMemory)
        }
        self.path = path
        self.schema = schema
        self.options = options
        unsafe self.handle = handle
        checkpointThreshold = options.checkpointPages
        wasStoppedCleanly = header?.wasStoppedCleanly ?? true
        isNew = header == nil
        do throws(StoreError) {
            if code != .ok { throw error(code, nil) }
            try configure()
            try migrate(migrates)
            try startLog()
        } catch {
            close()
            throw error
        }
    }

    deinit {
        close()
    }

    /// Moves the log into the file and closes it. Nothing else may be done with it afterwards.
    public func close() {
        guard !isClosed else { return }
        isClosed = true
        statements = [:]
        // SAFETY: closed once. A statement that somebody still has keeps the connection alive (v2).
        unsafe sqlite3_close_v2(handle)
    }

    /// Looks at the header; `nil`: there is no store yet.
    private static func inspect(
        _ path: String, _ schema: Schema
    ) throws(StoreError) -> StoreHeader? {
        let finding: StoreHeader.Finding
        do throws(IOError) {
            finding = try StoreHeader.read(path)
            if finding == .new { try StoreKernel.make(path) }
        } catch {
            throw StoreError(.cannotOpen, "\(error)", path: path, code: .cannotOpen)
        }
        switch finding {
        case .new: return nil
        case .unfinished:
            return StoreHeader(
                applicationID: schema.applicationID, userVersion: 0, wasStoppedCleanly: false)
        case .corrupt(let reason):
            throw StoreError(.corrupt, reason, path: path, code: .notADatabase)
        case .store(let header):
            try check(header.applicationID, Int(header.userVersion), schema, path)
            return header
        }
    }

    /// Throws when a store is another program's or of a newer version.
    private static func check(
        _ applicationID: UInt32, _ version: Int, _ schema: Schema, _ path: String
    ) throws(StoreError) {
        guard applicationID == schema.applicationID else {
            throw StoreError.foreign(applicationID, path: path)
        }
        guard version <= schema.formatVersion else {
            throw StoreError.newer(version, schema, path: path)
        }
    }

    private func configure() throws(StoreError) {
        // SAFETY: the connection is open.
        unsafe sqlite3_busy_timeout(handle, Int32(options.busyTimeoutMilliseconds))
        // SQLite opens what it may not write for reading only, and says nothing.
        if unsafe sqlite3_db_readonly(handle, "main") == 1 {
            throw StoreError(.readOnly, "the file cannot be written", path: path, code: .readOnly)
        }
        try execute(
            """
            PRAGMA cache_size = -\(options.cacheKibibytes);
            PRAGMA temp_store = MEMORY;
            PRAGMA mmap_size = 0;
            PRAGMA trusted_schema = OFF;
            PRAGMA cell_size_check = ON;
            PRAGMA secure_delete = OFF;
            PRAGMA foreign_keys = ON;
            PRAGMA synchronous = FULL;
            """)
        // Works only before the first table.
        if isNew { try execute("PRAGMA auto_vacuum = INCREMENTAL") }
    }

    // MARK: Format

    private func migrate(_ migrates: Bool) throws(StoreError) {
        // The first reads: they roll back, or recover the log, after a crash.
        let application = UInt32(truncatingIfNeeded: try integer("PRAGMA application_id"))
        let version = Int(try integer("PRAGMA user_version"))
        let isEmpty = try integer("SELECT count(*) FROM sqlite_schema") == 0
        if application != 0 || !isEmpty {
            try Database.check(application, version, schema, path)
        }
        guard version < schema.formatVersion || application == 0 else { return }
        if version > 0 && !migrates { return }
        // Without the log, so that the header in the file always tells the format, whatever happens.
        let mode = try text("PRAGMA journal_mode = DELETE")
        guard mode == "delete" else {
            throw StoreError(.busy, "the log cannot be closed", path: path, code: .busy)
        }
        if version > 0 { try StoreFile.keepCopy(of: path, format: version) }
        for number in version..<schema.formatVersion {
            let migration = schema.migrations[number]
            do throws(StoreError) {
                try transaction { () throws(StoreError) in
                    try migration.apply(self)
                    try execute(
                        "PRAGMA application_id = \(Int32(bitPattern: schema.applicationID))")
                    try execute("PRAGMA user_version = \(number + 1)")
                }
            } catch {
                var error = error
                error.message = "migration \(number + 1) (\(migration.name)): \(error.message)"
                throw error
            }
        }
        statements = [:]
    }

    private func startLog() throws(StoreError) {
        let mode = try text("PRAGMA journal_mode = WAL")
        guard mode == "wal" else {
            throw StoreError(
                .other, "the file system does not carry a write-ahead log", path: path)
        }
        try execute("PRAGMA journal_size_limit = \(options.journalSizeLimitBytes)")
        try synchronize(options.synchronous)
        // Takes the place of SQLite's own checkpoints, which would run inside a commit.
        // SAFETY: `self` outlives the connection, which it closes.
        unsafe sqlite3_wal_hook(
            handle,
            { context, _, _, pages in
                guard let context = unsafe context else { return SQLITE_OK }
                let database = unsafe Unmanaged<Database>.fromOpaque(context)
                    .takeUnretainedValue()
                database.logPages = Int(pages)
                return SQLITE_OK
            }, Unmanaged.passUnretained(self).toOpaque())
        statements = [:]
    }

    // MARK: Statements

    /// The prepared statement of `sql`, made at first use and kept.
    public func statement(_ sql: String) throws(StoreError) -> Statement {
        if let statement = statements[sql] { return statement }
        let statement = try Statement(sql, self)
        statements[sql] = statement
        return statement
    }

    /// Runs statements without parameters, separated by semicolons.
    public func execute(_ sql: String) throws(StoreError) {
        // SAFETY: the text lives for the call.
        try check(unsafe sqlite3_exec(handle, sql, nil, nil, nil), sql)
    }

    /// The first column of the first row as an integer; 0 without a row.
    public func integer(_ sql: String) throws(StoreError) -> Int64 {
        let statement = try Statement(sql, self)
        return try statement.step() ? statement.integer(0) : 0
    }

    /// The first column of the first row as text; empty without a row.
    public func text(_ sql: String) throws(StoreError) -> String {
        let statement = try Statement(sql, self)
        return try statement.step() ? statement.string(0) : ""
    }

    /// The row that the last insert made.
    public var lastInsertedRow: Int64 { unsafe sqlite3_last_insert_rowid(handle) }

    /// Rows that the last statement changed.
    public var changedRows: Int { unsafe Int(sqlite3_changes64(handle)) }

    // MARK: Transactions

    /// Runs `body` as one transaction; when it throws, nothing of it remains.
    public func transaction<Value>(
        _ body: () throws(StoreError) -> Value
    ) throws(StoreError) -> Value {
        try begin()
        do throws(StoreError) {
            let value = try body()
            try commit()
            return value
        } catch {
            rollBack()
            throw error
        }
    }

    /// What the next commits withstand; not within a transaction.
    func synchronize(_ synchronous: StoreOptions.Synchronous) throws(StoreError) {
        guard synchronous != self.synchronous else { return }
        try execute("PRAGMA synchronous = \(synchronous.rawValue)")
        self.synchronous = synchronous
    }

    var isInTransaction: Bool { unsafe sqlite3_get_autocommit(handle) == 0 }

    func begin() throws(StoreError) {
        try statement("BEGIN IMMEDIATE").run()
    }

    func commit() throws(StoreError) {
        try statement("COMMIT").run()
    }

    /// SQLite may have done it already, after an error; that is fine.
    func rollBack() {
        if isInTransaction { try? statement("ROLLBACK").run() }
    }

    // MARK: Checkpoints

    /// Moves the log's pages into the file when it has grown to its limit; call it between transactions,
    /// when nobody waits.
    public func checkpointIfDue() throws(StoreError) {
        if logPages >= checkpointThreshold { try checkpointNow() }
    }

    /// For a disk that is full: cuts free pages off the end of the file, so that the log's pages have
    /// to grow it less, and empties the log, whose place can then be used again.
    func makeRoom() throws(StoreError) {
        try execute("PRAGMA incremental_vacuum(\(options.checkpointPages))")
        try checkpointNow()
    }

    /// Gives the file system back some of the pages that nothing is in, where there are many: more than half
    /// of the file, or any when `needsRoom`. False when there is nothing more to give.
    ///
    /// Within a transaction; the file is cut with the next checkpoint, which becomes due.
    public func trim(needsRoom: Bool) throws(StoreError) -> Bool {
        let free = try integer("PRAGMA freelist_count")
        let pages = try integer("PRAGMA page_count")
        guard free > (needsRoom ? 0 : max(2_048, pages / 2)) else { return false }
        try execute("PRAGMA incremental_vacuum(\(options.checkpointPages))")
        checkpointThreshold = 1
        return true
    }

    private func checkpointNow() throws(StoreError) {
        var inLog: Int32 = 0
        var moved: Int32 = 0
        // SAFETY: both numbers live for the call.
        let code = unsafe sqlite3_wal_checkpoint_v2(
            handle, nil, SQLITE_CHECKPOINT_PASSIVE, &inLog, &moved)
        // A reader, such as a check, holds pages back: try again some pages later.
        let isComplete = ResultCode(code) == .ok && inLog == moved
        checkpointThreshold =
            isComplete ? options.checkpointPages : logPages + options.checkpointPages
        logPages = 0
        if ResultCode(code).primary != .busy { try check(code, nil) }
    }

    /// Moves everything into the file and empties the log, fsync(2) included.
    public func checkpoint() throws(StoreError) {
        // SAFETY: no pointers beside the connection.
        try check(
            unsafe sqlite3_wal_checkpoint_v2(handle, nil, SQLITE_CHECKPOINT_TRUNCATE, nil, nil), nil
        )
    }

    // MARK: Errors

    func check(_ code: Int32, _ sql: String?) throws(StoreError) {
        if code != SQLITE_OK { throw error(ResultCode(code), sql) }
    }

    func error(_ code: ResultCode, _ sql: String?) -> StoreError {
        // SAFETY: the text is valid until the next call; it is copied at once. It names tables and
        // columns, never values.
        let text = unsafe sqlite3_errmsg(handle).map { unsafe String(cString: $0) } ?? ""
        let systemError = unsafe sqlite3_system_errno(handle)
        return StoreError(
            StoreError.Kind(code, systemError: systemError), "\(text) (\(code.rawValue))",
            path: path, code: code, statement: sql)
    }
}
