import CFaultySync
import Glibc
import Store
import Synchronization

/// Works on a store until somebody kills it, or until the disk is full; tells what it has committed.
@main
enum StoreProbe {
    static let schema = Schema(
        applicationID: 0x7465_7374,
        migrations: [
            Migration(
                "first",
                sql: "CREATE TABLE left (n INTEGER PRIMARY KEY, blob BLOB);"
                    + "CREATE TABLE right (n INTEGER PRIMARY KEY)")
        ])

    static func main() {
        let arguments = CommandLine.arguments
        guard arguments.count == 3 else { exit(64) }
        switch arguments[1] {
        case "commit": commitForEver(arguments[2])
        case "fill": fill(arguments[2])
        case "sync-once": failSync(arguments[2], count: 1)
        case "sync-always": failSync(arguments[2], count: -1)
        default: openAsNobody(arguments[2])
        }
    }

    /// One write(2) for a line: what was written is out, whatever happens next.
    static func say(_ line: String) {
        let bytes = Array((line + "\n").utf8)
        // SAFETY: write(2) reads the array, which lives for the call.
        _ = unsafe bytes.withUnsafeBytes { unsafe write(1, $0.baseAddress, $0.count) }
    }

    static func options() -> StoreOptions {
        var options = StoreOptions(synchronous: .full)
        options.checkpointPages = 20
        return options
    }

    static func insert(_ number: Int, _ database: Database) throws(StoreError) {
        let left = try database.statement("INSERT INTO left VALUES (?, ?)")
        try left.bind(1, number)
        try left.bind(2, [UInt8](repeating: UInt8(number & 0xFF), count: 700))
        try left.run()
        let right = try database.statement("INSERT INTO right VALUES (?)")
        try right.bind(1, number)
        try right.run()
    }

    /// Says each number after its commit.
    static func commitForEver(_ path: String) {
        do throws(StoreError) {
            let options = options()
            let thread = try StoreThread.start(path: path) { () throws(StoreError) in
                try Database(path: path, schema: schema, options: options)
            } onEvent: {
                say("event \($0)")
            }
            var next = try thread.perform { database throws(StoreError) in
                Int(try database.integer("SELECT max(n) FROM left"))
            }
            while true {
                next += 1
                let number = next
                let isTaken = thread.submit { database throws(StoreError) in
                    try insert(number, database)
                } completion: { result in
                    switch result {
                    case .success: say("\(number)")
                    case .failure(let error): say("failed \(error.kind)")
                    }
                }
                if !isTaken {
                    next -= 1
                    usleep(500)
                }
            }
        } catch {
            say("error \(error.kind)")
        }
    }

    /// Commits ten numbers; from the fifth on, `count` calls of fsync(2) fail.
    static func failSync(_ path: String, count: Int32) {
        do throws(StoreError) {
            let options = options()
            let thread = try StoreThread.start(path: path) { () throws(StoreError) in
                try Database(path: path, schema: schema, options: options)
            } onEvent: { event in
                switch event {
                case .reopened: say("reopened")
                case .failed(let error): say("event \(error.kind)")
                }
            }
            for number in 1...10 {
                if number == 5 {
                    // FULL means that each commit so far came with at least one.
                    say("synced \(faulty_sync_calls() >= 4)")
                    faulty_sync_fail_next(count)
                }
                do throws(StoreError) {
                    try thread.perform { database throws(StoreError) in
                        try insert(number, database)
                    }
                    say("\(number)")
                } catch {
                    say("\(number) \(error.kind)")
                }
            }
            faulty_sync_fail_next(0)
            thread.stop()
        } catch {
            say("error \(error.kind)")
        }
    }

    /// Fills the file up to a limit of the kernel's, then counts what is there.
    static func fill(_ path: String) {
        signal(SIGXFSZ, SIG_IGN)
        var limit = rlimit(rlim_cur: 400_000, rlim_max: 400_000)
        // SAFETY: setrlimit(2) reads the structure.
        guard unsafe setrlimit(__rlimit_resource_t(1), &limit) == 0 else { exit(71) }
        do throws(StoreError) {
            let database = try Database(path: path, schema: schema, options: options())
            var number = 0
            do throws(StoreError) {
                while number < 100_000 {
                    try database.transaction { () throws(StoreError) in
                        try insert(number + 1, database)
                    }
                    number += 1
                    try database.checkpointIfDue()
                }
            } catch {
                say("\(error.kind) \(number)")
            }
            say("kept \(try database.integer("SELECT count(*) FROM left"))")
        } catch {
            say("error \(error.kind)")
        }
    }

    static func openAsNobody(_ path: String) {
        if geteuid() == 0, setuid(65_534) != 0 { exit(71) }
        do throws(StoreError) {
            _ = try Database(path: path, schema: schema, options: options())
            say("opened")
        } catch {
            say("\(error.kind)")
        }
    }
}
