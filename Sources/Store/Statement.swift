import CSQLite

/// A prepared statement: bound, stepped, and used again; sqlite3_stmt.
///
/// Get it from `Database.statement`, use it within the same piece of work, and keep none: the store
/// may be reopened. Parameters count from 1, columns from 0, as in SQLite.
@safe
public final class Statement {
    private let handle: OpaquePointer
    private unowned let database: Database
    let sql: String

    init(_ sql: String, _ database: Database) throws(StoreError) {
        self.sql = sql
        self.database = database
        var handle: OpaquePointer?
        // SAFETY: SQLite copies the text; the connection is open as long as `database` lives.
        let code = unsafe sqlite3_prepare_v3(
            database.handle, sql, -1, UInt32(SQLITE_PREPARE_PERSISTENT), &handle, nil)
        try database.check(code, sql)
        guard let handle = unsafe handle else {
            throw StoreError(.other, "no statement", path: database.path, statement: sql)
        }
        unsafe self.handle = handle
    }

    deinit {
        // SAFETY: prepared once, finalized once; SQLite keeps the connection alive until then.
        unsafe sqlite3_finalize(handle)
    }

    // MARK: Parameters

    public func bind(_ index: Int, _ value: Int64) throws(StoreError) {
        try check(unsafe sqlite3_bind_int64(handle, Int32(index), value))
    }

    public func bind(_ index: Int, _ value: Int) throws(StoreError) {
        try bind(index, Int64(value))
    }

    public func bind(_ index: Int, _ value: Double) throws(StoreError) {
        try check(unsafe sqlite3_bind_double(handle, Int32(index), value))
    }

    public func bind(_ index: Int, _ text: String) throws(StoreError) {
        let bytes = Array(text.utf8)
        // SAFETY: SQLite copies the bytes before it returns (SQLITE_TRANSIENT).
        let code = unsafe bytes.withUnsafeBytes { buffer in
            unsafe sqlite3_bind_text64(
                handle, Int32(index),
                buffer.assumingMemoryBound(to: CChar.self).baseAddress ?? empty,
                UInt64(buffer.count), transient, UInt8(SQLITE_UTF8))
        }
        try check(code)
    }

    public func bind(_ index: Int, _ bytes: Span<UInt8>) throws(StoreError) {
        // SAFETY: SQLite copies the bytes before it returns (SQLITE_TRANSIENT).
        let code = unsafe bytes.withUnsafeBytes { buffer in
            // An empty blob is a blob; a null pointer would make it NULL.
            guard let base = buffer.baseAddress, buffer.count > 0 else {
                return unsafe sqlite3_bind_zeroblob(handle, Int32(index), 0)
            }
            return unsafe sqlite3_bind_blob64(
                handle, Int32(index), base, UInt64(buffer.count), transient)
        }
        try check(code)
    }

    public func bind(_ index: Int, _ bytes: [UInt8]) throws(StoreError) {
        try bind(index, bytes.span)
    }

    public func bindNull(_ index: Int) throws(StoreError) {
        try check(unsafe sqlite3_bind_null(handle, Int32(index)))
    }

    // MARK: Running

    /// Goes to the next row; `false`: there is none, and the statement is ready for its next use.
    public func step() throws(StoreError) -> Bool {
        // SAFETY: the statement lives as long as self.
        let code = unsafe ResultCode(sqlite3_step(handle))
        if code == .row { return true }
        defer { reset() }
        if code == .done { return false }
        throw database.error(code, sql)
    }

    /// Runs to the end; rows are not looked at.
    public func run() throws(StoreError) {
        while try step() {}
    }

    /// Forgets rows and bound values.
    public func reset() {
        // SAFETY: the statement lives as long as self. The codes repeat what `step` has thrown.
        unsafe sqlite3_reset(handle)
        unsafe sqlite3_clear_bindings(handle)
    }

    // MARK: Columns of the row

    public func integer(_ column: Int) -> Int64 {
        unsafe sqlite3_column_int64(handle, Int32(column))
    }

    public func number(_ column: Int) -> Double {
        unsafe sqlite3_column_double(handle, Int32(column))
    }

    public func isNull(_ column: Int) -> Bool {
        unsafe sqlite3_column_type(handle, Int32(column)) == SQLITE_NULL
    }

    public func string(_ column: Int) -> String {
        // SAFETY: SQLite's text is valid until the next step; it is copied at once.
        guard let text = unsafe sqlite3_column_text(handle, Int32(column)) else { return "" }
        let count = unsafe Int(sqlite3_column_bytes(handle, Int32(column)))
        return unsafe String(
            decoding: UnsafeRawBufferPointer(start: text, count: count), as: UTF8.self)
    }

    /// A copy of a blob (or of a text's bytes).
    public func bytes(_ column: Int) -> [UInt8] {
        // SAFETY: SQLite's blob is valid until the next step; it is copied at once.
        guard let blob = unsafe sqlite3_column_blob(handle, Int32(column)) else { return [] }
        let count = unsafe Int(sqlite3_column_bytes(handle, Int32(column)))
        return unsafe Array(UnsafeRawBufferPointer(start: blob, count: count))
    }

    /// A blob without a copy, for the length of `body`, which must not step this statement.
    public func withBytes<Value, Failure>(
        _ column: Int, _ body: (Span<UInt8>) throws(Failure) -> Value
    ) throws(Failure) -> Value {
        // SAFETY: SQLite's blob is valid until the next step, which `body` does not make.
        let blob = unsafe sqlite3_column_blob(handle, Int32(column))
        let count = unsafe Int(sqlite3_column_bytes(handle, Int32(column)))
        let buffer = unsafe UnsafeRawBufferPointer(
            start: blob, count: unsafe blob == nil ? 0 : count)
        return try body(unsafe buffer.bindMemory(to: UInt8.self).span)
    }

    private func check(_ code: Int32) throws(StoreError) {
        try database.check(code, sql)
    }
}

/// "Copy it before you return", sqlite3.h's `SQLITE_TRANSIENT`, which is a cast that Swift lacks.
private nonisolated(unsafe) let transient = unsafe unsafeBitCast(
    -1, to: sqlite3_destructor_type.self)
/// Stands for empty text, which must not be a null pointer.
private nonisolated(unsafe) let empty: UnsafePointer<CChar> = {
    let pointer = UnsafeMutablePointer<CChar>.allocate(capacity: 1)
    unsafe pointer.initialize(to: 0)
    return unsafe UnsafePointer(pointer)
}()
