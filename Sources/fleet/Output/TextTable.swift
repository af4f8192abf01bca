/// What a cell says about the fleet, shown by a colour where there are colours.
enum Tone {
    case plain, good, bad, unsure, faint

    /// The sequence that begins it (ECMA-48, SGR).
    var sequence: String {
        switch self {
        case .plain: ""
        case .good: "\u{1B}[32m"
        case .bad: "\u{1B}[31m"
        case .unsure: "\u{1B}[33m"
        case .faint: "\u{1B}[2m"
        }
    }

    static let end = "\u{1B}[0m"
}

/// Columns for people: as wide as their widest cell, two spaces between them.
struct TextTable {
    struct Cell {
        let text: String
        let tone: Tone

        /// Text from the network is escaped here, so that no cell can be forgotten.
        init(_ text: String, _ tone: Tone = .plain) {
            self.text = PrintableText.escaped(text)
            self.tone = tone
        }
    }

    private let titles: [String]
    private var rows: [[Cell]] = []

    init(_ titles: [String]) { self.titles = titles }

    mutating func add(_ row: [Cell]) {
        precondition(row.count == titles.count, "a row has one cell for each column")
        rows.append(row)
    }

    /// The lines of the table, each ended.
    func rendered(colours: Bool) -> String {
        var widths = titles.map(\.count)
        for row in rows {
            for (column, cell) in row.enumerated() {
                widths[column] = max(widths[column], cell.text.count)
            }
        }
        var result = Self.line(titles.map { Cell($0) }, widths, colours: false)
        for row in rows { result += Self.line(row, widths, colours: colours) }
        return result
    }

    private static func line(_ cells: [Cell], _ widths: [Int], colours: Bool) -> String {
        var line = ""
        for (column, cell) in cells.enumerated() {
            let isLast = column == cells.count - 1
            let padding = isLast ? 0 : widths[column] - cell.text.count + 2
            let coloured = colours && cell.tone != .plain
            line += coloured ? cell.tone.sequence + cell.text + Tone.end : cell.text
            line += String(repeating: " ", count: padding)
        }
        return line + "\n"
    }
}
