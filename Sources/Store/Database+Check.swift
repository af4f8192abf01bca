import CSQLite

extension Database {
    /// What `PRAGMA quick_check` finds wrong; nothing: the file is sound.
    func problems() throws(StoreError) -> [String] {
        let statement = try Statement("PRAGMA quick_check(\(StoreCheck.maximumLines))", self)
        var lines: [String] = []
        while try statement.step() { lines.append(statement.string(0)) }
        return lines == ["ok"] ? [] : lines
    }
}
