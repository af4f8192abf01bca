import IO

/// Takes a password from a file, from standard input or from the terminal; never from an argument, which
/// everybody on the machine could see.
public enum PasswordInput {
    /// The longest password, as MQTT can send it.
    public static let maximumBytes = 65_535

    /// The flag that names the file.
    public static let flag = FlagSpecification(
        "--password-file", value: "FILE",
        help: "take the password from the first line of FILE; - is standard input")

    /// - Parameter isNew: the user chooses it now, and types it twice.
    public static func read(
        _ flags: ParsedFlags, of user: String, isNew: Bool
    ) throws -> [UInt8] {
        let password = try take(flags[flag.name], user, isNew: isNew)
        guard !password.isEmpty else {
            throw DaemonError(.dataError, "an empty password is no password")
        }
        guard password.count <= maximumBytes else {
            throw DaemonError(.dataError, "a password has at most \(maximumBytes) bytes")
        }
        return password
    }

    private static func take(_ file: String?, _ user: String, isNew: Bool) throws -> [UInt8] {
        let limit = maximumBytes + 2
        if let file, file != "-" { return firstLine(try Files.readPrivate(file, limit: limit)) }
        guard file == nil, Terminal.Stream.input.isTerminal else {
            return firstLine(try Terminal.readInput(limit: limit))
        }
        guard let password = try Terminal.askSecret("Password for \(user): "),
            let again = isNew ? try Terminal.askSecret("Again: ") : password
        else { throw DaemonError(.failure, "no password was given") }
        guard password == again else {
            throw DaemonError(.dataError, "the two passwords differ; nothing was changed")
        }
        return password
    }

    private static func firstLine(_ bytes: [UInt8]) -> [UInt8] {
        var line = Array(bytes.prefix { $0 != UInt8(ascii: "\n") })
        if line.last == UInt8(ascii: "\r") { line.removeLast() }
        return line
    }
}
