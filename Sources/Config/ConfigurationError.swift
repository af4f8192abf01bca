/// One thing that is wrong with a configuration, where, and what to do about it.
public struct ConfigurationProblem: Hashable, Sendable, CustomStringConvertible {
    /// `nil` when no place in a file is to blame.
    public var origin: ConfigurationOrigin?
    public var message: String
    public var hint: String?

    public init(_ message: String, at origin: ConfigurationOrigin? = nil, hint: String? = nil) {
        self.origin = origin
        self.message = message
        self.hint = hint
    }

    public var description: String {
        var text = message
        switch origin {
        case nil, .standard?: break
        case let origin?: text = "\(origin): \(text)"
        }
        if let hint { text += " (\(hint))" }
        return text
    }
}

/// Everything that is wrong with a configuration; the program ends with exit code 78 (`EX_CONFIG`).
public struct ConfigurationError: Error, Hashable, Sendable, CustomStringConvertible {
    /// In the order of the files; never empty.
    public var problems: [ConfigurationProblem]

    public init(_ problems: [ConfigurationProblem]) {
        self.problems = problems
    }

    init(_ problem: ConfigurationProblem) {
        problems = [problem]
    }

    /// One problem a line.
    public var description: String {
        problems.map(\.description).joined(separator: "\n")
    }
}
