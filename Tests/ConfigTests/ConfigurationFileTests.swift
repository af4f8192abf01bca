import Config
import Foundation
import Testing

/// Real files in a folder of their own, which goes away with the value.
private final class Folder {
    let path: String

    init() throws {
        path = NSTemporaryDirectory() + "fleet-config-" + UUID().uuidString
        try FileManager.default.createDirectory(
            atPath: path, withIntermediateDirectories: true)
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }

    func write(_ name: String, _ bytes: [UInt8]) throws -> String {
        let file = path + "/" + name
        try FileManager.default.createDirectory(
            atPath: (file as NSString).deletingLastPathComponent,
            withIntermediateDirectories: true)
        try Data(bytes).write(to: URL(fileURLWithPath: file))
        return file
    }

    func write(_ name: String, _ text: String) throws -> String {
        try write(name, Array(text.utf8))
    }
}

@Suite struct LoadingFiles {
    @Test func dropInsAreLaidOverTheFileInLexicalOrder() throws {
        let folder = try Folder()
        let main = try folder.write(
            "broker.toml",
            """
            keep = 1
            list = ["a"]
            [log]
            level = "info"
            lines = 1
            [[listener]]
            address = "a"
            [[listener]]
            address = "b"
            """)
        let ten = try folder.write(
            "broker.d/10-x.toml",
            "list = [\"b\", \"c\"]\n[log]\nlevel = \"x\"\n[[listener]]\naddress = \"c\"\n")
        let nine = try folder.write("broker.d/9-y.toml", "[log]\nlevel = \"y\"\n")
        _ = try folder.write("broker.d/99-z.toml.dpkg-old", "[log]\nlevel = \"old\"\n")
        _ = try folder.write("broker.d/.hidden.toml", "[log]\nlevel = \"hidden\"\n")

        let document = try ConfigurationDocument.load(main)
        #expect(document.files == [main, ten, nine])
        let root = ConfigurationReader(document)
        let log = root.table("log")
        #expect(log.string("level") == "y")
        #expect(log.origin(of: "level") == .file(path: nine, line: 2, column: 1))
        #expect(log.origin(of: "lines") == .file(path: main, line: 5, column: 1))
        #expect(log.integer("lines", in: 0...9) == 1)
        #expect(root.integer("keep", in: 0...9) == 1)
        #expect(root.strings("list", default: []) == ["b", "c"])
        #expect(root.tables("listener").map { $0.string("address") } == ["a", "b", "c"])
        try root.finish()
    }

    @Test func tablesOfAnArrayMergeWithTheirNamesakes() throws {
        let folder = try Folder()
        let main = try folder.write(
            "broker.toml",
            """
            [[listener]]
            name = "lan"
            address = "a"
            tls = { certificate = "c", key = "k" }
            [[listener]]
            address = "b"
            [[listener]]
            name = "third"
            address = "c"
            """)
        let one = try folder.write(
            "broker.d/1.toml",
            """
            [[listener]]
            address = "b"
            connections = 5
            [[listener]]
            name = "lan"
            tls.key = "other"
            [[listener]]
            name = "fourth"
            address = "b"
            """)
        let root = ConfigurationReader(try ConfigurationDocument.load(main))
        let listeners = root.tables("listener")
        #expect(listeners.map { $0.string("name") } == ["lan", nil, "third", "fourth"])
        #expect(listeners.map { $0.string("address") } == ["a", "b", "c", "b"])
        #expect(listeners.map { $0.integer("connections", in: 0...9) } == [nil, 5, nil, nil])
        let tls = try #require(listeners[0].optionalTable("tls"))
        #expect((tls.string("certificate"), tls.string("key")) == ("c", "other"))
        #expect(tls.origin(of: "certificate") == .file(path: main, line: 4, column: 9))
        #expect(tls.origin(of: "key") == .file(path: one, line: 6, column: 5))
        #expect(listeners[1].origin(of: "connections") == .file(path: one, line: 3, column: 1))
        try root.finish()
    }

    @Test func twoNamesakesInOneDropInAreTwo() throws {
        let folder = try Folder()
        let main = try folder.write("a.toml", "[[sensor]]\nname = \"x\"\nunit = \"m\"")
        _ = try folder.write("a.d/1.toml", "[[sensor]]\nname = \"x\"\n[[sensor]]\nname = \"x\"")
        let root = ConfigurationReader(try ConfigurationDocument.load(main))
        #expect(root.tables("sensor").map { $0.string("unit") } == ["m", nil])
    }

    @Test func anEmptyArrayTakesAllTablesAwayAndPlainArraysReplace() throws {
        let folder = try Folder()
        let main = try folder.write(
            "a.toml", "list = [\"a\", \"b\"]\n[[listener]]\naddress = \"a\"")
        _ = try folder.write("a.d/1.toml", "listener = []\nlist = [\"c\"]")
        _ = try folder.write("a.d/2.toml", "[[listener]]\naddress = \"b\"")
        let root = ConfigurationReader(try ConfigurationDocument.load(main))
        #expect(root.tables("listener").map { $0.string("address") } == ["b"])
        #expect(root.strings("list", default: []) == ["c"])
        try root.finish()
    }

