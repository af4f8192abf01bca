import Config
import Foundation
import IO
import Testing

@testable import Daemon

/// A daemon of a few lines, whose behaviour its configuration says.
private final class Probe: DaemonProgram {
    struct Settings: Sendable {
        var name: String
        var act: String
    }

    static let specification = ProgramSpecification(
        name: "fleet-probe", stateName: "probe", summary: "a daemon for tests",
        flags: [FlagSpecification("--name", value: "NAME", help: "a name")],
        subcommands: [SubcommandSpecification("answer", summary: "ends with 42")])

    static func apply(
        _ flags: ParsedFlags, to document: inout ConfigurationDocument
    ) throws(UsageError) {
        if let name = flags["--name"] {
            document.override(["name"], with: .string(name), flag: "--name")
        }
    }

    static func readSettings(_ reader: ConfigurationReader) -> Settings {
        Settings(
            name: reader.string("name", default: "nobody"),
            act: reader.string("act", default: "terminate"))
    }

    static func run(subcommand: String, flags: ParsedFlags) throws -> ExitCode {
        ExitCode(rawValue: 42)
    }

    private let context: DaemonContext
    private let act: String
    private let diary: String

    init(settings: Settings, context: DaemonContext) throws {
        self.context = context
        act = settings.act
        diary = context.state.path + "/diary"
        note("start \(settings.name)")
        switch act {
        case "refuse":
            throw DaemonError(.cannotCreate, "the probe refuses", hint: "let it be")
        case "fail at once":
            context.fail(DaemonError(.dataError, "the probe fails while it starts"))
        case "terminate", "hang":
            // To this thread, where it is blocked: the loop's descriptor reads it.
            context.loop.schedule(after: .milliseconds(1)) { raise(SIGTERM) }
        case "block":
            context.loop.schedule(after: .milliseconds(300)) {
                self.note("block")
                usleep(700_000)
                context.tell(status: "unblocked")
                context.loop.schedule(after: .milliseconds(300)) { raise(SIGTERM) }
            }
        case "ask to reload":
            context.loop.schedule(after: .milliseconds(1)) {
                self.note("problems \(self.problems(context.reload()).count)")
                let file = self.context.state.path + "/../probe.toml"
                try? Data("name = 1".utf8).write(to: URL(fileURLWithPath: file))
                let problems = self.problems(context.reload())
                self.note(
                    "problems \(problems.count) \(problems.allSatisfy { $0.contains("probe.toml:1:1") })"
                )
                raise(SIGTERM)
            }
        case "hurry":
            context.loop.schedule(after: .milliseconds(1)) { raise(SIGINT) }
        case "reload":
            context.loop.schedule(after: .milliseconds(1)) { raise(SIGHUP) }
            context.loop.schedule(after: .milliseconds(50)) { raise(SIGTERM) }
        default:
            context.loop.schedule(after: .milliseconds(1)) {
                context.fail(DaemonError(.inputOutput, "the disk is gone"))
            }
        }
    }

    func reload(_ settings: Settings) -> String? {
        note("reload \(settings.name)")
        return nil
    }

    private func problems(_ result: ReloadResult) -> [String] {
        if case .refused(let problems) = result { return problems }
        return []
    }

    func stop(_ done: @escaping () -> Void) {
        note("stop")
        if act == "hurry" { context.loop.schedule(after: .milliseconds(1)) { raise(SIGINT) } }
        if act != "hang", act != "hurry" { done() }
    }

    private func note(_ line: String) {
        let old = (try? String(contentsOfFile: diary, encoding: .utf8)) ?? ""
        try? Data((old + line + "\n").utf8).write(to: URL(fileURLWithPath: diary))
    }
}

/// Signal masks belong to threads, so each run has its own.
private func onOwnThread<Value: Sendable>(_ body: @escaping @Sendable () -> Value) async -> Value {
    await withCheckedContinuation { continuation in
        Thread { continuation.resume(returning: body()) }.start()
    }
}

@Suite struct RunningADaemon {
    private let base = NSTemporaryDirectory() + "fleet-daemon-" + UUID().uuidString

    private func run(
        _ text: String, _ more: [String] = [], stopTime: Duration = DaemonMain.stopTime
    ) async throws -> (ExitCode, String) {
        try FileManager.default.createDirectory(atPath: base, withIntermediateDirectories: true)
        let file = base + "/probe.toml"
        try Data((text + "\n[log]\nlevel = \"error\"\n").utf8).write(to: URL(fileURLWithPath: file))
        let state = base + "/state"
        let arguments = ["fleet-probe", "--config", file, "--state-directory", state] + more
        let code = await onOwnThread {
            DaemonMain.run(Probe.self, arguments: arguments, stopTime: stopTime)
        }
        let diary = try? String(contentsOfFile: state + "/diary", encoding: .utf8)
        try? FileManager.default.removeItem(atPath: base)
        return (code, diary ?? "none")
    }

