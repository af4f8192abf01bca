import BridgeCore
import IO
import Store

/// The bridge's store: what the bridge's core asks for, as SQL on the store's thread.
///
/// A batch is one row, keyed by route (upper 8 bits) and its last number, so that reading on and
/// deleting what is done are ranges of the key. Everything bears being done twice, because a commit
/// that failed may have happened.
struct BridgeStore: Sendable {
    /// Limits beside those of the core.
    struct Limits: Equatable, Sendable {
        /// Of the table of refused messages; beyond them the oldest give way, and are counted.
        var refusedMessages = 1_000
        var refusedBytes = 16 * 1024 * 1024
        /// Room on the disk that messages leave: what deletes them needs some, and so do others.
        var minimumFreeBytes = 16 * 1024 * 1024
        /// The log and what of it the file has to grow by: twice `journalSizeLimitBytes`.
        static let leastFreeBytes = 8 * 1024 * 1024
    }

    /// What is read when the store is opened.
    struct Opened: Sendable {
        var state: StoredState
        /// Grows with every start.
        var session: Int
        var wasStoppedCleanly: Bool
        /// Filters of earlier starts that are not among those of now: the brokers' sessions still have
        /// them, until `forget`.
        var staleFilters: PerRoute<[String]>
    }

    static let schema = Schema(
        applicationID: 0x466C_4272,  // "FlBr"
        migrations: [
            Migration(
                "first format",
                sql: """
                    CREATE TABLE meta (name TEXT PRIMARY KEY, value INTEGER NOT NULL)
                        WITHOUT ROWID, STRICT;
                    CREATE TABLE route (
                        route INTEGER PRIMARY KEY, next_sequence INTEGER NOT NULL,
                        acknowledged_through INTEGER NOT NULL, bytes INTEGER NOT NULL) STRICT;
                    INSERT INTO route VALUES (0, 1, 0, 0), (1, 1, 0, 0);
                    CREATE TABLE batch (
                        id INTEGER PRIMARY KEY, first_sequence INTEGER NOT NULL,
                        count INTEGER NOT NULL, body BLOB NOT NULL) STRICT;
                    CREATE TABLE refused (
                        id INTEGER PRIMARY KEY, route INTEGER NOT NULL, sequence INTEGER NOT NULL,
                        reason INTEGER NOT NULL, refused_at INTEGER NOT NULL, body BLOB NOT NULL,
                        UNIQUE (route, sequence)) STRICT;
                    CREATE TABLE filter (
                        route INTEGER NOT NULL, filter TEXT NOT NULL,
                        PRIMARY KEY (route, filter)) WITHOUT ROWID, STRICT;
                    """)
        ])

    let thread: StoreThread
    let limits: Limits

    /// Opens or makes the store. After a quarantine, `path` is free and a new one is made.
    static func start(
        path: String, limits: Limits = Limits(),
        onEvent: @escaping @Sendable (StoreThread.Event) -> Void
    ) throws(StoreError) -> BridgeStore {
        let thread = try StoreThread.start(
            path: path, open: { () throws(StoreError) in try open(path) }, onEvent: onEvent)
        return BridgeStore(thread: thread, limits: limits)
    }

    static func open(_ path: String, migrates: Bool = true) throws(StoreError) -> Database {
        // Power durability: the edge broker forgets what it has seen acknowledged.
        try Database(
            path: path, schema: schema, options: StoreOptions(synchronous: .full),
            migrates: migrates)
    }

    /// Reads what the core begins with, and counts the start.
    ///
    /// - Parameter newEpoch: for a new store, and for one that came from another machine: two bridges
    ///   must not number different messages alike.
    func begin(
        instance: UInt64, newEpoch: UInt64, unixSeconds: Int, filters: PerRoute<[String]>
    ) throws(StoreError) -> Opened {
        try thread.perform { database throws(StoreError) in
            let known = try Self.meta("instance", in: database)
            if known != Int64(bitPattern: instance) {
                try Self.setMeta("epoch", Int64(bitPattern: newEpoch), in: database)
                try Self.setMeta("instance", Int64(bitPattern: instance), in: database)
            }
            let last = try Self.meta("session", in: database) ?? 0
            let session = max(last + 1, Int64(unixSeconds))
            try Self.setMeta("session", session, in: database)
            let epoch = try Self.meta("epoch", in: database) ?? Int64(bitPattern: newEpoch)
            var state = StoredState(epoch: UInt64(bitPattern: epoch))
            for route in Route.allCases {
                let row = try Self.route(route, in: database)
                state.nextSequence[route] = row.nextSequence
                state.acknowledgedThrough[route] = row.acknowledgedThrough
                state.bytes[route] = row.bytes
            }
            state.refused = try Self.refusedTotals(in: database)
            return Opened(
                state: state, session: Int(session),
                wasStoppedCleanly: database.wasStoppedCleanly,
                staleFilters: PerRoute(
                    up: try Self.exchangeFilters(.up, filters.up, in: database),
                    down: try Self.exchangeFilters(.down, filters.down, in: database)))
        }
    }