    @Test func whatIsWrongInAMergedTableIsReportedWhereItWasWritten() throws {
        let folder = try Folder()
        let main = try folder.write("a.toml", "[[listener]]\nname = \"lan\"\nports = 1")
        let one = try folder.write(
            "a.d/1.toml", "\n[[listener]]\nname = \"lan\"\nconnections = \"many\"")
        let root = ConfigurationReader(try ConfigurationDocument.load(main))
        for listener in root.tables("listener") {
            _ = listener.required("address")
            _ = (listener.string("name"), listener.integer("connections", in: 0...9))
        }
        #expect(
            message { try root.finish() } == """
                \(main):1:1: listener.address is missing
                \(main):3:1: unknown key listener.ports
                \(one):4:1: listener.connections: must be an integer, not a string
                """)
    }

    @Test func aMissingMainFileLeavesDropInsAndDefaults() throws {
        let folder = try Folder()
        let one = try folder.write("a.d/1.toml", "x = 1")
        let document = try ConfigurationDocument.load(folder.path + "/a.toml")
        #expect(document.missingFile == folder.path + "/a.toml")
        #expect(document.files == [one])
        #expect(document.root["x"]?.content == .integer(1))
    }

    @Test func aFlagTakesThePlaceOfAllTablesOfAnArray() throws {
        var document = try ConfigurationDocument(
            text: "[[listener]]\nname = \"x\"\naddress = \"a\"\n", name: "x.toml")
        document.override(["listener"], tables: [[("name", .string("x"))]], flag: "--listen")
        let root = ConfigurationReader(document)
        #expect(root.tables("listener").map { $0.string("address") } == [nil])
    }

    @Test func withoutDropInsTheFileStandsAlone() throws {
        let folder = try Folder()
        let main = try folder.write("a.toml", "x = 1")
        _ = try folder.write("a.d/1.toml", "x = 2")
        let document = try ConfigurationDocument.load(main, dropIns: false)
        #expect(document.files == [main])
        #expect(document.root["x"]?.content == .integer(1))
    }

    @Test func relativePathsStartAtTheFileThatNamesThem() throws {
        let folder = try Folder()
        let main = try folder.write("a.toml", "one = \"certs/a.pem\"\ntwo = \"/abs/b.pem\"")
        _ = try folder.write("a.d/1.toml", "three = \"c.pem\"\nempty = \"\"")
        let root = ConfigurationReader(try ConfigurationDocument.load(main))
        #expect(root.path("one") == folder.path + "/certs/a.pem")
        #expect(root.path("two") == "/abs/b.pem")
        #expect(root.path("three") == folder.path + "/a.d/c.pem")
        #expect(root.path("empty") == nil)
        #expect(throws: ConfigurationError.self) { try root.finish() }
    }

    @Test func aSecretThatCannotBeReadIsTakenFromWhatSystemdHasLoaded() throws {
        let folder = try Folder()
        let loaded = CredentialFolder(path: folder.path + "/loaded")
        let one = try folder.write("loaded/edge.password", "one")
        let two = try folder.write("loaded/bridge_upstream.password", "two")
        #expect(loaded.path(for: "/nowhere/edge.password") == one)
        #expect(loaded.path(for: "upstream.password") == two)
        #expect(loaded.path(for: "/nowhere/other") == "/nowhere/other")
        #expect(loaded.path(for: "/nowhere/password") == "/nowhere/password")
        // What can be read where it lies may be newer than what was loaded at the start.
        let here = try folder.write("etc/edge.password", "here")
        #expect(loaded.path(for: here) == here)
        #expect(CredentialFolder(path: nil).path(for: "/nowhere/x") == "/nowhere/x")
    }

    @Test func everyFileThatCannotBeReadIsReportedWithReasonAndWayOut() throws {
        let folder = try Folder()
        let missing = folder.path + "/nowhere/none.toml"
        #expect(
            message { _ = try ConfigurationDocument.load(missing) }
                == "\(missing): cannot be read: no such file"
                + " (create it, or name another with --config FILE)")
        #expect(
            message { _ = try ConfigurationDocument.load(folder.path) }.contains("a folder"))

        let large = try folder.write("large.toml", [UInt8](repeating: 0x23, count: 1_100_000))
        #expect(message { _ = try ConfigurationDocument.load(large) }.contains("larger than"))

        let latin = try folder.write("latin.toml", Array("a = 1\nb = \"".utf8) + [0xE9, 0x22])
        #expect(
            message { _ = try ConfigurationDocument.load(latin) }
                == "\(latin):2:1: not UTF-8 (save the file as UTF-8)")
    }

    @Test func problemsOfSeveralFilesAreReportedTogether() throws {
        let folder = try Folder()
        let main = try folder.write("a.toml", "x = ")
        let one = try folder.write("a.d/1.toml", "y = [")
        _ = try folder.write("a.d/2.toml", "z = 1")
        let text = message { _ = try ConfigurationDocument.load(main) }
        #expect(text.contains("\(main):1:"))
        #expect(text.contains("\(one):1:"))
        #expect(text.split(separator: "\n").count == 2)
    }

    @Test func problemsOfValuesAreSortedByFile() throws {
        let folder = try Folder()
        let main = try folder.write("a.toml", "b = 1\nz = 1")
        let one = try folder.write("a.d/1.toml", "a = 1")
        let root = ConfigurationReader(try ConfigurationDocument.load(main))
        let lines = message { try root.finish() }.split(separator: "\n").map(String.init)
        #expect(
            lines == [
                "\(main):1:1: unknown key b", "\(main):2:1: unknown key z",
                "\(one):1:1: unknown key a",
            ])
    }
}

private func message(_ body: () throws -> Void) -> String {
    do {
        try body()
        return "no error"
    } catch {
        return "\(error)"
    }
}
