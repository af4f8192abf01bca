import BrokerCore
import Config
import Daemon
import IO

/// Turns a Mosquitto's configuration into ours, and says what has no counterpart.
struct MosquittoImport {
    /// The name of the users' file, beside the configuration.
    static let usersFile = "broker.users"

    private let source: MosquittoConfiguration
    private(set) var notes = ImportNotes()
    private var writer = TOMLWriter()
    private(set) var users = ""
    private var known: [String: Substring] = [:]

    init(_ path: String) throws(DaemonError) {
        let lines = try MosquittoLines.configuration(path)
        source = MosquittoConfiguration(lines, notes: &notes)
        writer.comment("Made from \(path) by: fleet-broker import")
        try readUsers()
        writeAuthentication()
        for listener in source.listeners { writeListeners(listener) }
        try writeRoles()
        writeLimits()
        writeSession()
        noteTheRest()
        check()
    }

    var toml: String { writer.text }

    // MARK: Users

    /// The users of all password files, in one.
    private mutating func readUsers() throws(DaemonError) {
        for line in accessLines("password_file") {
            let text = try MosquittoLines.text(line.value)
            for (index, entry) in PasswordFile.lines(of: text).enumerated() {
                let origin = MosquittoOrigin(path: line.value, line: index + 1)
                switch entry {
                case .blank: break
                case .malformed(let why): notes.add(origin, "password_file", "left out: \(why)")
                case .user(let user, let password): add(user, password, origin)
                }
            }
        }
    }

    private mutating func add(_ user: String, _ password: Substring, _ origin: MosquittoOrigin) {
        do {
            _ = try StoredPassword(password)
        } catch {
            return notes.add(origin, "password_file", "the user \(user) is left out: \(error)")
        }
        guard let other = known[user] else {
            known[user] = password
            users += "\(user):\(password)\n"
            return
        }
        if other != password {
            notes.add(
                origin, "password_file",
                "the user \(user) stands in two files with two passwords; the first one counts")
        }
    }

    private mutating func writeAuthentication() {
        let anonymous = source.global["allow_anonymous"]?.value == "true"
        guard !users.isEmpty || anonymous && !source.isPerListener else { return }
        writer.table("[authentication]")
        if !users.isEmpty { writer.set("password_file", Self.usersFile) }
        if !source.isPerListener { writer.set("allow_anonymous", anonymous) }
    }

    /// The lines of this name, each once: of the broker, or of its listeners.
    private func accessLines(_ name: String) -> [MosquittoLine] {
        guard source.isPerListener else { return source.global[name].map { [$0] } ?? [] }
        var lines: [MosquittoLine] = []
        for listener in source.listeners {
            guard let line = listener.settings[name],
                !lines.contains(where: { $0.value == line.value })
            else { continue }
            lines.append(line)
        }
        return lines
    }

    // MARK: Listeners

    /// A listener for all addresses is two of ours.
    private mutating func addresses(_ listener: MosquittoConfiguration.Listener) -> [String] {
        switch (listener.port, listener.address) {
        case ("0", let path): return ["unix:\(path)"]
        case (let port, ""): return ["0.0.0.0:\(port)", "[::]:\(port)"]
        case (let port, "localhost"): return ["127.0.0.1:\(port)", "[::1]:\(port)"]
        case (let port, let address):
            let text = address.contains(":") ? "[\(address)]:\(port)" : "\(address):\(port)"
            if SocketAddress(text) == nil {
                notes.add(
                    listener.origin, "listener",
                    "write the address of \"\(address)\" in numbers in its place")
            }
            return [text]
        }
    }

    private mutating func writeListeners(_ listener: MosquittoConfiguration.Listener) {
        for address in addresses(listener) {
            writer.table("[[listener]]")
            writer.set("address", address)
            if listener.value("protocol") == "websockets" { writer.set("protocol", "websocket") }
            if let most = listener.value("max_connections").flatMap({ Int($0) }), most > 0 {
                writer.set("connections", most)
            }
            let qos = listener.value("max_qos") ?? listener.value("maximum_qos")
            if let qos = qos.flatMap({ Int($0) }) {
                writer.set("maximum_qos", qos)
            }
            if source.isPerListener {
                writer.set("allow_anonymous", listener.isOn("allow_anonymous"))
            }
            writeTLS(listener)
        }
        if source.isPerListener, !users.isEmpty, listener.settings["password_file"] == nil,
            listener.isOn("allow_anonymous")
        {
            notes.add(
                listener.origin, "listener",
                "who sends a user name here needs a password now, as at the other listeners")
        }
    }