    /// The broker has ended these subscriptions. If this is not noted, they are ended once more.
    func forget(_ filters: [String], of route: Route) {
        _ = thread.submit(
            { database throws(StoreError) in
                let statement = try database.statement(
                    "DELETE FROM filter WHERE route = ? AND filter = ?")
                for filter in filters {
                    try statement.bind(1, Int(route.rawValue))
                    try statement.bind(2, filter)
                    try statement.run()
                }
            }, completion: { _ in })
    }

    /// `false`: the store takes no work now; `completion` is not called.
    func commit(
        _ transaction: StoreTransaction,
        completion: @escaping @Sendable (Result<CommitResult, StoreError>) -> Void
    ) -> Bool {
        let limits = self.limits
        return thread.submit(
            { database throws(StoreError) in
                try Self.write(transaction, limits, to: database)
            }, completion: completion)
    }

    func load(
        _ request: LoadRequest,
        completion: @escaping @Sendable (Result<[MessageBatch], StoreError>) -> Void
    ) -> Bool {
        thread.submit(
            { database throws(StoreError) in try Self.read(request, from: database) },
            completion: completion)
    }
}

// What runs on the store's thread.
extension BridgeStore {
    private struct RouteRow {
        var nextSequence: UInt64
        var acknowledgedThrough: UInt64
        var bytes: Int
    }

    static func key(_ route: Route, _ sequence: UInt64) -> Int64 {
        Int64(route.rawValue) << 56 | Int64(clamping: sequence)
    }

    private static func meta(_ name: String, in database: Database) throws(StoreError) -> Int64? {
        let statement = try database.statement("SELECT value FROM meta WHERE name = ?")
        try statement.bind(1, name)
        defer { statement.reset() }
        return try statement.step() ? statement.integer(0) : nil
    }

    private static func setMeta(
        _ name: String, _ value: Int64, in database: Database
    ) throws(StoreError) {
        let statement = try database.statement("INSERT OR REPLACE INTO meta VALUES (?, ?)")
        try statement.bind(1, name)
        try statement.bind(2, value)
        try statement.run()
    }

    /// Notes the filters of now beside the earlier ones; returns those that are not among them.
    private static func exchangeFilters(
        _ route: Route, _ filters: [String], in database: Database
    ) throws(StoreError) -> [String] {
        let select = try database.statement(
            "SELECT filter FROM filter WHERE route = ? ORDER BY filter")
        try select.bind(1, Int(route.rawValue))
        var known: [String] = []
        while try select.step() { known.append(select.string(0)) }
        let insert = try database.statement("INSERT OR IGNORE INTO filter VALUES (?, ?)")
        for filter in filters {
            try insert.bind(1, Int(route.rawValue))
            try insert.bind(2, filter)
            try insert.run()
        }
        return known.filter { !filters.contains($0) }
    }

    private static func route(
        _ route: Route, in database: Database
    ) throws(StoreError) -> RouteRow {
        let statement = try database.statement(
            "SELECT next_sequence, acknowledged_through, bytes FROM route WHERE route = ?")
        try statement.bind(1, Int(route.rawValue))
        defer { statement.reset() }
        guard try statement.step() else {
            return RouteRow(nextSequence: 1, acknowledgedThrough: 0, bytes: 0)
        }
        // What a damaged file says must not trap further on.
        let next = UInt64(clamping: max(1, statement.integer(0)))
        return RouteRow(
            nextSequence: next,
            acknowledgedThrough: min(UInt64(clamping: statement.integer(1)), next - 1),
            bytes: Int(max(0, statement.integer(2))))
    }

    private static func refused(
        in database: Database
    ) throws(StoreError) -> (count: Int, bytes: Int) {
        let statement = try database.statement(
            "SELECT count(*), coalesce(sum(length(body)), 0) FROM refused")
        defer { statement.reset() }
        guard try statement.step() else { return (0, 0) }
        return (Int(statement.integer(0)), Int(statement.integer(1)))
    }

    private static func write(
        _ transaction: StoreTransaction, _ limits: Limits, to database: Database
    ) throws(StoreError) -> CommitResult {
        try requireRoom(for: transaction, limits, in: database)
        var freed = PerRoute(up: 0, down: 0)
        for route in Route.allCases {
            freed[route] = try write(transaction, route, to: database)
        }
        for message in transaction.refused { try insert(message, into: database) }
        guard !transaction.refused.isEmpty else {
            return CommitResult(freedBytes: freed, refused: nil)
        }
        try trimRefused(limits, in: database)
        return CommitResult(freedBytes: freed, refused: try refusedTotals(in: database))
    }

    /// A store that took the last page could not even delete: answers have to find room.
    private static func requireRoom(
        for transaction: StoreTransaction, _ limits: Limits, in database: Database
    ) throws(StoreError) {
        // Where nobody can tell, SQLite will.
        guard transaction.hasMessages, let space = try? Files.space(at: database.path) else {
            return
        }
        let bytes = (transaction.batches.up + transaction.batches.down)
            .reduce(0) { $0 + $1.body.count }
        // Once for the log, and once for the file.
        guard space.availableBytes < UInt64(limits.minimumFreeBytes) + 2 * UInt64(bytes) else {
            return
        }
        throw StoreError(
            .full, "fewer than \(limits.minimumFreeBytes) bytes would stay free on its disk",
            path: database.path, code: .full)
    }

