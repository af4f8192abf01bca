import Glibc
import Store

/// Rows or batches: what a queued message costs in each form of the store.
///
/// A message has a topic of 24 and a payload of 64 bytes; it is written, and deleted a while later, as a
/// bridge does. Prints CPU time (user and system) and bytes written for each message.
@main
enum StoreForms {
    /// How messages become rows.
    enum Form: String, CaseIterable {
        /// One row each.
        case row
        /// One row each, with a second index.
        case indexed
        /// One blob for all messages of a transaction.
        case batch
        /// One row each, each submitted on its own to the store's thread, which groups them.
        case submitted
    }

    static let topic = [UInt8](repeating: 0x74, count: 24)
    static let payload = [UInt8](repeating: 0x70, count: 64)
    /// Transactions between the writing of a message and its deletion.
    static let lag = 8

    static let schema = Schema(
        applicationID: 0x6265_6E63,
        migrations: [
            Migration(
                "first",
                sql: """
                    CREATE TABLE row (n INTEGER PRIMARY KEY, topic BLOB, payload BLOB);
                    CREATE TABLE indexed (n INTEGER PRIMARY KEY, topic BLOB, payload BLOB);
                    CREATE INDEX by_topic ON indexed (topic, n);
                    CREATE TABLE batch (n INTEGER PRIMARY KEY, messages BLOB);
                    """)
        ])

    static func main() {
        let folder = CommandLine.arguments.dropFirst().first ?? "."
        print("form        group  synchronous  us CPU/message  bytes written/message")
        for synchronous in StoreOptions.Synchronous.allCases {
            for form in Form.allCases {
                for group in [1, 32, 1_000] where !(form == .batch && group == 1) {
                    do throws(StoreError) {
                        try measure(form, group, synchronous, "\(folder)/bench-store.db")
                    } catch {
                        print("\(form.rawValue): \(error)")
                    }
                }
            }
        }
    }

    static func measure(
        _ form: Form, _ group: Int, _ synchronous: StoreOptions.Synchronous, _ path: String
    ) throws(StoreError) {
        // SAFETY: unlink(2) with strings that live for the call.
        for suffix in ["", "-wal", "-shm"] { unsafe _ = unlink(path + suffix) }
        let count = group == 1 ? 4_000 : 256_000 / group * group
        let options = StoreOptions(synchronous: synchronous)
        let open: @Sendable () throws(StoreError) -> Database = { () throws(StoreError) in
            try Database(path: path, schema: schema, options: options)
        }
        let thread = try StoreThread.start(path: path, open: open, onEvent: { print($0) })
        let (cpu, bytes) = (cpuMicroseconds(), thread.bytesWritten ?? 0)
        if form == .submitted {
            try submitAll(count, group, thread)
        } else {
            for start in stride(from: 0, to: count, by: group) {
                try thread.perform { database throws(StoreError) in
                    try write(form, start, group, database)
                }
            }
        }
        let written = (thread.bytesWritten ?? 0) - bytes
        thread.stop()
        let spent = cpuMicroseconds() - cpu
        let columns = [
            pad(form.rawValue, 12), pad("\(group)", 7), pad(synchronous.rawValue, 13),
            pad(decimal(Double(spent) / Double(count)), 16),
            "\(Int(written) / count)",
        ]
        print(columns.joined())
    }

    /// One transaction's messages, and the deletion of those of `lag` transactions ago.
    static func write(
        _ form: Form, _ start: Int, _ group: Int, _ database: Database
    ) throws(StoreError) {
        let old = start - lag * group
        if form == .batch {
            let insert = try database.statement("INSERT INTO batch VALUES (?, ?)")
            var blob: [UInt8] = []
            blob.reserveCapacity(group * 92)
            for _ in 0..<group {
                blob.append(contentsOf: [0, UInt8(topic.count)])
                blob.append(contentsOf: topic)
                blob.append(contentsOf: [0, UInt8(payload.count)])
                blob.append(contentsOf: payload)
            }
            try insert.bind(1, start)
            try insert.bind(2, blob)
            try insert.run()
            return try delete(upTo: old, "batch", database)
        }
        let table = form == .indexed ? "indexed" : "row"
        for number in start..<start + group { try insert(number, table, database) }
        try delete(upTo: old, table, database)
    }

    static func insert(
        _ number: Int, _ table: String, _ database: Database
    ) throws(StoreError) {
        let insert = try database.statement("INSERT INTO \(table) VALUES (?, ?, ?)")
        try insert.bind(1, number)
        try insert.bind(2, topic)
        try insert.bind(3, payload)
        try insert.run()
    }

    static func delete(
        upTo number: Int, _ table: String, _ database: Database
    ) throws(StoreError) {
        let delete = try database.statement("DELETE FROM \(table) WHERE n <= ?")
        try delete.bind(1, number)
        try delete.run()
    }

    static func submitAll(
        _ count: Int, _ group: Int, _ thread: StoreThread
    ) throws(StoreError) {
        for number in 0..<count {
            let isLast = number % group == group - 1
            let work: @Sendable (Database) throws(StoreError) -> Void = {
                database throws(StoreError) in
                try insert(number, "row", database)
                if isLast { try delete(upTo: number - lag * group, "row", database) }
            }
            // The last of each group waits for the commit of all.
            if isLast {
                try thread.perform(work)
            } else if !thread.submit(work, completion: { _ in }) {
                preconditionFailure("the queue takes a group")
            }
        }
    }

    static func cpuMicroseconds() -> Int {
        var usage = rusage()
        // SAFETY: getrusage(2) fills the structure that it is given; 0 is RUSAGE_SELF.
        unsafe getrusage(__rusage_who_t(0), &usage)
        let (user, system) = (usage.ru_utime, usage.ru_stime)
        return (user.tv_sec + system.tv_sec) * 1_000_000 + Int(user.tv_usec + system.tv_usec)
    }

    static func decimal(_ number: Double) -> String {
        let hundredths = Int(number * 100 + 0.5)
        return "\(hundredths / 100).\(hundredths % 100 < 10 ? "0" : "")\(hundredths % 100)"
    }

    static func pad(_ text: String, _ width: Int) -> String {
        text + String(repeating: " ", count: max(1, width - text.count))
    }
}