    private mutating func writeTLS(_ listener: MosquittoConfiguration.Listener) {
        let keys = source.access("psk_file", listener)
        let takesKeys = keys != nil && listener.settings["psk_hint"] != nil
        guard takesKeys || listener.settings["certfile"] != nil else { return }
        writer.subtable("[listener.tls]")
        if takesKeys, let keys { return writer.set("psk_file", keys.value) }
        writer.set("certificate", listener.value("certfile") ?? "")
        writer.set("key", listener.value("keyfile") ?? "")
        guard listener.isOn("require_certificate") else { return }
        if let authority = listener.value("cafile") { writer.set("client_ca", authority) }
        if let revoked = listener.value("crlfile") { writer.set("client_crl", revoked) }
        if listener.isOn("use_identity_as_username") { writer.set("user_from", "cn") }
    }

    // MARK: Rules

    private mutating func writeRoles() throws(DaemonError) {
        guard source.isPerListener else {
            guard let file = source.global["acl_file"] else { return }
            return try writeRoles(of: file, prefix: "", listeners: [])
        }
        guard source.listeners.contains(where: { $0.settings["acl_file"] != nil }) else { return }
        for listener in source.listeners {
            let names = addresses(listener)
            let prefix = "\(listener.port == "0" ? listener.address : listener.port)-"
            if let file = listener.settings["acl_file"] {
                try writeRoles(of: file, prefix: prefix, listeners: names)
            } else {
                // A listener without rules lets everybody do everything.
                writer.table("[role.\(TOMLWriter.quoted(prefix + "everybody"))]")
                writer.set("everybody", true)
                writer.set("listeners", names)
                writer.set("publish", ["#"])
                writer.set("subscribe", ["#", "$SYS/#"])
            }
        }
    }

    private mutating func writeRoles(
        of file: MosquittoLine, prefix: String, listeners: [String]
    ) throws(DaemonError) {
        let rules = try MosquittoRules(file.value, notes: &notes)
        if rules.roles.isEmpty {
            // Nothing is allowed: the table alone says so.
            writer.table(listeners.isEmpty ? "[role]" : "[role.\(TOMLWriter.quoted(prefix))]")
        }
        rules.write(&writer, prefix: prefix, listeners: listeners)
    }

    // MARK: Limits and sessions

    private mutating func writeLimits() {
        var lines: [(String, Int)] = []
        func number(_ name: String) -> Int? {
            source.global[name].flatMap { Int($0.value) }.flatMap { $0 > 0 ? $0 : nil }
        }
        if let count = number("max_inflight_messages") { lines.append(("in_flight", count)) }
        if let count = number("max_queued_messages") { lines.append(("queue_messages", count)) }
        if let size = number("max_queued_bytes") { lines.append(("queue_size", size)) }
        if let size = number("max_packet_size") {
            lines.append(("packet_size", size))
        } else if let size = number("message_size_limit") {
            // Mosquitto counts the payload alone.
            lines.append(("packet_size", size + 4_096))
        }
        guard !lines.isEmpty else { return }
        writer.table("[limits]")
        for (key, value) in lines { writer.set(key, value) }
    }

    private mutating func writeSession() {
        let expiry = source.global["persistent_client_expiration"].flatMap { line in
            let duration = MosquittoImport.duration(line.value)
            if duration == nil { notes.add(line.origin, line.name, "this is no time") }
            return duration
        }
        let keepAlive = source.global["max_keepalive"].flatMap { Int($0.value) } ?? 0
        let retainsNothing = source.global["retain_available"]?.value == "false"
        guard expiry != nil || keepAlive > 0 || retainsNothing else { return }
        writer.table("[session]")
        if retainsNothing { writer.set("retain_available", false) }
        if let expiry { writer.set("expiry_before_5", expiry) }
        if keepAlive > 0 { writer.set("maximum_keep_alive", "\(keepAlive)s") }
    }

    /// `2w` as a duration of ours.
    private static func duration(_ text: String) -> String? {
        guard let unit = text.last, let count = Int(text.dropLast()), count > 0, count < 100_000
        else { return nil }
        return switch unit {
        case "h": "\(count)h"
        case "d": "\(count)d"
        case "w": "\(count * 7)d"
        case "m": "\(count * 30)d"
        case "y": "\(count * 365)d"
        default: nil
        }
    }

    // MARK: What is left

    private mutating func noteTheRest() {
        for listener in source.listeners {
            for name in listener.settings.keys.sorted() {
                guard let line = listener.settings[name],
                    let why = MosquittoCounterparts.why(line, at: listener)
                else { continue }
                notes.add(line.origin, name, why)
            }
        }
        for name in source.global.keys.sorted() {
            guard let line = source.global[name], let why = MosquittoCounterparts.why(line) else {
                continue
            }
            notes.add(line.origin, name, why)
        }
    }

    /// What was written must be a configuration of ours; what is not is the reader's to complete.
    private mutating func check() {
        do throws(ConfigurationError) {
            let document = try ConfigurationDocument(text: writer.text, name: "broker.toml")
            let reader = ConfigurationReader(document)
            _ = BrokerSettings(reader)
            try reader.finish()
        } catch {
            for problem in error.problems { notes.add("to complete: \(problem)") }
        }
    }
}