    private static func refusedTotals(in database: Database) throws(StoreError) -> RefusedTotals {
        RefusedTotals(
            kept: try refused(in: database).count,
            evicted: Int(try meta("refused_evicted", in: database) ?? 0))
    }

    /// Returns the bytes of the batches that were deleted.
    private static func write(
        _ transaction: StoreTransaction, _ route: Route, to database: Database
    ) throws(StoreError) -> Int {
        let before = try Self.route(route, in: database)
        // What a commit that was taken for failed has written stays.
        let through = max(transaction.acknowledgedThrough[route], before.acknowledgedThrough)
        let next = max(transaction.nextSequence[route], before.nextSequence)
        let batches = transaction.batches[route]
        if batches.isEmpty, through == before.acknowledgedThrough { return 0 }
        var added = 0
        // In the store already: this transaction comes a second time.
        if next > before.nextSequence {
            for batch in batches {
                try insert(batch, route, into: database)
                added += batch.body.count
            }
        }
        let freed =
            through > before.acknowledgedThrough
            ? try deleteBatches(route, through: through, in: database) : 0
        let statement = try database.statement(
            """
            UPDATE route SET next_sequence = ?, acknowledged_through = ?, bytes = ?
            WHERE route = ?
            """)
        try statement.bind(1, Int64(clamping: next))
        try statement.bind(2, Int64(clamping: through))
        try statement.bind(3, max(0, before.bytes + added - freed))
        try statement.bind(4, Int(route.rawValue))
        try statement.run()
        return freed
    }

    private static func insert(
        _ batch: MessageBatch, _ route: Route, into database: Database
    ) throws(StoreError) {
        let statement = try database.statement("INSERT OR REPLACE INTO batch VALUES (?, ?, ?, ?)")
        try statement.bind(1, key(route, batch.lastSequence))
        try statement.bind(2, Int64(clamping: batch.firstSequence))
        try statement.bind(3, batch.count)
        try statement.bind(4, batch.body)
        try statement.run()
    }

    private static func deleteBatches(
        _ route: Route, through sequence: UInt64, in database: Database
    ) throws(StoreError) -> Int {
        let (first, last) = (key(route, 0), key(route, sequence))
        let sum = try database.statement(
            "SELECT coalesce(sum(length(body)), 0) FROM batch WHERE id BETWEEN ? AND ?")
        try sum.bind(1, first)
        try sum.bind(2, last)
        let bytes = try sum.step() ? Int(sum.integer(0)) : 0
        sum.reset()
        let delete = try database.statement("DELETE FROM batch WHERE id BETWEEN ? AND ?")
        try delete.bind(1, first)
        try delete.bind(2, last)
        try delete.run()
        return bytes
    }

    private static func insert(
        _ message: RefusedMessage, into database: Database
    ) throws(StoreError) {
        let statement = try database.statement(
            """
            INSERT OR IGNORE INTO refused (route, sequence, reason, refused_at, body)
            VALUES (?, ?, ?, ?, ?)
            """)
        try statement.bind(1, Int(message.route.rawValue))
        try statement.bind(2, Int64(clamping: message.message.firstSequence))
        try statement.bind(3, message.reason.code)
        try statement.bind(4, Int64(clamping: message.refusedAtUnixMilliseconds))
        try statement.bind(5, message.message.body)
        try statement.run()
    }

    private static func trimRefused(
        _ limits: Limits, in database: Database
    ) throws(StoreError) {
        var (count, bytes) = try refused(in: database)
        var evicted: Int64 = 0
        let oldest = "SELECT min(id) FROM refused"
        while count > limits.refusedMessages || bytes > limits.refusedBytes, count > 1 {
            try database.statement("DELETE FROM refused WHERE id = (\(oldest))").run()
            evicted += 1
            (count, bytes) = try refused(in: database)
        }
        guard evicted > 0 else { return }
        let before = try meta("refused_evicted", in: database) ?? 0
        try setMeta("refused_evicted", before + evicted, in: database)
    }

    private static func read(
        _ request: LoadRequest, from database: Database
    ) throws(StoreError) -> [MessageBatch] {
        let statement = try database.statement(
            """
            SELECT first_sequence, count, body, id FROM batch
            WHERE id > ? AND id <= ? ORDER BY id
            """)
        try statement.bind(1, key(request.route, request.after))
        try statement.bind(2, key(request.route, 1 << 56 - 1))
        defer { statement.reset() }
        var batches: [MessageBatch] = []
        var bytes = 0
        while bytes < request.maximumBytes, try statement.step() {
            let body = statement.bytes(2)
            // A row that does not hold what it says is a hole; the core counts it.
            guard
                let batch = try? MessageBatch(
                    firstSequence: UInt64(clamping: statement.integer(0)),
                    count: Int(statement.integer(1)), body: body),
                key(request.route, batch.lastSequence) == statement.integer(3)
            else { continue }
            bytes += body.count
            batches.append(batch)
        }
        return batches
    }
}
