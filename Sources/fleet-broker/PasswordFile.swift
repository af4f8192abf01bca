import Daemon
import IO
import TLS

/// The lines of a password file, as `UserTable` reads them and `fleet-broker passwd` changes them.
enum PasswordFile {
    enum Line: Equatable {
        case blank
        case user(String, verifier: Substring)
        case malformed(String)
    }

    /// Puts `verifier` in the place of a user's older hash, if that still stands there; blocks.
    ///
    /// What somebody else wrote meanwhile is left alone: then nothing is written, and nothing is wrong.
    static func renew(
        _ path: String, user: [UInt8], _ old: StoredPassword, _ verifier: SCRAMVerifier
    ) throws(DaemonError) {
        do {
            let status = try Files.status(path)
            let bytes = try Files.readPrivate(path, limit: UserTable.maximumFileSize)
            let text = String(decoding: bytes, as: UTF8.self)
            let name = String(decoding: user, as: UTF8.self)
            let table = try UserTable(text: text, path: path)
            guard table.passwords[user] == old,
                let changed = change(text, user: name, verifier: verifier.description)
            else { return }
            try Files.writeAtomically(
                path, Array(changed.utf8).span, mode: status.permissions, ownedLike: status)
        } catch let error as DaemonError {
            throw error
        } catch {
            throw DaemonError(.inputOutput, "\(error)")
        }
    }

    static func lines(of text: String) -> [Line] {
        split(text).map(read)
    }

    /// By bytes: to a `String`, CR and LF are one character that is not LF, and a file with them would be
    /// a single line.
    private static func split(_ text: String) -> [Substring] {
        text.utf8.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
            .map { Substring($0) }
    }

    private static func read(_ line: Substring) -> Line {
        let line = line.last == "\r" ? line.dropLast() : line
        if line.allSatisfy({ $0 == " " || $0 == "\t" }) || line.first == "#" { return .blank }
        guard let colon = line.firstIndex(of: ":") else {
            return .malformed("a line looks like user:SCRAM-SHA-256$...; this one has no colon")
        }
        let user = String(line[..<colon])
        if let why = fault(inUser: user) { return .malformed(why) }
        return .user(user, verifier: line[line.index(after: colon)...])
    }

    /// Why this cannot be a user name; `nil` when it can.
    static func fault(inUser user: String) -> String? {
        if user.isEmpty { return "a user name must not be empty" }
        if user.utf8.count > 1_024 { return "a user name has at most 1,024 bytes" }
        let isPlain = user.unicodeScalars.allSatisfy {
            $0.value >= 0x20 && $0.value != 0x7F && $0 != ":" && $0 != "\u{FFFD}"
                && $0 != "\u{FEFF}"
        }
        if !isPlain {
            return "a user name must not hold ':', control characters or a byte order mark"
        }
        if user.first == "#" || user.first == " " || user.last == " " {
            return "a user name must not begin with '#', or begin or end with a space"
        }
        return nil
    }

    /// The file's text with the user's lines replaced, added (a verifier) or removed (`nil`).
    ///
    /// `nil` when the user to remove is not there. Everything else stays as it is, comments too.
    ///
    /// - Parameter keepsOld: the newest line that was there stays, behind the new one.
    static func change(
        _ text: String, user: String, verifier: String?, keepsOld: Bool = false
    ) -> String? {
        var lines = split(text).map { String($0) }
        if lines.last == "" { lines.removeLast() }
        let known = lines.indices.filter { index in
            if case .user(user, _) = read(Substring(lines[index])) { return true }
            return false
        }
        if known.isEmpty && verifier == nil { return nil }
        for index in known.dropFirst(keepsOld ? 1 : 0).reversed() { lines.remove(at: index) }
        if let verifier {
            lines.insert("\(user):\(verifier)", at: known.first ?? lines.endIndex)
        }
        return lines.map { $0 + "\n" }.joined()
    }
}
