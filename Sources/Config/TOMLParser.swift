import CTOML

/// Turns TOML text into a table with the origin of every value; the only user of toml++.
enum TOMLParser {
    /// `path` is only for origins and error texts.
    static func parse(
        _ bytes: [UInt8], path: String
    ) throws(ConfigurationError) -> ConfigurationTable {
        // SAFETY: the pointer lives for the call, which copies what it keeps; `count` is the array's.
        let parsed = unsafe bytes.withUnsafeBytes { buffer in
            unsafe ctoml_parse(
                buffer.baseAddress?.assumingMemoryBound(to: CChar.self), buffer.count)
        }
        guard let document = unsafe parsed else {
            throw ConfigurationError(ConfigurationProblem("\(path): no memory to read this file"))
        }
        // SAFETY: made above, freed once, and nothing of it is used after this function.
        defer { unsafe ctoml_free(document) }

        var position = ctoml_position()
        // SAFETY: `document` is alive; the text is copied at once.
        if let message = unsafe ctoml_error(document, &position) {
            throw ConfigurationError(
                ConfigurationProblem(
                    unsafe "not TOML: " + String(cString: message),
                    at: .file(
                        path: path, line: Int(position.line), column: Int(position.column))))
        }
        var builder = Builder(path: path)
        // SAFETY: indices stay below the count; an entry is copied before the document is freed.
        for index in unsafe 0..<ctoml_entry_count(document) {
            if let entry = unsafe ctoml_entry_at(document, index) {
                unsafe builder.add(entry.pointee)
            }
        }
        return builder.finish()
    }

    /// Puts the flat, depth-first list of entries back together, without recursion.
    private struct Builder {
        private struct Open {
            var key: String
            var value: ConfigurationValue
        }

        let path: String
        private var open: [Open] = []

        init(path: String) {
            self.path = path
        }

        mutating func add(_ entry: ctoml_entry) {
            let depth = unsafe Int(entry.depth)
            while open.count > depth { close() }
            // SAFETY: pointer and count are one string of the living document.
            let key = unsafe Builder.string(entry.key, entry.key_count)
            let position = unsafe entry.position
            let origin = ConfigurationOrigin.file(
                path: path, line: Int(position.line), column: Int(position.column))
            let content = unsafe Builder.content(entry)
            open.append(Open(key: key, value: ConfigurationValue(content, origin: origin)))
        }

        mutating func finish() -> ConfigurationTable {
            while open.count > 1 { close() }
            guard case .table(let root)? = open.first?.value.content else {
                return ConfigurationTable()
            }
            return root
        }

        /// Hands the innermost open entry to the one around it.
        private mutating func close() {
            guard let done = open.popLast(), let last = open.indices.last else { return }
            switch open[last].value.content {
            case .table(var table):
                open[last].value.content = .boolean(false)
                table.entries.append(.init(key: done.key, value: done.value))
                open[last].value.content = .table(table)
            case .array(var array):
                open[last].value.content = .boolean(false)
                array.append(done.value)
                open[last].value.content = .array(array)
            default:
                preconditionFailure("only tables and arrays have entries")
            }
        }

        private static func content(_ entry: ctoml_entry) -> ConfigurationValue.Content {
            switch unsafe entry.kind {
            case ctoml_kind_table: .table(ConfigurationTable())
            case ctoml_kind_array: .array([])
            case ctoml_kind_integer: unsafe .integer(entry.integer)
            case ctoml_kind_number: unsafe .number(entry.number)
            case ctoml_kind_boolean: unsafe .boolean(entry.boolean)
            // SAFETY: pointer and count are one string of the living document.
            case ctoml_kind_string: unsafe .string(string(entry.text, entry.text_count))
            default: unsafe .dateOrTime(string(entry.text, entry.text_count))
            }
        }

        private static func string(_ pointer: UnsafePointer<CChar>?, _ count: Int) -> String {
            guard let pointer = unsafe pointer else { return "" }
            let buffer = unsafe UnsafeRawBufferPointer(start: pointer, count: count)
            return unsafe String(decoding: buffer, as: UTF8.self)
        }
    }
}
