import Foundation
import IO
import MQTT

/// Debian's Mosquitto on a free loopback port, with its files in a temporary folder.
final class Mosquitto {
    let port: UInt16
    let folder: URL
    private let lines: [String]
    private var process: Process?

    struct Trouble: Error {
        var what: String
    }

    /// Starts it with these lines of configuration for its one listener.
    init(_ lines: [String] = ["allow_anonymous true"]) throws {
        port = try Self.freePort()
        folder = FileManager.default.temporaryDirectory
            .appendingPathComponent("fleet-client-tests-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        self.lines = lines
        try start()
    }

    deinit {
        kill()
        try? FileManager.default.removeItem(at: folder)
    }

    func start() throws {
        // As root it would become another user, who cannot read the folder.
        let own = ["user \(NSUserName())", "listener \(port) 127.0.0.1", "log_type none"]
        let text = (own + lines).joined(separator: "\n") + "\n"
        let file = folder.appendingPathComponent("mosquitto.conf")
        try text.write(to: file, atomically: true, encoding: .utf8)
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/sbin/mosquitto")
        process.arguments = ["-c", file.path]
        process.standardOutput = FileHandle.nullDevice
        process.standardError = FileHandle.nullDevice
        try process.run()
        self.process = process
        let end = Date().addingTimeInterval(10)
        while !isListening() {
            guard process.isRunning, Date() < end else {
                throw Trouble(what: "mosquitto does not listen: \(text)")
            }
            usleep(10_000)
        }
    }

    /// Ends it without a chance to say or save anything.
    func kill() {
        guard let process else { return }
        if process.isRunning { Foundation.kill(process.processIdentifier, SIGKILL) }
        process.waitUntilExit()
        self.process = nil
    }

    private func isListening() -> Bool {
        guard let attempt = try? FileDescriptor.connecting(to: .loopbackIPv4(port: port)) else {
            return false
        }
        let end = Date().addingTimeInterval(1)
        while Date() < end {
            if (try? attempt.socket.connectionError()) != .some(nil) { return false }
            if (try? attempt.socket.peerAddress()) != nil { return true }
            usleep(1_000)
        }
        return false
    }

    /// A port that was free just now.
    static func freePort() throws -> UInt16 {
        guard let port = try Listener(.loopbackIPv4(port: 0)).address.port else {
            throw Trouble(what: "no free port")
        }
        return port
    }

    /// Runs a tool to its end in the folder.
    func run(_ command: String) throws {
        try Self.run(command, in: folder)
    }

    static func run(_ command: String, in folder: URL) throws {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/bin/sh")
        process.arguments = ["-c", command]
        process.currentDirectoryURL = folder
        process.standardOutput = FileHandle.nullDevice
        process.standardError = FileHandle.nullDevice
        try process.run()
        process.waitUntilExit()
        guard process.terminationStatus == 0 else { throw Trouble(what: command) }
    }
}
