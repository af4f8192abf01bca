import FleetModel
import JSON

/// The lines of a control socket.
enum ControlLine {
    /// A line of an answer; a client takes no longer one.
    static let maximumBytes = 4 * 1024 * 1024

    static let tooLong: JSONValue = .object([
        "code": .integer(Int64(ExitCode.dataError.rawValue)),
        "message": .string(
            "a request has at most \(ControlServer.maximumRequestBytes) bytes"),
    ])

    /// The first whole line, without its end.
    static func first(in bytes: Span<UInt8>) -> [UInt8]? {
        for index in bytes.indices where bytes[index] == 0x0A {
            return (0..<index).map { bytes[$0] }
        }
        return nil
    }

    static func parse(_ line: [UInt8]) -> JSONValue? {
        var limits = JSONLimits()
        limits.maximumBytes = maximumBytes
        return try? JSON.parse(line, limits: limits)
    }
}
