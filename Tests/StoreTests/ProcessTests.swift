import Foundation
import Testing

@testable import Store

/// The helper program, which SwiftPM builds beside the tests.
private func probe(_ mode: String, _ path: String) throws -> (Process, FileHandle) {
    let own = try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")
    var folder = (own as NSString).deletingLastPathComponent
    while !FileManager.default.isExecutableFile(atPath: folder + "/store-probe") {
        try #require(folder.count > 1, "store-probe is not built")
        folder = (folder as NSString).deletingLastPathComponent
    }
    let process = Process()
    process.executableURL = URL(fileURLWithPath: folder + "/store-probe")
    process.arguments = [mode, path]
    let output = Pipe()
    process.standardOutput = output
    try process.run()
    return (process, output.fileHandleForReading)
}

private let probeSchema = Schema(
    applicationID: testApplicationID, migrations: [Migration("first", sql: "SELECT 1")])

@Suite struct InAnotherProcess {
    @Test func nothingThatWasAcknowledgedIsLostByKillAtAnyMoment() throws {
        let folder = try Folder()
        var acknowledged = 0
        for round in 1...12 {
            let (process, output) = try probe("commit", folder.store)
            var text = Data()
            // A different moment each time: after so many bytes of acknowledgements.
            while text.count < 400 * round {
                let more = output.availableData
                try #require(!more.isEmpty, "ended: \(String(decoding: text, as: UTF8.self))")
                text += more
            }
            kill(process.processIdentifier, SIGKILL)
            text += output.readDataToEndOfFile()
            process.waitUntilExit()
            // The last line may be cut off.
            let lines = String(decoding: text, as: UTF8.self).split(separator: "\n").map(
                String.init)
            let last = try #require(Int(lines[lines.count - 2]), "\(lines.suffix(3))")
            #expect(last > acknowledged)
            acknowledged = last

            let database = try open(folder.store, probeSchema)
            #expect(!database.wasStoppedCleanly)
            #expect(try database.problems() == [])
            let count = try database.integer("SELECT count(*) FROM left")
            #expect(count >= acknowledged)
            // No gap, and both halves of each transaction.
            #expect(try database.integer("SELECT max(n) FROM left") == count)
            #expect(
                try database.integer("SELECT count(*) FROM left JOIN right USING (n)") == count)
            #expect(try database.integer("SELECT count(*) FROM right") == count)
        }
    }

    @Test func aFullDiskIsAnErrorOfItsOwnAndLosesNothing() throws {
        let folder = try Folder()
        let (process, output) = try probe("fill", folder.store)
        let text = String(decoding: output.readDataToEndOfFile(), as: UTF8.self)
        process.waitUntilExit()
        let words = text.split { $0 == " " || $0 == "\n" }.map(String.init)
        try #require(words.count == 4 && words[0] == "full" && words[2] == "kept", "\(text)")
        let committed = try #require(Int(words[1]))
        #expect(committed > 100)
        #expect(words[3] == words[1])
        let database = try open(folder.store, probeSchema)
        #expect(try database.integer("SELECT count(*) FROM left") == committed)
        #expect(try database.problems() == [])
    }

    @Test func afterARealFailureOfSyncOnlyWhatComesLaterIsAcknowledged() throws {
        let folder = try Folder()
        let (process, output) = try probe("sync-once", folder.store)
        let text = String(decoding: output.readDataToEndOfFile(), as: UTF8.self)
        process.waitUntilExit()
        #expect(
            text.split(separator: "\n").map(String.init) == [
                "1", "2", "3", "4", "synced true", "5 inputOutput", "reopened", "6", "7", "8", "9",
                "10",
            ])
        let database = try open(folder.store, probeSchema)
        #expect(try database.problems() == [])
        let rows = try database.statement("SELECT n FROM left ORDER BY n")
        var kept: [Int64] = []
        while try rows.step() { kept.append(rows.integer(0)) }
        // The failed one may have happened; no other may be missing.
        #expect(kept.filter { $0 != 5 } == [1, 2, 3, 4, 6, 7, 8, 9, 10])
    }

    @Test func aDiskThatNeverSyncsAgainStopsAllAcknowledgements() throws {
        let folder = try Folder()
        let (process, output) = try probe("sync-always", folder.store)
        let text = String(decoding: output.readDataToEndOfFile(), as: UTF8.self)
        process.waitUntilExit()
        let lines = text.split(separator: "\n").map(String.init)
        // Whether the fifth is told before the thread says why it stopped is not promised.
        #expect(
            lines.filter { !$0.hasPrefix("event") }
                == ["1", "2", "3", "4", "synced true"] + (5...10).map { "\($0) inputOutput" })
        #expect(lines.filter { $0.hasPrefix("event") } == ["event inputOutput"])
        #expect(try open(folder.store, probeSchema).problems() == [])
    }

    @Test func aFileThatMayOnlyBeReadIsAnErrorOfItsOwn() throws {
        let folder = try Folder()
        do { _ = try open(folder.store) }
        chmodFile(folder.path, 0o755)
        chmodFile(folder.store, 0o444)
        let (process, output) = try probe("nobody", folder.store)
        let text = String(decoding: output.readDataToEndOfFile(), as: UTF8.self)
        process.waitUntilExit()
        #expect(text == "readOnly\n")
    }

    private func chmodFile(_ path: String, _ mode: Int) {
        try? FileManager.default.setAttributes([.posixPermissions: mode], ofItemAtPath: path)
    }
}
