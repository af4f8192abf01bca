import FleetModel
import Foundation
import IO
import MQTT
import Synchronization
import Testing

@testable import Daemon

/// A control server on a loop of its own thread, at a path of its own.
private final class Site {
    let path = NSTemporaryDirectory() + "fleet-control-" + UUID().uuidString.prefix(8)
    private let remote: EventLoop.Remote
    private let ended = DispatchSemaphore(value: 0)

    /// `prepare` registers commands, on the loop's thread.
    init(_ prepare: @escaping @Sendable (ControlServer, EventLoop) -> Void) throws {
        let ready = DispatchSemaphore(value: 0)
        let path = self.path
        let ended = self.ended
        let made = Box<EventLoop.Remote?>(nil)
        Thread {
            do {
                let loop = try EventLoop()
                let server = try ControlServer(path: path, loop: loop)
                prepare(server, loop)
                try server.start { _ in }
                made.value.withLock { $0 = loop.remote }
                ready.signal()
                loop.run()
                server.stop()
            } catch {
                Issue.record(error)
                ready.signal()
            }
            ended.signal()
        }.start()
        ready.wait()
        remote = try #require(made.value.withLock { $0 })
    }

    deinit {
        remote.enqueue { $0.stop() }
        ended.wait()
        precondition(!Files.exists(path), "the socket's path is left behind")
    }

    func call(
        _ command: String, _ arguments: JSONObject = [:]
    ) throws(DaemonError) -> (items: [JSONObject], result: JSONObject) {
        var items: [JSONObject] = []
        let result = try ControlClient.call(
            path, program: "fleet-probe", command, arguments
        ) { item throws(DaemonError) in items.append(item) }
        return (items, result)
    }
}

@Suite struct ControlTests {
    @Test func anAnswerHasItemsAndAResult() throws {
        let site = try Site { server, _ in
            server.register("echo") { request, reply in
                reply.item(["said": .string(request.string("text") ?? "")])
                reply.item(["n": .integer(2)])
                reply.finish(["done": .bool(true)])
                // Behind the end nothing is said any more.
                reply.item(["n": .integer(3)])
                reply.finish()
            }
        }
        let text = "ü\n\"\\\u{1F600}" + String(repeating: "x", count: 30_000)
        let answer = try site.call("echo", ["text": .string(text)])
        #expect(answer.items == [["said": .string(text)], ["n": .integer(2)]])
        #expect(answer.result == ["done": .bool(true)])
    }

    @Test func anErrorHasItsExitCodeAndHint() throws {
        let site = try Site { server, _ in
            server.register("fail") { _, reply in
                reply.fail(DaemonError(.inputOutput, "it is broken", hint: "mend it"))
            }
            server.register("needs") { request, reply in
                do throws(DaemonError) {
                    _ = try request.required("client")
                } catch {
                    reply.fail(error)
                }
            }
        }
        let error = #expect(throws: DaemonError.self) { try site.call("fail") }
        #expect(error?.exitCode == .inputOutput)
        #expect(error?.message == "it is broken (mend it)")
        #expect(throws: DaemonError.self) { try site.call("needs") }
        let unknown = #expect(throws: DaemonError.self) { try site.call("dance") }
        #expect(unknown?.exitCode == .usage)
        #expect(unknown?.message.contains("fail, needs") == true)
    }

    @Test func aLongListIsMadeStepByStepAndComesWhole() throws {
        let site = try Site { server, loop in
            server.register("count") { _, reply in
                var next = 0
                reply.stream { done in
                    let step = {
                        for _ in 0..<100 {
                            reply.item(["n": .integer(Int64(next))])
                            next += 1
                        }
                        if next == 20_000 { reply.finish(["count": .integer(Int64(next))]) }
                        done(next < 20_000)
                    }
                    // At once, or later, as another loop would.
                    if next % 300 == 0 {
                        loop.schedule(after: .milliseconds(1), step)
                    } else {
                        step()
                    }
                }
            }
        }
        let answer = try site.call("count")
        #expect(answer.items.compactMap { $0["n"]?.integer } == (0..<20_000).map { Int64($0) })
        #expect(answer.result["count"]?.integer == 20_000)
    }

    @Test func whoDoesNotReadHoldsUpNobodyAndFillsNoMemory() throws {
        let made = Box(0)
        let site = try Site { server, _ in
            server.register("endless") { _, reply in
                reply.stream { done in
                    for _ in 0..<100 {
                        reply.item(["x": .string(String(repeating: "x", count: 90))])
                    }
                    made.value.withLock { $0 += 100 }
                    done(true)
                }
            }
            server.register("ping") { _, reply in reply.finish() }
        }
        let lazy = try FileDescriptor.connecting(to: .unix(site.path)).takeSocket()
        _ = try lazy.write(Array("{\"command\":\"endless\"}\n".utf8).span)
        var last = -1
        while made.value.withLock({ $0 }) != last || last == 0 {
            last = made.value.withLock { $0 }
            usleep(100_000)
            _ = try site.call("ping")
        }
        // What the kernel takes, and what may wait.
        #expect(last > 0 && last < 20_000)
    }

    @Test func aPathThatIsTooLongIsAnErrorWithItsLimit() throws {
        let loop = try EventLoop()
        let path = "/tmp/" + String(repeating: "x", count: 110)
        let error = #expect(throws: DaemonError.self) {
            _ = try ControlServer(path: path, loop: loop)
        }
        #expect(error?.exitCode == .configuration)
        #expect(error?.description.contains("107") == true)
        let unreachable = #expect(throws: DaemonError.self) {
            try ControlClient.call(path, program: "fleet-probe", "x")
        }
        #expect(unreachable?.exitCode == .unavailable)
    }

    @Test func aTableIsAsWideAsItsContentAndHarmless() {
        var table = ControlTable(["A", "LONG"])
        #expect(table.text == "")
        table.add(["grün", "x"])
        table.add(["b\u{1B}[2J\n", ""])
        #expect(
            table.text == """
                A             LONG
                grün          x
                b\\u{1B}[2J\\n

                """)
    }

    @Test(arguments: [
        (0, "0 B"), (1_023, "1023 B"), (1_024, "1.0 KiB"), (1_536, "1.5 KiB"),
        (10 << 20, "10.0 MiB"), (.max, "7.9 EiB"), (-1, "0 B"),
    ])
    func sizesForPeople(_ bytes: Int64, _ text: String) {
        #expect(ControlFigures.size(bytes) == text)
    }

    @Test(arguments: [
        (5, "5s"), (65, "1m 5s"), (3_700, "1h 1m"), (90_000, "1d 1h"), (-5, "0s"),
    ])
    func spansForPeople(_ seconds: Int64, _ text: String) {
        #expect(ControlFigures.span(seconds) == text)
    }
}

private final class Box<Value: Sendable>: Sendable {
    let value: Mutex<Value>

    init(_ value: Value) { self.value = Mutex(value) }
}
