extension ConfigurationReader {
    /// The configuration in effect, for `--check-config`: TOML, with the origin of each value behind
    /// it (`# /etc/fleet/broker.d/10-x.toml:3:1`, `# default`, `# --listen`). Ends with a line feed.
    ///
    /// Only what was asked for appears, so secrets stay out as long as settings are paths to them.
    public func effective() -> String {
        var lines: [String] = []
        var width = 0
        render { text, origin in
            // One very long value must not push all origins to the right.
            if origin != nil, text.count <= 48 { width = max(width, text.count) }
        }
        render { text, origin in
            guard let origin else {
                lines.append(text)
                return
            }
            let gap = String(repeating: " ", count: max(0, width - text.count))
            lines.append("\(text)\(gap)  # \(origin)")
        }
        if lines.first?.isEmpty == true { lines.removeFirst() }
        return lines.map { $0 + "\n" }.joined()
    }

    /// Calls `line` with each line, and the origin where it has one.
    private func render(_ line: (String, ConfigurationOrigin?) -> Void) {
        let header = path.map(TOMLText.key).joined(separator: ".")
        switch form {
        case .root: break
        case .table where settings.isEmpty: break
        case .table:
            line("", nil)
            line("[\(header)]", nil)
        case .element:
            line("", nil)
            line("[[\(header)]]", nil)
        }
        for setting in settings {
            line("\(TOMLText.key(setting.key)) = \(setting.text)", setting.origin)
        }
        for child in children { child.render(line) }
    }
}
