import Config
import Testing

private func reader(_ text: String) throws -> ConfigurationReader {
    ConfigurationReader(try ConfigurationDocument(text: text, name: "x.toml"))
}

/// The lines of the error that `finish()` throws.
private func problems(_ reader: ConfigurationReader) -> [String] {
    do {
        try reader.finish()
        return []
    } catch {
        return error.problems.map(\.description)
    }
}

private enum Level: String, CaseIterable {
    case info
    case debug
}

@Suite struct ReadingValues {
    @Test func everyKindIsReadAndTheDefaultStandsWhereNothingIsSet() throws {
        let root = try reader(
            """
            name = "hive"
            count = 3
            ratio = 0.5
            whole = 2
            on = true
            wait = "1h 30min"
            room = "64KiB"
            bytes = 512
            level = "debug"
            list = ["a", "b"]
            [mqtt]
            host = "h"
            [[listener]]
            address = "127.0.0.1:1883"
            tls = { key = "k" }
            [[listener]]
            address = "[::1]:1883"
            """)
        #expect(root.string("name", default: "x") == "hive")
        #expect(root.integer("count", default: 1, in: 0...10) == 3)
        #expect(root.number("ratio", default: 1, in: 0...1) == 0.5)
        #expect(root.number("whole", default: 1, in: 0...9) == 2)
        #expect(root.boolean("on", default: false))
        #expect(
            root.duration("wait", default: .zero, in: .zero ... .seconds(9999)) == .seconds(5400))
        #expect(root.size("room", default: 0, in: 0...100_000) == 65_536)
        #expect(root.size("bytes", default: 0, in: 0...100_000) == 512)
        #expect(root.choice("level", default: Level.info) == .debug)
        #expect(root.strings("list", default: []) == ["a", "b"])
        #expect(root.table("mqtt").string("host") == "h")
        let listeners = root.tables("listener")
        #expect(listeners.map { $0.string("address") } == ["127.0.0.1:1883", "[::1]:1883"])
        #expect(listeners.map { $0.optionalTable("tls")?.path("key") } == ["k", nil])

        #expect(root.string("absent") == nil)
        #expect(root.string("absent", default: "d") == "d")
        #expect(root.integer("absent", default: 7, in: 0...10) == 7)
        #expect(
            root.duration("absent", default: .seconds(5), in: .zero ... .seconds(9)) == .seconds(5))
        #expect(root.choice("absent", default: Level.info) == .info)
        #expect(root.strings("absent", default: ["z"]) == ["z"])
        #expect(root.table("none").boolean("absent", default: true))
        #expect(root.optionalTable("none2") == nil)
        #expect(root.tables("none3").isEmpty)
        #expect(problems(root).isEmpty)
    }

    @Test(arguments: [
        ("5s", Duration.seconds(5)), ("10 min", .seconds(600)), ("0s", .zero),
        ("250ms", .milliseconds(250)), ("1h30min", .seconds(5400)), ("7 days", .seconds(604_800)),
        ("5 us", .microseconds(5)), ("2 seconds", .seconds(2)),
    ])
    func durationsWithUnitsAreRead(_ text: String, _ duration: Duration) {
        #expect(DurationText.parse(text) == duration)
        #expect(DurationText.parse(DurationText.format(duration)) == duration)
    }

    @Test(arguments: [
        "", " ", "5", "s", "5 parsecs", "-5s", "5s 3", "1.5s", "99999999999999999999s", "300000d",
        "٣s", "5s,", "200000000000min",
    ])
    func whatIsNoDurationIsRefused(_ text: String) {
        #expect(DurationText.parse(text) == nil)
    }

    @Test(arguments: [
        ("512B", 512), ("64KiB", 65_536), ("10 MB", 10_000_000), ("1GiB", 1 << 30), ("0B", 0),
    ])
    func sizesWithUnitsAreRead(_ text: String, _ bytes: Int) {
        #expect(SizeText.parse(text) == bytes)
        #expect(SizeText.parse(SizeText.format(bytes)) == bytes)
    }

    @Test(arguments: ["", "64", "KiB", "64Kib", "-1B", "1.5MiB", "99999999999TiB", "64KiB "])
    func whatIsNoSizeIsRefused(_ text: String) {
        #expect(SizeText.parse(text) == nil)
    }
}

