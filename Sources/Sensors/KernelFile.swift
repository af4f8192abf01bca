import IO

/// Small text files of /proc and /sys, whose content is not to be trusted.
enum KernelFile {
    /// The longest file that is read, in bytes.
    static let limit = 64 * 1024

    /// The file's text; ill-formed UTF-8 becomes U+FFFD.
    static func text(_ path: String) throws(SensorFailure) -> String {
        do {
            return String(decoding: try Files.read(path, limit: limit), as: UTF8.self)
        } catch {
            throw SensorFailure(failureText(error, path))
        }
    }

    /// The text without white space and NUL around it; `nil` where there is none.
    static func line(_ path: String) -> String? {
        guard let text = try? text(path) else { return nil }
        let trimmed = trim(text)
        return trimmed.isEmpty ? nil : trimmed
    }

    static func trim(_ text: some StringProtocol) -> String {
        let isSpace = { (character: Character) in character.isWhitespace || character == "\0" }
        guard let first = text.firstIndex(where: { !isSpace($0) }),
            let last = text.lastIndex(where: { !isSpace($0) })
        else { return "" }
        return String(text[first...last])
    }

    /// A file that holds one whole number.
    static func integer(_ path: String) throws(SensorFailure) -> Int {
        try integer(text: text(path))
    }

    static func integer(text: String) throws(SensorFailure) -> Int {
        let trimmed = trim(text)
        guard !trimmed.isEmpty else { throw SensorFailure("the file is empty") }
        guard let value = Int(trimmed) else {
            throw SensorFailure("no whole number: '\(excerpt(trimmed))'")
        }
        return value
    }

    /// A word of a file as a number of at least 0.
    static func number(_ word: Substring?) throws(SensorFailure) -> Double {
        guard let word, !word.isEmpty else { throw SensorFailure("the file is cut short") }
        guard let value = Double(word), value.isFinite else {
            throw SensorFailure("no number: '\(excerpt(word))'")
        }
        guard value >= 0 else { throw SensorFailure("below zero: \(excerpt(word))") }
        return value
    }

    /// The beginning of a text for people, printable.
    static func excerpt(_ text: some StringProtocol) -> String {
        let printable = text.unicodeScalars.prefix(20).map {
            0x20...0x7E ~= $0.value ? Character($0) : "?"
        }
        return String(printable) + (text.unicodeScalars.count > 20 ? "…" : "")
    }

    /// The reason stands before the path, because a long text is cut at its end.
    private static func failureText(_ error: IOError, _ path: String) -> String {
        switch error.code {
        case .noSuchFile, .notADirectory: "not there: \(path)"
        case .permissionDenied: "no permission: \(path)"
        case .fileTooLarge: "too long: \(path)"
        default: "\(error.code)"
        }
    }

    /// The names in a folder; none where it is missing.
    static func names(in folder: String) -> [String] { (try? Files.names(in: folder)) ?? [] }

    /// The same with numbers in the order of their value: `hwmon2` before `hwmon10`.
    static func numbered(_ prefix: String, in folder: String) -> [String] {
        names(in: folder)
            .compactMap { name -> (Int, String)? in
                guard name.hasPrefix(prefix), let number = Int(name.dropFirst(prefix.count)) else {
                    return nil
                }
                return (number, name)
            }
            .sorted { $0.0 < $1.0 }.map(\.1)
    }
}
