import Foundation
import Testing

@testable import Daemon

@Suite struct ChoosingTheStateFolder {
    private func path(
        _ environment: [String: String], flag: String? = nil, isRoot: Bool = false
    ) throws -> String {
        try StateDirectory.path(
            flag: flag, name: "broker", isRoot: isRoot, environment: { environment[$0] })
    }

    @Test func theFlagWinsThenSystemdThenTheUsersFolder() throws {
        let all = ["STATE_DIRECTORY": "/s:/t", "XDG_STATE_HOME": "/x", "HOME": "/h"]
        #expect(try path(all, flag: "/f", isRoot: true) == "/f")
        #expect(try path(all, isRoot: true) == "/s")
        #expect(try path(all) == "/s")
        #expect(try path(["HOME": "/h"], isRoot: true) == "/var/lib/fleet/broker")
        #expect(try path(["XDG_STATE_HOME": "/x", "HOME": "/h"]) == "/x/fleet/broker")
        #expect(
            try path(["XDG_STATE_HOME": "rel", "HOME": "/h"]) == "/h/.local/state/fleet/broker")
        #expect(throws: DaemonError.self) { try path([:]) }
    }
}

@Suite struct LockingTheStateFolder {
    private let base = NSTemporaryDirectory() + "fleet-state-" + UUID().uuidString

    private func mode(_ path: String) throws -> Int {
        try #require(
            FileManager.default.attributesOfItem(atPath: path)[.posixPermissions] as? Int)
    }

    @Test func theFolderIsMadeForItsOwnerOnlyAndASecondDaemonIsRefused() throws {
        defer { try? FileManager.default.removeItem(atPath: base) }
        let path = base + "/a/broker"
        do {
            let first = try StateDirectory(path: path)
            #expect(first.path == path)
            #expect(try mode(path) & 0o007 == 0)
            #expect(try mode(path + "/lock") == 0o600)
            do throws(DaemonError) {
                _ = try StateDirectory(path: path)
                Issue.record("two daemons in one folder")
            } catch {
                #expect(error.exitCode == .unavailable)
                #expect(
                    error.message
                        == "the state folder \(path) is in use by process \(getpid())")
            }
            withExtendedLifetime(first) {}
        }
        // The lock goes with its owner, and the file may stay.
        _ = try StateDirectory(path: path)
    }

    @Test func aFileInTheWayIsAnErrorThatNamesIt() throws {
        defer { try? FileManager.default.removeItem(atPath: base) }
        try Data().write(to: URL(fileURLWithPath: base))
        do throws(DaemonError) {
            _ = try StateDirectory(path: base + "/broker")
            Issue.record("made a folder in a file")
        } catch {
            #expect(error.exitCode == .cannotCreate)
            #expect(error.description.contains(base + "/broker"))
        }
    }

    @Test func aLinkInPlaceOfTheLockIsNotFollowed() throws {
        defer { try? FileManager.default.removeItem(atPath: base) }
        try FileManager.default.createDirectory(atPath: base, withIntermediateDirectories: true)
        try FileManager.default.createSymbolicLink(
            atPath: base + "/lock", withDestinationPath: base + "/other")
        #expect(throws: DaemonError.self) { try StateDirectory(path: base) }
        #expect(!FileManager.default.fileExists(atPath: base + "/other"))
    }
}
