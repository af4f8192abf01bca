import Foundation
import MQTT

/// One line of `Tests/Vectors`, for one version and one receiver; the format is in its README.
struct WireVector: Sendable, CustomStringConvertible {
    enum Expectation: Sendable {
        /// Decodes to what the text describes; `isCanonical`: and encodes to the same bytes.
        case packet(String, isCanonical: Bool)
        /// Refused, at the latest when `by` bytes are there.
        case refusal(ReasonCode, by: Int?)
    }

    let version: ProtocolVersion
    let receiver: PacketDecoder.Receiver
    let name: String
    let clause: String
    let bytes: [UInt8]
    let expectation: Expectation

    var description: String { "\(name) \(version) to a \(receiver)" }

    /// The limits that the vectors assume.
    static let limits = WireLimits(maximumPacketSize: 4 << 20)

    /// A decoder as a connection has it when the packet comes: CONNECT finds one that knows no
    /// version yet.
    var decoder: PacketDecoder {
        let isConnect = receiver == .server && bytes.first.map { $0 >> 4 } == 1
        return PacketDecoder(
            receiver: receiver, version: isConnect ? .v3_1_1 : version, limits: Self.limits)
    }
}

struct VectorError: Error, CustomStringConvertible {
    let description: String
}

/// The files of `Tests/Vectors`.
enum WireVectors {
    static let files = [
        "connect", "connack", "publish", "acknowledgements", "subscribe", "suback", "small",
    ]

    /// All vectors; empty when a file cannot be read or parsed, which a test notices.
    static let all: [WireVector] = (try? files.flatMap(parse(file:))) ?? []

    /// The vectors that decode.
    static let valid = all.filter { vector in
        if case .packet = vector.expectation { true } else { false }
    }

    static func lines(of file: String) throws -> [[String]] {
        let folder = URL(filePath: #filePath).deletingLastPathComponent()
            .deletingLastPathComponent().appending(path: "Vectors")
        let text = try String(contentsOf: folder.appending(path: "\(file).txt"), encoding: .utf8)
        return text.split(separator: "\n").filter { !$0.hasPrefix("#") }.map { line in
            line.split(separator: "|", omittingEmptySubsequences: false).map {
                $0.trimmingCharacters(in: .whitespaces)
            }
        }
    }

    static func parse(file: String) throws -> [WireVector] {
        try lines(of: file).flatMap { fields in
            guard fields.count == 6 else {
                throw VectorError(description: "six fields, not \(fields)")
            }
            return try vectors(fields)
        }
    }

    private static func vectors(_ fields: [String]) throws -> [WireVector] {
        var bytes = VectorBytes(fields[4])
        let parsed = try bytes.parse()
        let expectation = try expectation(fields[5])
        let receivers: [PacketDecoder.Receiver]
        switch fields[1] {
        case "server": receivers = [.server]
        case "client": receivers = [.client]
        case "both": receivers = [.server, .client]
        default: throw VectorError(description: "no receiver: \(fields[1])")
        }
        var vectors: [WireVector] = []
        for version in try fields[0].split(separator: ",").map(version) {
            let clauses = fields[3].split(separator: "/")
            guard let first = clauses.first, let last = clauses.last else {
                throw VectorError(description: "no clause: \(fields)")
            }
            for receiver in receivers {
                vectors.append(
                    WireVector(
                        version: version, receiver: receiver, name: fields[2],
                        clause: String(version == .v5_0 ? last : first), bytes: parsed,
                        expectation: expectation))
            }
        }
        return vectors
    }

    private static func version(_ text: Substring) throws -> ProtocolVersion {
        switch text {
        case "3.1": return .v3_1
        case "3.1.1": return .v3_1_1
        case "5.0": return .v5_0
        default: throw VectorError(description: "no version: \(text)")
        }
    }

    private static func expectation(_ text: String) throws -> WireVector.Expectation {
        let rest = String(text.dropFirst(2))
        switch text.first {
        case "=": return .packet(rest, isCanonical: true)
        case "~": return .packet(rest, isCanonical: false)
        case "!":
            let parts = rest.split(separator: " ")
            guard let code = parts.first.flatMap({ UInt8($0, radix: 16) }) else { break }
            let by = parts.count > 1 ? Int(parts[1].dropFirst()) : nil
            return .refusal(ReasonCode(rawValue: code), by: by)
        default: break
        }
        throw VectorError(description: "no expectation: \(text)")
    }
}

/// Reads the bytes field: hex, `"text"`, `{ … }`, `[ … ]` and `61*300`.
struct VectorBytes {
    private var rest: Substring

    init(_ text: String) { rest = text[...] }

    mutating func parse() throws -> [UInt8] {
        let bytes = try sequence(until: nil)
        guard rest.isEmpty else { throw VectorError(description: "left over: \(rest)") }
        return bytes
    }

    private mutating func sequence(until end: Character?) throws -> [UInt8] {
        var bytes: [UInt8] = []
        while let next = rest.first {
            switch next {
            case " ": rest.removeFirst()
            case "\"": bytes += try text()
            case "{":
                rest.removeFirst()
                let inner = try sequence(until: "}")
                bytes += [UInt8(inner.count >> 8), UInt8(inner.count & 0xFF)] + inner
            case "[":
                rest.removeFirst()
                let inner = try sequence(until: "]")
                var length = inner.count
                while length >= 0x80 {
                    bytes.append(UInt8(length & 0x7F) | 0x80)
                    length >>= 7
                }
                bytes += [UInt8(length)] + inner
            case "}", "]":
                guard next == end else { throw VectorError(description: "unbalanced: \(rest)") }
                rest.removeFirst()
                return bytes
            default: bytes += try hex()
            }
        }
        guard end == nil else { throw VectorError(description: "unbalanced") }
        return bytes
    }

    private mutating func text() throws -> [UInt8] {
        let quoted = rest.dropFirst()
        guard let end = quoted.firstIndex(of: "\"") else {
            throw VectorError(description: "no closing quote: \(rest)")
        }
        rest = quoted[quoted.index(after: end)...]
        return Array(quoted[..<end].utf8)
    }

    private mutating func hex() throws -> [UInt8] {
        let digits = rest.prefix { $0.isHexDigit }
        guard !digits.isEmpty, digits.count.isMultiple(of: 2) else {
            throw VectorError(description: "no hex: \(rest)")
        }
        rest = rest.dropFirst(digits.count)
        var bytes: [UInt8] = []
        var start = digits.startIndex
        while start < digits.endIndex {
            let end = digits.index(start, offsetBy: 2)
            bytes.append(UInt8(digits[start..<end], radix: 16) ?? 0)
            start = end
        }
        guard rest.first == "*" else { return bytes }
        let count = rest.dropFirst().prefix { $0.isNumber }
        rest = rest.dropFirst(1 + count.count)
        return Array(repeatElement(bytes, count: Int(count) ?? 0).joined())
    }
}
