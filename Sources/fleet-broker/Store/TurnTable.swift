import BrokerCore
import IO
import MQTT
import Store

/// The broker's store: one row for each turn of a shard, with a checksum and the clocks' times.
enum TurnTable {
    static let fileName = "broker.db"

    /// `FLBR`.
    static let schema = Schema(
        applicationID: 0x464C_4252,
        migrations: [
            Migration(
                "turns",
                sql: """
                    CREATE TABLE turn (
                        id INTEGER PRIMARY KEY,
                        monotonic INTEGER NOT NULL,
                        unix INTEGER NOT NULL,
                        boot INTEGER NOT NULL,
                        checksum INTEGER NOT NULL,
                        records BLOB NOT NULL);
                    """)
        ])

    /// Opened so that the least promise holds; a commit that needs more asks for it.
    static let options = StoreOptions(synchronous: .normal)

    static func open(_ path: String, migrates: Bool = true) throws(StoreError) -> Database {
        try Database(path: path, schema: schema, options: options, migrates: migrates)
    }

    /// Rows deleted in one transaction, so that no commit waits long behind them.
    static let deletedAtOnce = 32

    /// The row of a shard's turn.
    private static func row(_ shard: Int, _ turn: TurnNumber) -> Int64 {
        Int64(shard) << 48 | Int64(turn.rawValue)
    }

    // MARK: Writing

    /// Keeps a turn; done twice, it is kept once.
    static func write(
        _ turn: Turn, shard: Int, at anchor: TimeAnchor, _ database: Database
    ) throws(StoreError) {
        if !turn.records.isEmpty {
            let insert = try database.statement(
                "INSERT OR REPLACE INTO turn VALUES (?, ?, ?, ?, ?, ?)")
            try insert.bind(1, row(shard, turn.number))
            try insert.bind(2, Int64(bitPattern: anchor.monotonic.nanoseconds))
            try insert.bind(3, anchor.unixMilliseconds)
            try insert.bind(4, Int64(bitPattern: anchor.boot))
            try insert.bind(5, Int64(bitPattern: BlockChecksum.of(turn.records.span)))
            try insert.bind(6, turn.records)
            try insert.run()
        }
    }

    static func deleteAll(_ database: Database) throws(StoreError) {
        try database.statement("DELETE FROM turn").run()
    }

    /// Deletes some of a shard's turns up to `turn`; true when none is left.
    static func delete(
        upTo turn: TurnNumber, shard: Int, _ database: Database
    ) throws(StoreError) -> Bool {
        let delete = try database.statement(
            """
            DELETE FROM turn WHERE id IN
            (SELECT id FROM turn WHERE id BETWEEN ? AND ? ORDER BY id LIMIT \(deletedAtOnce))
            """)
        try delete.bind(1, row(shard, TurnNumber(rawValue: 0)))
        try delete.bind(2, row(shard, turn))
        try delete.run()
        return database.changedRows < deletedAtOnce
    }

    // MARK: Reading

    /// Reads all turns into `state`. Throws `.corrupt` where SQLite cannot go on; what was read until then
    /// is in `state`, and `last` is the last row. `progress` is told how many turns were read, at each.
    static func read(
        _ database: Database, after last: inout Int64, into state: inout RecoveredState,
        progress: (Int) -> Void = { _ in }
    ) throws(StoreError) {
        let select = try database.statement(
            "SELECT id, monotonic, unix, boot, checksum, records FROM turn WHERE id > ? ORDER BY id"
        )
        try select.bind(1, last)
        defer { select.reset() }
        while try select.step() {
            last = select.integer(0)
            read(select, into: &state)
            progress(state.turns)
        }
    }

    private static func read(_ row: Statement, into state: inout RecoveredState) {
        let id = row.integer(0)
        let anchor = TimeAnchor(
            monotonic: MonotonicTime(nanoseconds: UInt64(bitPattern: row.integer(1))),
            unixMilliseconds: row.integer(2), boot: UInt64(bitPattern: row.integer(3)))
        let checksum = UInt64(bitPattern: row.integer(4))
        row.withBytes(5) { records in
            guard BlockChecksum.of(records) == checksum else { return state.missed() }
            state.read(
                records, turn: TurnNumber(rawValue: UInt64(id & 0xFFFF_FFFF_FFFF)),
                shard: UInt16(truncatingIfNeeded: id >> 48), anchor: anchor)
        }
    }

    /// Reads what can be read of a damaged store: row by row where it must.
    static func salvage(_ database: Database, into state: inout RecoveredState) {
        var last = Int64.min
        // Each round gets past one damaged page at least.
        for _ in 0..<maximumSalvageRounds {
            do throws(StoreError) {
                return try read(database, after: &last, into: &state)
            } catch {
                state.missed()
                guard let next = nextReadable(database, after: last) else { return }
                last = next - 1
            }
        }
    }

    private static let maximumSalvageRounds = 10_000
    private static let maximumProbes = 4_096

    /// The next row that can be read by its number; `nil` for none nearby.
    private static func nextReadable(_ database: Database, after row: Int64) -> Int64? {
        let end = (try? database.integer("SELECT max(id) FROM turn")) ?? Int64.max
        var step: Int64 = 1
        var probe = row == .min ? 0 : row
        for count in 0..<maximumProbes {
            let (next, overflow) = probe.addingReportingOverflow(step)
            guard !overflow, next <= end else { return nil }
            probe = next
            // A page may hold many turns, and a damaged one above it very many.
            if count % 512 == 511 { step *= 2 }
            guard let select = try? database.statement("SELECT records FROM turn WHERE id = ?"),
                (try? select.bind(1, probe)) != nil
            else { return nil }
            defer { select.reset() }
            if (try? select.step()) == true { return probe }
        }
        return nil
    }
}
