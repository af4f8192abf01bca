import Foundation
import Testing

@testable import Store

@Suite struct OpeningAStore {
    @Test func aNewStoreIsForItsOwnerAndTellsItsFormatInTheHeader() throws {
        let folder = try Folder()
        do {
            let database = try open(folder.store)
            #expect(database.isNew)
            #expect(database.wasStoppedCleanly)
            #expect(try database.text("PRAGMA journal_mode") == "wal")
            #expect(try database.integer("PRAGMA auto_vacuum") == 2)
            #expect(try database.integer("PRAGMA synchronous") == 1)
            // The header in the file, not the log, tells; an older version reads it first.
            let bytes = try folder.bytes(folder.store)
            #expect(Array(bytes[60..<64]) == [0, 0, 0, 1])
            #expect(Array(bytes[68..<72]) == [0x74, 0x65, 0x73, 0x74])
            for name in folder.names {
                let file = try FileManager.default.attributesOfItem(
                    atPath: folder.path + "/" + name)
                #expect(file[.posixPermissions] as? Int == 0o600, "\(name)")
            }
        }
        #expect(folder.names == ["test.db"])
    }

    @Test func fullMeansFull() throws {
        let folder = try Folder()
        let database = try open(folder.store, schema1, StoreOptions(synchronous: .full))
        #expect(try database.integer("PRAGMA synchronous") == 2)
    }

    @Test func whatWasCommittedIsThereAgain() throws {
        let folder = try Folder()
        do {
            let database = try open(folder.store)
            for number in 1...3 { try insert(number, database) }
        }
        let database = try open(folder.store)
        #expect(!database.isNew)
        #expect(database.wasStoppedCleanly)
        #expect(try numbers(database) == [1, 2, 3])
    }

    @Test func anEmptyFileIsANewStore() throws {
        let folder = try Folder()
        try folder.write([], to: folder.store)
        #expect(try open(folder.store).isNew)
    }

    @Test func migrationsBringAnOldStoreToTheNewFormatWithItsRows() throws {
        let folder = try Folder()
        do { try insert(7, open(folder.store)) }
        let second = Migration("add c") { database throws(StoreError) in
            try database.execute("ALTER TABLE t ADD COLUMN c INTEGER NOT NULL DEFAULT 5")
        }
        let schema2 = Schema(applicationID: testApplicationID, migrations: [first, second])
        do {
            let database = try open(folder.store, schema2)
            #expect(try database.integer("SELECT c FROM t WHERE n = 7") == 5)
            #expect(try database.integer("PRAGMA user_version") == 2)
            #expect(try folder.bytes(folder.store)[63] == 2)
        }
        // Once is enough.
        #expect(try open(folder.store, schema2).integer("SELECT count(*) FROM t") == 1)
    }

    @Test func aMigrationThatFailsIsNamedAndLeavesTheOldFormat() throws {
        let folder = try Folder()
        do { try insert(7, open(folder.store)) }
        let second = Migration(
            "break",
            sql: "ALTER TABLE t ADD COLUMN c; CREATE TABLE u (x); INSERT INTO nowhere VALUES (1)")
        let schema2 = Schema(applicationID: testApplicationID, migrations: [first, second])
        let error = failure { () throws(StoreError) in _ = try open(folder.store, schema2) }
        #expect(error?.message.hasPrefix("migration 2 (break): no such table") == true)
        let database = try open(folder.store)
        #expect(try database.integer("PRAGMA user_version") == 1)
        #expect(try numbers(database) == [7])
        #expect(try database.integer("SELECT count(*) FROM sqlite_schema WHERE name = 'u'") == 0)
    }

    @Test func aStoreOfANewerVersionIsRefusedAndNotTouched() throws {
        let folder = try Folder()
        let schema2 = Schema(
            applicationID: testApplicationID,
            migrations: [first, Migration("second", sql: "CREATE TABLE u (x)")])
        do { try insert(1, open(folder.store, schema2)) }
        let before = try folder.bytes(folder.store)
        let error = failure { () throws(StoreError) in _ = try open(folder.store) }
        #expect(error?.kind == .newer(found: 2, supported: 1))
        #expect(error?.description.contains("install the newer version") == true)
        #expect(try folder.bytes(folder.store) == before)
        #expect(folder.names == ["test.db"])
    }

