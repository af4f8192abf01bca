import FleetModel
import Foundation
import MQTT
import Testing

@testable import Daemon

/// Runs `body` with a log that writes into a pipe, and returns the lines.
private func lines(
    level: LogLevel = .debug, format: LogOptions.Format = .text, hasPriorities: Bool = false,
    _ body: (Log) -> Void
) -> [String] {
    let pipe = Pipe()
    body(
        Log(
            options(level, format), descriptor: pipe.fileHandleForWriting.fileDescriptor,
            hasPriorities: hasPriorities))
    try? pipe.fileHandleForWriting.close()
    let text = String(decoding: pipe.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
    return text.split(separator: "\n").map(String.init)
}

private func options(_ level: LogLevel, _ format: LogOptions.Format = .text) -> LogOptions {
    var options = LogOptions()
    options.level = level
    options.format = format
    return options
}

/// A line as an independent parser reads it.
private func object(_ line: String) throws -> [String: Any] {
    let value = try JSONSerialization.jsonObject(with: Data(line.utf8))
    return try #require(value as? [String: Any])
}

@Suite struct Logging {
    @Test func aLineHasTimeLevelMessageAndFields() throws {
        let before = Timestamp(unixMilliseconds: Int64(Date().timeIntervalSince1970 * 1000))
        let line = try #require(
            lines { $0.notice("listening", ["address": "127.0.0.1:1883", "count": 3]) }.first)
        let parts = line.split(separator: " ", maxSplits: 1).map(String.init)
        let time = try #require(Timestamp(parts[0]))
        #expect(time >= before)
        #expect(parts[1] == "notice listening address=127.0.0.1:1883 count=3")
    }

    @Test func theJournalGetsPrioritiesAndNoTime() {
        let written = lines(hasPriorities: true) { log in
            log.error("a")
            log.warning("b")
            log.notice("c")
            log.info("d")
            log.debug("e")
        }
        #expect(written == ["<3>a", "<4>b", "<5>c", "<6>d", "<7>e"])
    }

    @Test func whatIsBelowTheLevelIsNeitherWrittenNorMade() {
        var made = 0
        func field() -> String {
            made += 1
            return "x"
        }
        let written = lines(level: .warning, hasPriorities: true) { log in
            log.info("no", ["field": field()])
            log.warning("yes", ["field": field()])
            log.level = .error
            log.warning("no", ["field": field()])
        }
        #expect(written == ["<4>yes field=x"])
        #expect(made == 1)
    }

    @Test func noTextBreaksOutOfItsLine() {
        let written = lines(hasPriorities: true) { log in
            log.info(
                "a\nb",
                [
                    "plain": "x-1/2", "empty": "", "space": "a b", "quote": "say \"x\\\"",
                    "line": "a\r\n<3>b", "escape": "\u{1B}[31m", "c1": "\u{9B}", "bidi": "\u{202E}",
                    "equals": "a=b", "umlaut": "ü", "nothing": "\u{0}",
                ])
        }
        #expect(
            written == [
                #"<6>a\nb plain=x-1/2 empty="" space="a b" quote="say \"x\\\"" line="a\r\n<3>b""#
                    + #" escape="\u{1B}[31m" c1="\u{9B}" bidi="\u{202E}" equals="a=b" umlaut=ü"#
                    + #" nothing="\u{0}""#
            ])
    }

    @Test func aLongValueIsCut() throws {
        let line = try #require(
            lines(hasPriorities: true) { log in
                log.info("m", ["v": String(repeating: "é", count: 5000)])
            }.first)
        #expect(line == "<6>m v=" + String(repeating: "é", count: 512) + "...")
    }

    @Test func aFloodIsCutToTheLimitAndCounted() {
        let written = lines(hasPriorities: true) { log in
            for index in 0..<5_000 { log.info("flood \(index)") }
            log.error("one error")
            log.flush()
            log.flush()
        }
        let floods = written.filter { $0.hasPrefix("<6>flood") }.count
        let leftOut = written.filter { $0.hasPrefix("<6>log lines left out") }
            .compactMap { Int($0.split(separator: "=")[1].split(separator: " ")[0]) }
            .reduce(0, +)
        #expect(floods + leftOut == 5_000)
        // A slow machine may see a new second or two begin.
        #expect(floods >= LogOptions().linesPerSecond)
        #expect(floods < 2_000)
        #expect(written.contains("<3>one error"))
    }

    @Test func aNewSecondBeginsAnewAndTellsWhatWasLeftOut() {
        var limited = options(.info)
        limited.linesPerSecond = 12
        let log = Log(limited, descriptor: -1, hasPriorities: true)
        let start = MonotonicTime(nanoseconds: 5_000_000_000)
        for _ in 0..<12 { #expect(log.admit(.info, at: start) == 0) }
        for _ in 0..<7 { #expect(log.admit(.info, at: start + .milliseconds(999)) == nil) }
        #expect(log.admit(.warning, at: start) == 0)
        #expect(log.admit(.info, at: start + .seconds(1)) == 7)
        #expect(log.admit(.info, at: start + .seconds(1)) == 0)
    }

    @Test func jsonHasTheSameFieldsWithNumbersAndSwitchesAsSuch() throws {
        let line = try #require(
            lines(format: .json) {
                $0.warning(
                    "client gone", ["client": "a b", "count": UInt16(3), "tls": true, "level": "x"])
            }.first)
        let found = try object(line)
        #expect(Timestamp(try #require(found["time"] as? String)) != nil)
        #expect(found["level"] as? String == "warning")
        #expect(found["message"] as? String == "client gone")
        #expect(found["client"] as? String == "a b")
        #expect(line.contains(#""count":3,"tls":true,"level_":"x"}"#))
    }

    @Test func jsonKeepsThePriorityOfTheJournalInFront() throws {
        let line = try #require(lines(format: .json, hasPriorities: true) { $0.error("a") }.first)
        #expect(line.hasPrefix("<3>{\"time\":"))
        #expect(try object(String(line.dropFirst(3)))["message"] as? String == "a")
    }

    @Test func jsonIsValidWhateverBytesAFieldHolds() throws {
        var texts = (0...0x2100).compactMap { UnicodeScalar($0) }.map { "x\($0)y" }
        texts += [
            "\u{10FFFF}", "\u{FFFF}", "é\u{301}\u{301}", "\r\n",
            String(repeating: "ü", count: 9_000),
        ]
        for first in UInt8(0)...255 {
            texts.append(String(decoding: [0x61, first, 0xE2, 0x28, first], as: UTF8.self))
        }
        for text in texts {
            let written = lines(format: .json) { $0.info(text, ["client": text]) }
            #expect(written.count == 1)
            let found = try object(try #require(written.first))
            #expect(found["message"] as? String == text)
            if text.utf8.count <= 1_024 { #expect(found["client"] as? String == text) }
        }
    }

    @Test func standardErrorIsTheJournalOnlyWhenDeviceAndInodeAgree() throws {
        let pipe = Pipe()
        let descriptor = pipe.fileHandleForWriting.fileDescriptor
        var status = stat()
        try #require(unsafe fstat(descriptor, &status) == 0)
        #expect(Kernel.isJournal(descriptor, stream: "\(status.st_dev):\(status.st_ino)"))
        #expect(!Kernel.isJournal(descriptor, stream: "\(status.st_dev):\(status.st_ino + 1)"))
        #expect(!Kernel.isJournal(descriptor, stream: nil))
        #expect(!Kernel.isJournal(descriptor, stream: "nonsense"))
    }
}