@Suite struct ReportingProblems {
    @Test func unknownKeysAreReportedWithPlaceAndNearestName() throws {
        let root = try reader("[mqtt]\nhots = \"h\"\n\n[lgo]\nx = 1\n\n[unrelated]\n")
        _ = root.table("mqtt").string("host", default: "x")
        _ = root.table("log").boolean("on", default: true)
        #expect(
            problems(root) == [
                "x.toml:2:1: unknown key mqtt.hots (did you mean host?)",
                "x.toml:4:2: unknown key lgo (did you mean log?)",
                "x.toml:7:2: unknown key unrelated",
            ])
    }

    @Test func wrongTypesAndRangesAreAllReportedInTheOrderOfTheFile() throws {
        let root = try reader(
            """
            a = "text"
            b = 11
            c = 5
            d = "5 parsecs"
            e = "1s"
            f = "1TiB"
            g = "loud"
            h = [1, "x"]
            i = 1
            j = { x = 1 }
            k = 1
            l = [[1]]
            m = nan
            """)
        // Asked for in another order than written.
        _ = root.number("m", default: 1, in: 0...9)
        _ = root.integer("b", default: 1, in: 0...10)
        _ = root.integer("a", default: 1, in: 0...10)
        _ = root.duration("c", default: .zero, in: .zero ... .seconds(1))
        _ = root.duration("d", default: .zero, in: .zero ... .seconds(1))
        _ = root.duration("e", default: .zero, in: .zero ... .milliseconds(10))
        _ = root.size("f", default: 1, in: 1...1024)
        _ = root.choice("g", default: Level.info)
        #expect(root.strings("h", default: []) == ["x"])
        _ = root.boolean("i", default: true)
        #expect(root.string("j", default: "stands") == "stands")
        _ = root.table("k")
        _ = root.tables("l")
        let lines = problems(root)
        #expect(
            lines == [
                "x.toml:1:1: a: must be an integer, not a string",
                "x.toml:2:1: b: must be from 0 to 10, not 11",
                "x.toml:3:1: c: must be a duration such as \"5s\" or \"10 min\", not an integer"
                    + " (a number and a unit of ms, s, min, h or d)",
                "x.toml:4:1: d: is not a duration such as \"5s\" or \"10 min\""
                    + " (a number and a unit of ms, s, min, h or d)",
                "x.toml:5:1: e: must be from 0s to 10ms, not 1s",
                "x.toml:6:1: f: must be from 1B to 1KiB, not 1099511627776B",
                "x.toml:7:1: g: must be one of \"info\", \"debug\"",
                "x.toml:8:6: h: must be a string, not an integer",
                "x.toml:9:1: i: must be true or false, not an integer",
                "x.toml:10:1: j: must be a string, not a table",
                "x.toml:11:1: k: must be a table, not an integer",
                "x.toml:12:1: l: must be tables, each written as [[l]], not an array",
                "x.toml:13:1: m: must be from 0.0 to 9.0, not nan",
            ])
    }

    @Test func aMissingSettingIsReportedAtItsTable() throws {
        let root = try reader("\n[edge]\n")
        _ = root.table("edge").required("url", hint: "such as \"mqtt://127.0.0.1\"")
        #expect(
            problems(root) == [
                "x.toml:2:2: edge.url is missing (such as \"mqtt://127.0.0.1\")"
            ])
    }

    @Test func aProblemOfAParserNamesThePlaceAndNeverTheText() throws {
        let root = try reader("url = \"mqtt://me:hunter2@h\"")
        let value: String? = root.parsed("url") { _ in
            throw ConfigurationProblem("holds a password", hint: "put it into a file")
        }
        #expect(value == nil)
        #expect(problems(root) == ["x.toml:1:1: url: holds a password (put it into a file)"])
    }

    @Test(arguments: [
        ("a = ", 1), ("a = 1\na = 2", 2), ("[t]\nx = 01", 2), ("a = \"\u{1}\"", 1), ("a == 1", 1),
        ("a = 9223372036854775808", 1), ("[a\n", 1), ("a = 1\nb = [}\nc = 1", 2),
        ("\ngröße = 1", 2), ("a = [1, 2", 1), ("é = 1", 1),
        ("a" + String(repeating: ".a", count: 100_000) + " = 1", 1),
        ("a = " + String(repeating: "[", count: 100_000), 1),
    ])
    func whatIsNotTOMLIsRefusedWithItsLine(_ text: String, _ line: Int) throws {
        do throws(ConfigurationError) {
            _ = try ConfigurationDocument(text: text, name: "x.toml")
            Issue.record("accepted")
        } catch {
            #expect(error.description.hasPrefix("x.toml:\(line):"), "\(error)")
            #expect(error.description.contains("not TOML"))
        }
    }

    @Test func deepNestingWithinTheLimitsNeedsNoLargeStack() throws {
        let key = "a" + String(repeating: ".a", count: 200)
        let nested = String(repeating: "[{ \(key) = ", count: 8)
        #expect(throws: ConfigurationError.self) {
            _ = try ConfigurationDocument(text: "x = " + nested, name: "x.toml")
        }
        let wide = (0..<20).map { "[a\($0).\(key)]\nx = 1\n" }.joined()
        let root = ConfigurationReader(try ConfigurationDocument(text: wide, name: "x.toml"))
        #expect(problems(root).count == 20)
    }
}

