import IO
import MQTT
import TLS

/// The `--name value` pairs behind a command; each command asks for those it knows.
struct Options {
    private var values: [String: String] = [:]

    init(_ arguments: some Sequence<String>) throws(UsageError) {
        var iterator = arguments.makeIterator()
        while let flag = iterator.next() {
            guard flag.hasPrefix("--"), let value = iterator.next() else {
                throw "not understood: \(flag)"
            }
            values[String(flag.dropFirst(2))] = value
        }
    }

    /// The number given as `name`, else `fallback`.
    mutating func number(_ name: String, _ fallback: Int) throws(UsageError) -> Int {
        guard let text = values.removeValue(forKey: name) else { return fallback }
        guard let number = Int(text), number >= 0 else { throw "--\(name) \(text) is no number" }
        return number
    }

    mutating func flag(_ name: String) throws(UsageError) -> Bool { try number(name, 0) != 0 }

    mutating func text(_ name: String) -> String? { values.removeValue(forKey: name) }

    /// Nothing may be left that nobody asked for.
    func expectEnd() throws(UsageError) {
        if let unknown = values.keys.sorted().first { throw "there is no --\(unknown) here" }
    }
}

/// What was wrong with the arguments.
struct UsageError: Error, ExpressibleByStringInterpolation {
    let message: String

    init(stringLiteral message: String) {
        self.message = message
    }
}

/// Which broker, and as whom.
struct Target {
    var port: UInt16
    var version: ProtocolVersion
    var user: String?
    var password: [UInt8] = []
    /// With it connections are TLS, to a server whose certificate this CA signed.
    var tls: TLSContext?

    init(_ options: inout Options) throws {
        port = UInt16(clamping: try options.number("port", 1_883))
        let level = UInt8(clamping: try options.number("mqtt", 4))
        guard let version = ProtocolVersion(rawValue: level) else {
            throw UsageError("--mqtt is 3, 4 or 5")
        }
        self.version = version
        user = options.text("user")
        if let path = options.text("password-file") {
            password = Array(try Files.read(path, limit: 4_096).prefix { $0 != UInt8(ascii: "\n") })
        }
        if let file = options.text("ca") {
            tls = try TLSContext(client: TLSClientConfiguration(caFile: file))
        }
    }
}