    @Test func aSignalEndsItInOrder() async throws {
        #expect(try await run("name = \"x\"") == (.success, "start x\nstop\n"))
    }

    @Test func aFlagWinsOverTheFile() async throws {
        let (code, diary) = try await run("name = \"x\"", ["--name=y"])
        #expect((code, diary) == (.success, "start y\nstop\n"))
    }

    @Test func anEndThatHangsIsCutOff() async throws {
        let clock = ContinuousClock()
        let start = clock.now
        #expect(try await run("act = \"hang\"") == (.success, "start nobody\nstop\n"))
        #expect(clock.now - start >= DaemonMain.stopTime)
    }

    @Test func aSecondSignalEndsItAtOnce() async throws {
        let clock = ContinuousClock()
        let start = clock.now
        let (code, diary) = try await run("act = \"hurry\"", stopTime: .seconds(3_600))
        #expect((code, diary) == (.success, "start nobody\nstop\n"))
        #expect(clock.now - start < .seconds(3_600))
    }

    @Test func hangUpRereadsTheConfiguration() async throws {
        let (code, diary) = try await run("act = \"reload\"\nname = \"n\"")
        #expect((code, diary) == (.success, "start n\nreload n\nstop\n"))
    }

    @Test func aReloadThatIsAskedForSaysWhatIsWrong() async throws {
        let (code, diary) = try await run("act = \"ask to reload\"\nname = \"n\"")
        #expect(
            (code, diary) == (
                .success, "start n\nreload n\nproblems 0\nproblems 1 true\nstop\n"
            ))
    }

    // In a process of its own: the environment is the process's.
    @Test func aLoopThatHangsDoesNotFeedTheWatchdog() async {
        await #expect(processExitsWith: .success) {
            let name = "@fleet-watchdog-" + UUID().uuidString
            let socket = try NotifySocket(name)
            unsafe setenv("NOTIFY_SOCKET", name, 1)
            unsafe setenv("WATCHDOG_USEC", "100000", 1)
            let base = NSTemporaryDirectory() + "fleet-daemon-" + UUID().uuidString
            try FileManager.default.createDirectory(
                atPath: base, withIntermediateDirectories: true)
            try Data("act = \"block\"\n".utf8).write(to: URL(fileURLWithPath: base + "/p.toml"))
            Thread {
                _ = DaemonMain.run(
                    Probe.self,
                    arguments: [
                        "fleet-probe", "--config", base + "/p.toml", "--state-directory",
                        base + "/state",
                    ])
            }.start()
            let clock = ContinuousClock()
            var last: ContinuousClock.Instant?
            var longest = Duration.zero
            var meals = 0
            var messages: [String] = []
            while messages.last != "STOPPING=1" {
                messages.append(socket.next(wait: true))
                guard messages.last == "WATCHDOG=1" else { continue }
                let now = clock.now
                if let last { longest = max(longest, now - last) }
                last = now
                meals += 1
            }
            precondition(meals >= 5, "the loop fed the watchdog \(meals) times")
            precondition(longest >= .milliseconds(600), "fed while the loop hung: \(longest)")
            precondition(messages.contains("STATUS=unblocked"))
            exit(0)
        }
    }

    @Test func aFailureOfTheProgramDecidesTheExitCode() async throws {
        #expect(try await run("act = \"fail\"") == (.inputOutput, "start nobody\nstop\n"))
        #expect(try await run("act = \"fail at once\"") == (.dataError, "start nobody\nstop\n"))
        #expect(try await run("act = \"refuse\"") == (.cannotCreate, "start nobody\n"))
    }

    @Test func theConfigurationIsCheckedBeforeAnythingIsMade() async throws {
        #expect(try await run("nmae = \"x\"") == (.configuration, "none"))
        #expect(try await run("name = 1") == (.configuration, "none"))
        #expect(try await run("name = \"x\"", ["--check-config"]) == (.success, "none"))
    }

    @Test func usageErrorsAndSubcommandsHaveTheirCodes() async throws {
        #expect(DaemonMain.run(Probe.self, arguments: ["fleet-probe", "--nmae"]) == .usage)
        #expect(DaemonMain.run(Probe.self, arguments: ["fleet-probe", "answer"]).rawValue == 42)
        #expect(
            DaemonMain.run(Probe.self, arguments: ["x", "--config", base + "/none.toml"])
                == .configuration)
    }
}
