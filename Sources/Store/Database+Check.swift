import CSQLite

extension Database {
    /// What `PRAGMA quick_check` finds wrong; nothing: the file is sound.
    public func problems() throws(StoreError) -> [String] {
        let statement = try Statement("PRAGMA quick_check(\(StoreCheck.maximumLines))", self)
        var lines: [String] = []
        while try statement.step() { lines.append(statement.string(0)) }
        return lines == ["ok"] ? [] : lines
    }

    /// Writes a copy of the store as it is now to a new file; others may go on writing meanwhile.
    public func copy(to path: String) throws(StoreError) {
        let statement = try Statement("VACUUM INTO ?", self)
        try statement.bind(1, path)
        try statement.run()
    }
}
