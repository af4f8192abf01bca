/// Gives a configuration its meaning: every setting is asked for by name, with its default.
///
/// Each getter ticks its key off, notes the value for `--check-config`, and on a wrong value notes the
/// problem and returns the default, so that one run reports everything. When all is read, `finish()`
/// on the first reader throws what was wrong, keys that nobody asked for included.
///
///     let reader = ConfigurationReader(document)
///     let log = reader.table("log")
///     let level = log.choice("level", default: Level.info)
///     for listener in reader.tables("listener") { … }
///     try reader.finish()
public final class ConfigurationReader {
    /// One setting as it is in effect.
    struct Setting {
        var key: String
        /// As TOML.
        var text: String
        var origin: ConfigurationOrigin
    }

    /// What a table is called in the files: nothing for the root, `[a.b]`, or `[[a.b]]`.
    enum Form {
        case root
        case table
        case element
    }

    /// Problems of the whole document; one for all readers.
    final class Problems {
        var list: [ConfigurationProblem] = []
        let files: [String]

        init(files: [String]) {
            self.files = files
        }
    }

    let path: [String]
    let form: Form
    let content: ConfigurationTable
    /// Where the table stands; `.standard` when no file has it.
    public let origin: ConfigurationOrigin
    let problems: Problems
    private(set) var asked: Set<String> = []
    private(set) var settings: [Setting] = []
    private(set) var children: [ConfigurationReader] = []

    /// Reads the root table of `document`.
    public init(_ document: ConfigurationDocument) {
        path = []
        form = .root
        content = document.root
        origin = .standard
        problems = Problems(files: document.files)
    }

    private init(
        _ parent: ConfigurationReader, key: String, form: Form, value: ConfigurationValue?
    ) {
        path = parent.path + [key]
        self.form = form
        if case .table(let table)? = value?.content {
            content = table
        } else {
            content = ConfigurationTable()
        }
        origin = value?.origin ?? .standard
        problems = parent.problems
        parent.children.append(self)
    }

    // MARK: Tables

    /// The table `key`; without one in the files, an empty one, whose settings have their defaults.
    public func table(_ key: String) -> ConfigurationReader {
        let value = take(key)
        if let value, !value.isTable { report(value, expected: "a table", key) }
        return ConfigurationReader(self, key: key, form: .table, value: value)
    }

    /// The table `key`, or `nil` when it is not in the files.
    public func optionalTable(_ key: String) -> ConfigurationReader? {
        has(key) ? table(key) : nil
    }

    /// The array of tables `key` (`[[key]]`), in order; empty when it is not in the files.
    public func tables(_ key: String) -> [ConfigurationReader] {
        guard let value = take(key) else { return [] }
        guard case .array(let values) = value.content, values.allSatisfy(\.isTable) else {
            report(value, expected: "tables, each written as [[\(name(key))]]", key)
            return []
        }
        return values.map { ConfigurationReader(self, key: key, form: .element, value: $0) }
    }

    /// The tables below the table `key` (`[key.NAME]`), with their names, in order.
    public func namedTables(_ key: String) -> [(name: String, table: ConfigurationReader)] {
        guard let outer = optionalTable(key) else { return [] }
        return outer.content.entries.map { ($0.key, outer.table($0.key)) }
    }

    /// Whether a file or a flag says anything of `key`.
    public func has(_ key: String) -> Bool {
        asked.insert(key)
        return content[key] != nil
    }

    /// Whether nobody says anything of this table's settings.
    public var isEmpty: Bool { content.entries.isEmpty }

    /// Where `key` was set; `.standard` when nobody set it.
    public func origin(of key: String) -> ConfigurationOrigin {
        content[key]?.origin ?? .standard
    }

    /// Notes that the value of `key` is wrong for a reason that only the caller knows.
    public func problem(
        _ key: String, _ message: String, hint: String? = nil, at place: ConfigurationOrigin? = nil
    ) {
        let place = place ?? content[key]?.origin ?? origin
        add(ConfigurationProblem("\(name(key)): \(message)", at: place, hint: hint))
    }

    // MARK: End

    /// Ends the reading: throws every problem of the whole document, in the order of the files.
    ///
    /// Call it on the reader that was made from the document, once, after everything was read.
    public func finish() throws(ConfigurationError) {
        precondition(form == .root)
        reportUnknownKeys()
        guard !problems.list.isEmpty else { return }
        let files = problems.files
        func place(_ problem: ConfigurationProblem) -> (Int, Int, Int) {
            guard case .file(let path, let line, let column)? = problem.origin else {
                return (files.count, 0, 0)
            }
            return (files.firstIndex(of: path) ?? files.count, line, column)
        }
        let sorted = problems.list.enumerated().sorted { left, right in
            let (first, second) = (place(left.element), place(right.element))
            return first == second ? left.offset < right.offset : first < second
        }
        throw ConfigurationError(sorted.map(\.element))
    }

    private func reportUnknownKeys() {
        for entry in content.entries where !asked.contains(entry.key) {
            let near = NearestName.suggestion(for: entry.key, among: asked.sorted())
            add(
                ConfigurationProblem(
                    "unknown key \(name(entry.key))", at: entry.value.origin,
                    hint: near.map { "did you mean \($0)?" }))
        }
        for child in children { child.reportUnknownKeys() }
    }

    // MARK: For the getters

    /// Ticks `key` off and returns what was set.
    func take(_ key: String) -> ConfigurationValue? {
        asked.insert(key)
        return content[key]
    }

    /// Notes a setting for `--check-config`.
    func note(_ key: String, _ text: String, _ origin: ConfigurationOrigin?) {
        settings.append(Setting(key: key, text: text, origin: origin ?? .standard))
    }

    func add(_ problem: ConfigurationProblem) {
        problems.list.append(problem)
    }

    func report(_ value: ConfigurationValue, expected: String, _ key: String, hint: String? = nil) {
        add(
            ConfigurationProblem(
                "\(name(key)): must be \(expected), not \(value.kindName)", at: value.origin,
                hint: hint))
    }

    /// `key` with the names of the tables around it.
    func name(_ key: String) -> String {
        (path + [key]).map(TOMLText.key).joined(separator: ".")
    }
}