@Suite struct EffectiveConfiguration {
    @Test func everySettingIsPrintedWithItsOriginAsTOML() throws {
        var document = try ConfigurationDocument(
            text: """
                site = "farm"
                [log]
                level = "debug"
                [[listener]]
                address = "a:1"
                [[listener]]
                address = "b:2"
                tls = { key = "k" }
                """, name: "x.toml")
        document.override(["broker", "url"], with: .string("mqtt://h"), flag: "--broker")
        let root = ConfigurationReader(document)
        _ = root.string("site", default: "home")
        _ = root.integer("retries", default: 3, in: 0...9)
        let listeners = root.tables("listener")
        for listener in listeners { _ = listener.string("address") }
        for listener in listeners { _ = listener.optionalTable("tls")?.string("key") }
        _ = root.table("log").choice("level", default: Level.info)
        _ = root.table("log2").duration("wait", default: .seconds(90), in: .zero ... .seconds(99))
        _ = root.table("broker").string("url")
        _ = root.table("empty")
        try root.finish()
        let text = root.effective()
        #expect(
            text
                == """
                site = "farm"      # x.toml:1:1
                retries = 3        # default

                [[listener]]
                address = "a:1"    # x.toml:5:1

                [[listener]]
                address = "b:2"    # x.toml:7:1

                [listener.tls]
                key = "k"          # x.toml:8:9

                [log]
                level = "debug"    # x.toml:3:1

                [log2]
                wait = "90s"       # default

                [broker]
                url = "mqtt://h"   # --broker

                """.replacing("   #", with: "  #"))
        // What is printed is a configuration again.
        _ = try ConfigurationDocument(text: text, name: "again.toml")
    }

    @Test func aFlagReplacesAnArrayOfTables() throws {
        var document = try ConfigurationDocument(
            text: "[[listener]]\naddress = \"a\"\n[[listener]]\naddress = \"b\"", name: "x.toml")
        document.override(
            ["listener"], tables: [[("address", .string("c"))]], flag: "--listen")
        let root = ConfigurationReader(document)
        let listeners = root.tables("listener")
        #expect(listeners.map { $0.string("address") } == ["c"])
        #expect(listeners.map { $0.origin(of: "address") } == [.flag("--listen")])
        try root.finish()
    }

    @Test func controlCharactersDoNotReachTheTerminal() throws {
        let root = try reader(#"a = "x\u001B[31m\u0085\"\n""#)
        #expect(root.string("a") == "x\u{1B}[31m\u{85}\"\n")
        #expect(root.effective() == "a = \"x\\u001B[31m\\u0085\\\"\\n\"  # x.toml:1:1\n")
    }
}

@Suite struct NearestNames {
    @Test func oneSlipFindsTheName() {
        let names = ["keepalive", "host", "port"]
        #expect(NearestName.suggestion(for: "keepalvie", among: names) == "keepalive")
        #expect(NearestName.suggestion(for: "hots", among: names) == "host")
        #expect(NearestName.suggestion(for: "prt", among: names) == "port")
        #expect(NearestName.suggestion(for: "colour", among: names) == nil)
        #expect(NearestName.suggestion(for: "", among: names) == nil)
    }
}

@Suite struct HostileText {
    /// Any change to a configuration is read, or is an error with a place; nothing traps.
    @Test func damagedTextIsReadOrRefusedWithItsPlace() throws {
        let sample = Array(
            """
            site = "farm" # café
            list = ["a", 'b', \"\"\"c\"\"\"]
            when = 2025-03-09T07:05:01Z
            [log]
            level = "info"
            [[listener]]
            address = "127.0.0.1:1883"
            tls = { key = "k", x.y = 0x1F, z = [1.5, inf, -nan] }
            """.utf8)
        let alphabet = Array("\"'[]{}=.,#\n\\u0 e-+_:TZ\u{0}\u{7F}".utf8) + [0xC3, 0xFF]
        var state: UInt64 = 42
        func random(_ limit: Int) -> Int {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return Int(state >> 33) % limit
        }
        var (read, refused) = (0, 0)
        for _ in 0..<4_000 {
            var bytes = sample
            for _ in 0...random(4) {
                switch random(3) {
                case 0: bytes[random(bytes.count)] = alphabet[random(alphabet.count)]
                case 1: bytes.insert(alphabet[random(alphabet.count)], at: random(bytes.count))
                default: bytes.remove(at: random(bytes.count))
                }
            }
            guard let text = String(validating: bytes, as: UTF8.self) else { continue }
            do throws(ConfigurationError) {
                let document = try ConfigurationDocument(text: text, name: "x.toml")
                let reader = ConfigurationReader(document)
                _ = reader.string("site", default: "home")
                _ = reader.tables("listener").map { $0.table("tls").string("key") }
                _ = reader.effective()
                read += 1
                try reader.finish()
            } catch {
                #expect(
                    error.problems.allSatisfy { $0.description.hasPrefix("x.toml:") }, "\(error)")
                refused += 1
            }
        }
        #expect(read > 100)
        #expect(refused > 100)
    }
}
