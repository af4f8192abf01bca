import Glibc
import IO
import Testing

@Suite struct FilesTests {
    @Test func aFileIsReadUpToItsLimitAndNotBeyond() throws {
        let folder = try TemporaryFolder()
        let path = folder.path("x")
        try Files.writeAtomically(path, bytes("0123456789").span)
        #expect(try Files.read(path, limit: 10) == bytes("0123456789"))
        let error = #expect(throws: IOError.self) { try Files.read(path, limit: 9) }
        #expect(error?.code == .fileTooLarge)
        #expect(error?.subject == path)
    }

    @Test func filesWithoutASizeAreReadToTheirEnd() throws {
        #expect(try Files.status("/proc/self/status").byteCount == 0)
        let text = String(
            decoding: try Files.read("/proc/self/status", limit: 1 << 16), as: UTF8.self)
        #expect(text.contains("VmRSS"))
    }

    @Test func aFileThatIsNotThereIsAnErrorWithItsPath() throws {
        let error = #expect(throws: IOError.self) { try Files.read("/no/such/file", limit: 1) }
        #expect(error?.code == .noSuchFile)
        #expect(error?.description == "open /no/such/file: No such file or directory (errno 2)")
        #expect(!Files.exists("/no/such/file"))
    }

    @Test func aFolderIsNotReadAsAFile() throws {
        let folder = try TemporaryFolder()
        #expect(throws: IOError.self) { try Files.read(folder.path, limit: 10) }
    }

    @Test func writingReplacesTheWholeFileAndLeavesNothingBeside() throws {
        let folder = try TemporaryFolder()
        let path = folder.path("x")
        try Files.writeAtomically(path, bytes("a long first content").span, mode: 0o600)
        try Files.writeAtomically(path, bytes("short").span, mode: 0o640)
        #expect(try Files.read(path, limit: 100) == bytes("short"))
        #expect(try Files.status(path).permissions == 0o640)
        #expect(try Files.names(in: folder.path) == ["x"])
    }

    @Test func aWriteThatFailsLeavesTheOldContentAndNoTemporaryFile() throws {
        let folder = try TemporaryFolder()
        let path = folder.path("x")
        try Files.makeFolder(path)
        // A folder cannot be replaced by a file.
        #expect(throws: IOError.self) { try Files.writeAtomically(path, bytes("y").span) }
        #expect(try Files.names(in: folder.path) == ["x"])
    }

    @Test func aSecretThatOthersCanReadIsRefusedWithTheCommandThatHelps() throws {
        let folder = try TemporaryFolder()
        let path = folder.path("passwords")
        for mode: UInt32 in [0o600, 0o640, 0o660] {
            try Files.writeAtomically(path, bytes("secret").span, mode: mode)
            #expect(try Files.readPrivate(path, limit: 10) == bytes("secret"))
        }
        for mode: UInt32 in [0o644, 0o641, 0o642] {
            try Files.writeAtomically(path, bytes("secret").span, mode: mode)
            let error = #expect(throws: IOError.self) { try Files.readPrivate(path, limit: 10) }
            #expect(error?.hint.contains("chmod 640 \(path)") == true)
        }
    }

    @Test func foldersAreMadeWithThoseAboveThem() throws {
        let folder = try TemporaryFolder()
        let deep = folder.path("a/b/c")
        try Files.makeFolder(deep, mode: 0o750)
        #expect(try Files.status(deep).isFolder)
        try Files.makeFolder(deep)
        try Files.writeAtomically(folder.path("file"), bytes("").span)
        #expect(throws: IOError.self) { try Files.makeFolder(folder.path("file")) }
        #expect(throws: IOError.self) { try Files.makeFolder(folder.path("file/below")) }
    }

    @Test func namesComeSorted() throws {
        let folder = try TemporaryFolder()
        for name in ["b", "a", "10", "ä", "Z"] {
            try Files.writeAtomically(folder.path(name), bytes("").span)
        }
        #expect(try Files.names(in: folder.path) == ["10", "Z", "a", "b", "ä"])
        #expect(throws: IOError.self) { try Files.names(in: folder.path("none")) }
    }

    @Test func aFileSystemHasRoom() throws {
        let space = try Files.space(at: "/tmp")
        #expect(space.totalBytes > 0)
        #expect(space.availableBytes <= space.freeBytes && space.freeBytes <= space.totalBytes)
    }

    @Test func theFolderOfAPathIsItsFrontPart() {
        #expect(Files.folder(of: "/etc/fleet/x") == "/etc/fleet")
        #expect(Files.folder(of: "/x") == "/")
        #expect(Files.folder(of: "x") == ".")
    }

    @Test func clocksGoForwardAndRandomBytesDiffer() {
        let first = SystemClock.monotonic()
        #expect(SystemClock.monotonic() >= first)
        // 2024, when this was not yet written.
        #expect(SystemClock.unixMilliseconds() > 1_704_067_200_000)
        #expect(SystemRandom.bytes(32) != SystemRandom.bytes(32))
        #expect(SystemRandom.bytes(1_000).count == 1_000)
        #expect(Set(SystemRandom.bytes(4_000)).count > 200)
    }
}
