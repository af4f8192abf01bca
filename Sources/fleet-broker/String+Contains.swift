extension String {
    /// Whether `text` stands in it. The one of the regular expressions' module would link their parser.
    func contains(_ text: String) -> Bool {
        var rest = self[...]
        while !rest.isEmpty {
            if rest.hasPrefix(text) { return true }
            rest = rest.dropFirst()
        }
        return text.isEmpty
    }
}
