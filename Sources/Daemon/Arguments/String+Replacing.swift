extension String {
    /// With `text` in place of each `character`. The one of the regular expressions' module would link their parser.
    func replacing(_ character: Character, with text: String) -> String {
        split(separator: character, omittingEmptySubsequences: false).joined(separator: text)
    }
}
