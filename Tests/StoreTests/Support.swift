import Foundation
import Store
import Synchronization
import Testing

/// A folder of its own for each test; it goes with the value.
final class Folder: Sendable {
    let path: String

    init() throws {
        path = NSTemporaryDirectory() + "fleet-store-" + UUID().uuidString
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }

    var store: String { path + "/test.db" }

    func bytes(_ file: String) throws -> [UInt8] {
        Array(try Data(contentsOf: URL(fileURLWithPath: file)))
    }

    func write(_ bytes: [UInt8], to file: String) throws {
        try Data(bytes).write(to: URL(fileURLWithPath: file))
    }

    func exists(_ file: String) -> Bool { FileManager.default.fileExists(atPath: file) }

    var names: [String] {
        ((try? FileManager.default.contentsOfDirectory(atPath: path)) ?? []).sorted()
    }
}

let testApplicationID: UInt32 = 0x7465_7374
let first = Migration("first", sql: "CREATE TABLE t (n INTEGER PRIMARY KEY, b BLOB UNIQUE)")
let schema1 = Schema(applicationID: testApplicationID, migrations: [first])
let normal = StoreOptions(synchronous: .normal)

func open(
    _ path: String, _ schema: Schema = schema1, _ options: StoreOptions = normal
) throws(StoreError) -> Database {
    try Database(path: path, schema: schema, options: options)
}

/// The error of `body`; a test issue when there is none.
func failure(_ body: () throws(StoreError) -> Void) -> StoreError? {
    do throws(StoreError) {
        try body()
        Issue.record("no error")
        return nil
    } catch {
        return error
    }
}

func insert(_ number: Int, _ database: Database, count: Int = 8) throws(StoreError) {
    let statement = try database.statement("INSERT INTO t VALUES (?, ?)")
    try statement.bind(1, number)
    var bytes = [UInt8](repeating: 0, count: count)
    for index in 0..<8 { bytes[index] = UInt8(truncatingIfNeeded: number >> (8 * index)) }
    try statement.bind(2, bytes)
    try statement.run()
}

func numbers(_ database: Database) throws(StoreError) -> [Int] {
    let statement = try database.statement("SELECT n FROM t ORDER BY n")
    var result: [Int] = []
    while try statement.step() { result.append(Int(statement.integer(0))) }
    return result
}

/// A list that several threads write to.
final class Notes: Sendable {
    private let lines = Mutex<[String]>([])
    func add(_ line: String) { lines.withLock { $0.append(line) } }
    var all: [String] { lines.withLock { $0 } }
}
