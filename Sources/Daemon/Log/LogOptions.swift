import Config

/// How a daemon's log is written: the table `[log]`.
public struct LogOptions: Hashable, Sendable {
    public enum Format: String, CaseIterable, Hashable, Sendable {
        case text
        /// One JSON object a line.
        case json
    }

    /// The lowest level that is written.
    public var level = LogLevel.info
    public var format = Format.text
    /// Lines a second and level. What comes beyond is left out, counted, and told of with the next line
    /// of that level, or at the end.
    public var linesPerSecond = 100

    public init() {}

    public init(_ reader: ConfigurationReader) {
        level = reader.choice("level", default: level)
        format = reader.choice("format", default: format)
        linesPerSecond = reader.integer(
            "lines_per_second", default: linesPerSecond, in: 1...1_000_000)
    }
}
