import Foundation
import Testing

@testable import Daemon

/// A datagram socket that stands for systemd's, at a path or (`@…`) abstract.
final class NotifySocket: Sendable {
    private let descriptor: Int32

    init(_ name: String) throws {
        descriptor = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue), 0)
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        var path = Array(name.utf8)
        let isAbstract = path[0] == UInt8(ascii: "@")
        if isAbstract { path[0] = 0 }
        unsafe withUnsafeMutableBytes(of: &address.sun_path) { unsafe $0.copyBytes(from: path) }
        let length = socklen_t(2 + path.count + (isAbstract ? 0 : 1))
        let result = unsafe withUnsafePointer(to: &address) { pointer in
            unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                unsafe bind(descriptor, $0, length)
            }
        }
        try #require(result == 0)
    }

    deinit { close(descriptor) }

    /// What came; with `wait`, the next thing that comes.
    func next(wait: Bool = false) -> String {
        var bytes = [UInt8](repeating: 0, count: 4096)
        let flags = wait ? 0 : Int32(MSG_DONTWAIT)
        let count = unsafe recv(descriptor, &bytes, bytes.count, flags)
        return String(decoding: bytes.prefix(max(0, count)), as: UTF8.self)
    }
}

@Suite struct NotifyingSystemd {
    @Test(arguments: [false, true])
    func everyStateReachesThePathOrAbstractSocket(_ isAbstract: Bool) throws {
        let name = (isAbstract ? "@fleet-" : NSTemporaryDirectory() + "fleet-") + UUID().uuidString
        let listener = try NotifySocket(name)
        defer { if !isAbstract { try? FileManager.default.removeItem(atPath: name) } }
        let notifier = ServiceNotifier(environment: { ["NOTIFY_SOCKET": name][$0] })
        #expect(notifier.watchdogInterval == nil)
        notifier.ready(status: "serving\nX=1")
        #expect(listener.next() == "READY=1\nSTATUS=serving X=1")
        notifier.reloading()
        let text = listener.next()
        #expect(text.hasPrefix("RELOADING=1\nMONOTONIC_USEC="))
        #expect(Int64(text.split(separator: "=").last ?? "") ?? 0 > 0)
        notifier.stopping()
        #expect(listener.next() == "STOPPING=1")
        notifier.watchdog()
        #expect(listener.next() == "WATCHDOG=1")
        notifier.extendTimeout(by: .milliseconds(1_500))
        #expect(listener.next() == "EXTEND_TIMEOUT_USEC=1500000")
        notifier.status("x")
        #expect(listener.next() == "STATUS=x")
    }

    @Test func aStartThatGoesOnAsksForTimeNotAtEveryStep() throws {
        let name = "@fleet-" + UUID().uuidString
        let listener = try NotifySocket(name)
        let progress = StartProgress(
            ServiceNotifier(environment: { ["NOTIFY_SOCKET": name][$0] }))
        for step in 1...100_000 { progress.advance("step \(step)") }
        #expect(listener.next() == "EXTEND_TIMEOUT_USEC=300000000")
        #expect(listener.next() == "STATUS=step 1")
        #expect(listener.next() == "")
    }

    @Test func theWatchdogIsOnlyForTheProcessThatSystemdMeans() {
        func interval(_ more: [String: String]) -> Duration? {
            var environment = ["NOTIFY_SOCKET": "/x", "WATCHDOG_USEC": "3000000"]
            environment.merge(more) { $1 }
            return ServiceNotifier(environment: { environment[$0] }).watchdogInterval
        }
        #expect(interval([:]) == .seconds(3))
        #expect(interval(["WATCHDOG_PID": "\(getpid())"]) == .seconds(3))
        #expect(interval(["WATCHDOG_PID": "1"]) == nil)
        #expect(interval(["WATCHDOG_USEC": "soon"]) == nil)
        #expect(
            ServiceNotifier(environment: { ["WATCHDOG_USEC": "3"][$0] }).watchdogInterval == nil)
    }

    @Test func nobodyListeningIsNoError() {
        ServiceNotifier(environment: { ["NOTIFY_SOCKET": "/nowhere/at/all"][$0] }).stopping()
        ServiceNotifier(environment: { _ in nil }).stopping()
        let long = "/" + String(repeating: "x", count: 200)
        ServiceNotifier(environment: { ["NOTIFY_SOCKET": long][$0] }).stopping()
    }
}