    @Test func aNewerStoreThatCrashedIsRefusedAndItsLogNotTouched() throws {
        let folder = try Folder()
        let schema2 = Schema(
            applicationID: testApplicationID,
            migrations: [first, Migration("second", sql: "CREATE TABLE u (x)")])
        let database = try open(folder.store, schema2)
        try insert(1, database)
        let copy = folder.path + "/copy.db"
        for suffix in ["", "-wal"] {
            try FileManager.default.copyItem(atPath: folder.store + suffix, toPath: copy + suffix)
        }
        let before = try (folder.bytes(copy), folder.bytes(copy + "-wal"))
        let error = failure { () throws(StoreError) in _ = try open(copy) }
        #expect(error?.kind == .newer(found: 2, supported: 1))
        #expect(try folder.bytes(copy) == before.0)
        #expect(try folder.bytes(copy + "-wal") == before.1)
        #expect(!folder.exists(copy + "-shm"))
    }

    @Test func aStoreOfAnotherProgramIsRefusedAndNotTouched() throws {
        let folder = try Folder()
        do { _ = try open(folder.store) }
        let before = try folder.bytes(folder.store)
        let other = Schema(applicationID: 99, migrations: [first])
        let error = failure { () throws(StoreError) in _ = try open(folder.store, other) }
        #expect(error?.kind == .foreign)
        #expect(try folder.bytes(folder.store) == before)
    }

    @Test func aFolderThatIsNotThereIsAnErrorWithItsName() throws {
        let error = failure { () throws(StoreError) in _ = try open("/nowhere/at/all.db") }
        #expect(error?.kind == .cannotOpen)
        #expect(error?.description.contains("/nowhere/at/all.db") == true)
    }
}

@Suite struct UsingStatements {
    @Test func everyTypeComesBackAsItWent() throws {
        let folder = try Folder()
        let database = try open(folder.store)
        try database.execute("CREATE TABLE v (a, b, c, d, e, f)")
        let insert = try database.statement("INSERT INTO v VALUES (?, ?, ?, ?, ?, ?)")
        try insert.bind(1, Int64.min)
        try insert.bind(2, 0.1)
        try insert.bind(3, "é\u{0}😀")
        try insert.bind(4, [0, 255, 7])
        try insert.bind(5, [UInt8]())
        try insert.bindNull(6)
        try insert.run()
        #expect(database.lastInsertedRow == 1)
        #expect(database.changedRows == 1)
        let select = try database.statement("SELECT a, b, c, d, e, f, typeof(e), length(c) FROM v")
        #expect(try select.step())
        #expect(select.integer(0) == .min)
        #expect(select.number(1) == 0.1)
        #expect(select.string(2) == "é\u{0}😀")
        #expect(select.bytes(3) == [0, 255, 7])
        #expect(select.withBytes(3) { $0.count } == 3)
        #expect(select.bytes(4) == [])
        #expect(select.withBytes(4) { $0.count } == 0)
        #expect(!select.isNull(4))
        #expect(select.string(6) == "blob")
        #expect(select.isNull(5))
        #expect(try !select.step())
        // The same statement again, with nothing left of the last use.
        try insert.bind(3, "")
        try insert.run()
        #expect(
            try database.text("SELECT typeof(a) || typeof(c) FROM v WHERE rowid = 2") == "nulltext")
    }

    @Test func anErrorNamesTheStatementAndNeverTheValues() throws {
        let folder = try Folder()
        let database = try open(folder.store)
        let statement = try database.statement("INSERT INTO t VALUES (1, ?)")
        try statement.bind(1, "hunter2")
        try statement.run()
        let error = failure { () throws(StoreError) in
            try statement.bind(1, "hunter2")
            try statement.run()
        }
        #expect(error?.kind == .constraint)
        #expect(error?.description.contains("INSERT INTO t VALUES (1, ?)") == true)
        #expect(error?.description.contains("hunter2") == false)
        // And the statement can be used again.
        #expect(try numbers(database) == [1])
    }

    @Test func aTransactionThatThrowsLeavesNothing() throws {
        let folder = try Folder()
        let database = try open(folder.store)
        _ = failure { () throws(StoreError) in
            try database.transaction { () throws(StoreError) in
                try insert(1, database)
                try database.execute("nonsense")
            }
        }
        #expect(try numbers(database) == [])
        try database.transaction { () throws(StoreError) in try insert(2, database) }
        #expect(try numbers(database) == [2])
    }

    @Test func theLogStaysWithinItsLimit() throws {
        let folder = try Folder()
        var options = normal
        options.checkpointPages = 16
        let database = try open(folder.store, schema1, options)
        var largest = 0
        for number in 1...500 {
            try insert(number, database, count: 600)
            try database.checkpointIfDue()
            largest = max(largest, try folder.bytes(folder.store + "-wal").count)
        }
        #expect(largest > 0)
        #expect(largest < 32 * 4_200)
    }
}
