import Foundation
import IO
import Testing

@testable import Store

private let second = Migration("add c", sql: "ALTER TABLE t ADD COLUMN c INTEGER DEFAULT 5")
private let schema2 = Schema(applicationID: testApplicationID, migrations: [first, second])

/// A store of the first format with these rows, closed.
private func make(_ path: String, _ rows: ClosedRange<Int>) throws {
    let database = try open(path)
    for row in rows { try insert(row, database) }
    database.close()
}

private func rows(_ path: String, _ schema: Schema = schema1) throws -> [Int] {
    let database = try open(path, schema)
    defer { database.close() }
    return try numbers(database)
}

@Suite struct MigratingWithACopy {
    @Test func theStoreIsCopiedBeforeItIsMigrated() throws {
        let folder = try Folder()
        try make(folder.store, 1...3)
        #expect(try rows(folder.store, schema2) == [1, 2, 3])
        #expect(folder.names == ["test.db", "test.db.format-1"])
        // It is what an older version takes.
        #expect(try rows(folder.store + ".format-1") == [1, 2, 3])
    }

    @Test func aCrashedStoreIsCopiedWithWhatItsLogHolds() throws {
        let folder = try Folder()
        let database = try open(folder.store)
        for row in 1...3 { try insert(row, database) }
        let copy = folder.path + "/copy.db"
        for suffix in ["", "-wal"] {
            try FileManager.default.copyItem(atPath: folder.store + suffix, toPath: copy + suffix)
        }
        #expect(try rows(copy, schema2) == [1, 2, 3])
        #expect(try rows(copy + ".format-1") == [1, 2, 3])
    }

    @Test func aLaterMigrationReplacesTheCopy() throws {
        let folder = try Folder()
        try make(folder.store, 1...1)
        _ = try open(folder.store, schema2)
        // Gone back, and forward again with more in it.
        _ = try StoreMaintenance.restore(
            from: folder.store + ".format-1", to: folder.store, schema: schema2,
            ownedLike: Files.status(folder.path))
        do { try insert(2, open(folder.store)) }
        _ = try open(folder.store, schema2)
        #expect(try rows(folder.store + ".format-1") == [1, 2])
    }

    @Test func withoutACopyThereIsNoMigration() throws {
        let folder = try Folder()
        try make(folder.store, 1...2)
        // A folder in the place of the copy.
        try FileManager.default.createDirectory(
            atPath: folder.store + ".format-1/x", withIntermediateDirectories: true)
        let error = failure { () throws(StoreError) in _ = try open(folder.store, schema2) }
        #expect(error?.message.hasPrefix("no copy can be made before the migration") == true)
        #expect(try StoreMaintenance.format(of: folder.store, schema: schema2) == 1)
        #expect(try rows(folder.store) == [1, 2])
        #expect(!folder.exists(folder.store + ".format-1.new"))
    }

    @Test func whoOnlyLooksMigratesNothing() throws {
        let folder = try Folder()
        try make(folder.store, 1...2)
        let database = try Database(
            path: folder.store, schema: schema2, options: normal, migrates: false)
        #expect(try numbers(database) == [1, 2])
        database.close()
        #expect(try StoreMaintenance.format(of: folder.store, schema: schema2) == 1)
        #expect(folder.names == ["test.db"])
    }

    @Test func aNewerStoreNamesTheCopyToGoBackTo() throws {
        let folder = try Folder()
        try make(folder.store, 1...1)
        _ = try open(folder.store, schema2)
        let error = failure { () throws(StoreError) in _ = try open(folder.store) }
        #expect(error?.kind == .newer(found: 2, supported: 1))
        #expect(error?.isForGood == true)
        #expect(error?.hint?.contains("store restore \(folder.store).format-1") == true)
    }
}

@Suite struct RestoringAStore {
    private func restore(_ folder: Folder, _ source: String) throws(StoreError) -> String? {
        let owner: FileStatus
        do throws(IOError) {
            owner = try Files.status(folder.path)
        } catch {
            throw StoreError(.other, "\(error)", path: folder.path)
        }
        return try StoreMaintenance.restore(
            from: source, to: folder.store, schema: schema2, ownedLike: owner)
    }

    @Test func theCopyTakesThePlaceAndTheOldStoreIsKept() throws {
        let folder = try Folder()
        try make(folder.store, 1...5)
        let backup = folder.path + "/backup"
        try make(backup, 1...2)
        let old = try #require(try restore(folder, backup))
        #expect(old.hasPrefix(folder.store + ".replaced-"))
        // Its format stays, for the program of its age.
        #expect(try StoreMaintenance.format(of: folder.store, schema: schema2) == 1)
        #expect(try rows(folder.store) == [1, 2])
        #expect(try rows(old) == [1, 2, 3, 4, 5])
        #expect(try rows(backup) == [1, 2])
    }

    @Test func whereThereIsNoStoreTheCopyIsTheStore() throws {
        let folder = try Folder()
        try make(folder.path + "/backup", 1...2)
        #expect(try restore(folder, folder.path + "/backup") == nil)
        #expect(try rows(folder.store) == [1, 2])
        #expect(folder.names == ["backup", "test.db"])
    }

    @Test func whatIsNoSoundStoreOfThisProgramIsRefusedAndNothingChanges() throws {
        let folder = try Folder()
        try make(folder.store, 1...5)
        let foreign = folder.path + "/foreign"
        _ = try open(foreign, Schema(applicationID: 99, migrations: [first]))
        let newer = folder.path + "/newer"
        _ = try open(
            newer,
            Schema(
                applicationID: testApplicationID,
                migrations: [first, second, Migration("third", sql: "CREATE TABLE w (x)")]))
        let damaged = folder.path + "/damaged"
        try make(damaged, 1...400)
        var bytes = try folder.bytes(damaged)
        for index in 4_096..<12_000 { bytes[index] = 0x5A }
        try folder.write(bytes, to: damaged)
        let text = folder.path + "/text"
        try folder.write(Array("no store".utf8), to: text)
        for (source, kind) in [
            (foreign, StoreError.Kind.foreign), (newer, .newer(found: 3, supported: 2)),
            (damaged, .corrupt), (text, .corrupt), (folder.path + "/nowhere", .cannotOpen),
        ] {
            let error = failure { () throws(StoreError) in _ = try restore(folder, source) }
            #expect(error?.kind == kind, "\(source)")
        }
        #expect(try rows(folder.store) == [1, 2, 3, 4, 5])
        #expect(folder.names == ["damaged", "foreign", "newer", "test.db", "text"])
    }
}
