import Foundation
import Testing

@testable import Store

/// What stands on the disk after a crash: the files of a store that is still open.
private func crashed(_ folder: Folder, rows: Int) throws -> String {
    let database = try open(folder.store)
    for number in 1...rows { try insert(number, database) }
    let copy = folder.path + "/crashed.db"
    for suffix in ["", "-wal"] {
        try FileManager.default.copyItem(atPath: folder.store + suffix, toPath: copy + suffix)
    }
    return copy
}

@Suite struct AfterACrash {
    @Test func theLogIsRecoveredAndTheStopIsKnownToBeUnclean() throws {
        let folder = try Folder()
        let path = try crashed(folder, rows: 50)
        do {
            let database = try open(path)
            #expect(!database.wasStoppedCleanly)
            #expect(!database.isNew)
            #expect(try numbers(database) == Array(1...50))
        }
        #expect(try open(path).wasStoppedCleanly)
    }

    @Test func aTornLogLosesOnlyItsEnd() throws {
        let folder = try Folder()
        let path = try crashed(folder, rows: 40)
        let log = try folder.bytes(path + "-wal")
        let shared = path + "-shm"
        var counts: Set<Int> = []
        for keep in stride(from: 0, through: log.count, by: 1_009) {
            try? FileManager.default.removeItem(atPath: shared)
            let copy = folder.path + "/torn-\(keep).db"
            try FileManager.default.copyItem(atPath: path, toPath: copy)
            try folder.write(Array(log.prefix(keep)), to: copy + "-wal")
            let database = try open(copy)
            let rows = try numbers(database)
            #expect(rows == Array(1...40).prefix(rows.count).map { $0 })
            #expect(try database.problems() == [])
            counts.insert(rows.count)
        }
        #expect(counts.count > 10)
    }

    @Test func aFlippedBitInTheLogEndsItThere() throws {
        let folder = try Folder()
        let path = try crashed(folder, rows: 40)
        var log = try folder.bytes(path + "-wal")
        log[log.count / 2] ^= 1
        try folder.write(log, to: path + "-wal")
        let database = try open(path)
        let rows = try numbers(database)
        #expect(rows.count < 40)
        #expect(rows == Array(1...40).prefix(rows.count).map { $0 })
        #expect(try database.problems() == [])
    }
}

@Suite struct DamagedFiles {
    private func sound(_ folder: Folder, rows: Int = 500) throws -> [UInt8] {
        do {
            let database = try open(folder.store)
            try database.transaction { () throws(StoreError) in
                for number in 1...rows { try insert(number, database, count: 100) }
            }
        }
        return try folder.bytes(folder.store)
    }

    @Test func aFileThatIsNoDatabaseIsCorrupt() throws {
        let folder = try Folder()
        try folder.write(Array("this is a letter to my mother".utf8), to: folder.store)
        #expect(failure { () throws(StoreError) in _ = try open(folder.store) }?.kind == .corrupt)
        try folder.write([UInt8](repeating: 0, count: 8192), to: folder.store)
        #expect(failure { () throws(StoreError) in _ = try open(folder.store) }?.kind == .corrupt)
    }

    @Test func aFileThatIsCutOffIsCorrupt() throws {
        let folder = try Folder()
        let bytes = try sound(folder)
        for keep in [1, 50, 99, 100, 1000, 4096, bytes.count - 4096, bytes.count - 1] {
            try folder.write(Array(bytes.prefix(keep)), to: folder.store)
            let error = failure { () throws(StoreError) in _ = try open(folder.store) }
            #expect(error?.kind == .corrupt, "\(keep) bytes")
            #expect(try folder.bytes(folder.store).count == keep)
        }
    }

    @Test func anEmptyFileBesideAFullLogIsCorrupt() throws {
        let folder = try Folder()
        let path = try crashed(folder, rows: 3)
        try folder.write([], to: path)
        #expect(failure { () throws(StoreError) in _ = try open(path) }?.kind == .corrupt)
    }

    @Test func damageOfAPageIsFoundByTheCheckInTheBackground() async throws {
        let folder = try Folder()
        var bytes = try sound(folder)
        let path = folder.store
        let check: @Sendable () async throws -> Result<[String], StoreError> = {
            try await withCheckedThrowingContinuation { continuation in
                do throws(StoreError) {
                    try StoreCheck.start(
                        path: path, open: { () throws(StoreError) in try open(path) },
                        completion: { continuation.resume(returning: $0) })
                } catch {
                    continuation.resume(throwing: error)
                }
            }
        }
        #expect(try await check().get() == [])
        for index in 4096 * 6..<4096 * 6 + 64 { bytes[index] = 0xAA }
        try folder.write(bytes, to: path)
        #expect(try await check().get() != [])
    }

    @Test func aQuarantinedStoreKeepsEverythingAndMakesRoomForANewOne() throws {
        let folder = try Folder()
        let path = try crashed(folder, rows: 5)
        let log = try folder.bytes(path + "-wal")
        let aside = try StoreFile.quarantine(path)
        #expect(aside.hasPrefix(path + ".corrupt-2"))
        #expect(try folder.bytes(aside + "-wal") == log)
        #expect(!folder.exists(path))
        #expect(!folder.exists(path + "-wal"))
        #expect(try open(path).isNew)
        // A second one in the same second gets a name of its own.
        #expect(try StoreFile.quarantine(path) != aside)
        #expect(try numbers(open(aside)) == [1, 2, 3, 4, 5])
    }
}

@Suite struct HostileFiles {
    /// Any bytes in place of a store open, or throw; nothing traps, and nothing hangs.
    @Test func randomDamageAnywhereIsAnErrorOrHarmless() throws {
        let folder = try Folder()
        do {
            let database = try open(folder.store)
            try database.transaction { () throws(StoreError) in
                for number in 1...200 { try insert(number, database, count: 100) }
            }
        }
        let sound = try folder.bytes(folder.store)
        var generator = SplitMix(state: 20_250_309)
        var (opened, refused) = (0, 0)
        for round in 0..<300 {
            var bytes = sound
            for _ in 0..<Int.random(in: 1...8, using: &generator) {
                // Half of the rounds within the header, where the decisions are.
                let end = round % 2 == 0 ? 100 : bytes.count
                bytes[Int.random(in: 0..<end, using: &generator)] = .random(
                    in: 0...255, using: &generator)
            }
            let path = folder.path + "/\(round).db"
            try folder.write(bytes, to: path)
            do throws(StoreError) {
                let database = try open(path)
                _ = try? numbers(database)
                _ = try? database.problems()
                opened += 1
            } catch {
                #expect(error.hint != nil || error.kind == .other, "\(error)")
                refused += 1
            }
        }
        #expect(opened > 10)
        #expect(refused > 10)
    }
}

/// Steele, Lea and Flood's SplitMix64: the same numbers in each run.
private struct SplitMix: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = (state ^ (state >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }
}
