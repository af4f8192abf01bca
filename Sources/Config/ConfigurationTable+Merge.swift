/// How a later file is laid over what came before.
extension ConfigurationTable {
    /// By the first of these keys that it has, an entry of an array of tables is known: a `[[sensor]]` by its
    /// `name`, a `[[listener]]` without one by its `address`, a `[[topic]]` by its `filter`.
    static let namingKeys = ["name", "address", "filter", "id", "user"]

    /// Lays `other` over this table: tables merge, tables of an array merge with their namesakes, everything
    /// else replaces.
    mutating func merge(_ other: ConfigurationTable) {
        for entry in other.entries {
            guard let lower = self[entry.key] else {
                self[entry.key] = entry.value
                continue
            }
            self[entry.key] = lower.merged(with: entry.value)
        }
    }

    /// Puts `value` at a path through tables, which are made on the way; what stood there goes.
    mutating func set(_ path: ArraySlice<String>, to value: ConfigurationValue) {
        guard let key = path.first else { return }
        guard path.count > 1 else { return self[key] = value }
        var inner = ConfigurationTable()
        if case .table(let table)? = self[key]?.content { inner = table }
        inner.set(path.dropFirst(), to: value)
        self[key] = ConfigurationValue(.table(inner), origin: self[key]?.origin ?? value.origin)
    }

    /// What the entry is known by; `nil`: it is nobody's namesake.
    fileprivate var identity: (key: String, name: ConfigurationValue.Content)? {
        for key in Self.namingKeys {
            if let value = self[key] { return (key, value.content) }
        }
        return nil
    }

    fileprivate func isNamesake(of other: ConfigurationTable) -> Bool {
        guard let own = identity, let others = other.identity else { return false }
        return own.key == others.key && own.name == others.name
    }
}

extension ConfigurationValue {
    /// This value with `upper` laid over it. A table stays where it was begun, so that what is missing in it is
    /// reported there.
    fileprivate func merged(with upper: ConfigurationValue) -> ConfigurationValue {
        switch (content, upper.content) {
        case (.table(var table), .table(let other)):
            table.merge(other)
            return ConfigurationValue(.table(table), origin: origin)
        case (.array(let entries), .array(let others)):
            guard let merged = Self.merge(others, into: entries) else { return upper }
            return ConfigurationValue(.array(merged), origin: origin)
        default: return upper
        }
    }

    /// Each of `others` over its namesake, or behind the last; `nil` where these are no arrays of tables, and
    /// where `others` is empty: `listener = []` takes all away.
    private static func merge(
        _ others: [ConfigurationValue], into entries: [ConfigurationValue]
    ) -> [ConfigurationValue]? {
        guard !others.isEmpty, (entries + others).allSatisfy(\.isTable) else { return nil }
        var result = entries
        // Two of one name in one file are two: whoever reads them says so.
        var left = Array(entries.indices)
        for other in others {
            if let place = left.firstIndex(where: { entries[$0].isNamesake(of: other) }) {
                let index = left.remove(at: place)
                result[index] = entries[index].merged(with: other)
            } else {
                result.append(other)
            }
        }
        return result
    }

    var isTable: Bool {
        if case .table = content { return true }
        return false
    }

    private func isNamesake(of other: ConfigurationValue) -> Bool {
        guard case .table(let own) = content, case .table(let others) = other.content else {
            return false
        }
        return own.isNamesake(of: others)
    }
}
