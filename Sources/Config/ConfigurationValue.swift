/// Where a setting came from.
public enum ConfigurationOrigin: Hashable, Sendable, CustomStringConvertible {
    /// A place in a file; line and column count from 1, columns in Unicode scalars.
    case file(path: String, line: Int, column: Int)
    /// A command line flag, by its name with dashes.
    case flag(String)
    /// Nobody said anything; the program's own value.
    case standard

    public var description: String {
        switch self {
        case .file(let path, let line, let column): "\(path):\(line):\(column)"
        case .flag(let name): name
        case .standard: "default"
        }
    }
}

/// A value of a configuration file, with its origin.
public struct ConfigurationValue: Hashable, Sendable {
    public enum Content: Hashable, Sendable {
        case string(String)
        case integer(Int64)
        case number(Double)
        case boolean(Bool)
        /// A TOML date or time, in RFC 3339.
        case dateOrTime(String)
        case array([ConfigurationValue])
        case table(ConfigurationTable)
    }

    public var content: Content
    public var origin: ConfigurationOrigin

    public init(_ content: Content, origin: ConfigurationOrigin) {
        self.content = content
        self.origin = origin
    }

    /// What the value is, for error texts.
    var kindName: String {
        switch content {
        case .string: "a string"
        case .integer: "an integer"
        case .number: "a number"
        case .boolean: "true or false"
        case .dateOrTime: "a date or time"
        case .array: "an array"
        case .table: "a table"
        }
    }
}

/// The settings of one table, in the order in which they were written.
public struct ConfigurationTable: Hashable, Sendable {
    public struct Entry: Hashable, Sendable {
        public var key: String
        public var value: ConfigurationValue
    }

    public internal(set) var entries: [Entry] = []

    public init() {}

    public subscript(key: String) -> ConfigurationValue? {
        get { entries.first { $0.key == key }?.value }
        set {
            let index = entries.firstIndex { $0.key == key }
            switch (index, newValue) {
            case (let index?, let value?): entries[index].value = value
            case (let index?, nil): entries.remove(at: index)
            case (nil, let value?): entries.append(Entry(key: key, value: value))
            case (nil, nil): break
            }
        }
    }
}
