import FleetModel

/// A table for people: columns as wide as what stands in them.
public struct ControlTable {
    private let titles: [String]
    private var rows: [[String]] = []

    public init(_ titles: [String]) { self.titles = titles }

    /// Adds a row; texts of strangers stay harmless in a terminal.
    public mutating func add(_ cells: [String]) {
        precondition(cells.count == titles.count, "a row has a cell for each title")
        rows.append(cells.map { Self.harmless($0) })
    }

    /// A text of a stranger, with control characters escaped.
    public static func harmless(_ text: String) -> String { LogLine.escaped(text) }

    /// With a line for the titles; nothing without rows.
    public var text: String { rows.isEmpty ? "" : Self.text([titles] + rows) }

    /// Without the titles.
    public var body: String { Self.text(rows) }

    private static func text(_ rows: [[String]]) -> String {
        let widths = (rows.first ?? []).indices.map { column in
            rows.map { $0[column].unicodeScalars.count }.max() ?? 0
        }
        return rows.map { cells in
            var line = ""
            for (cell, width) in zip(cells, widths) {
                line += cell
                line += String(repeating: " ", count: width - cell.unicodeScalars.count + 2)
            }
            while line.last == " " { line.removeLast() }
            return line + "\n"
        }.joined()
    }
}

/// Figures as people read them.
public enum ControlFigures {
    /// `3d 4h`, `4h 12m`, `12m 5s`, `5s`
    public static func span(_ seconds: Int64) -> String {
        let seconds = max(0, seconds)
        if seconds < 60 { return "\(seconds)s" }
        if seconds < 3_600 { return "\(seconds / 60)m \(seconds % 60)s" }
        if seconds < 86_400 { return "\(seconds / 3_600)h \(seconds / 60 % 60)m" }
        return "\(seconds / 86_400)d \(seconds / 3_600 % 24)h"
    }

    /// `512 B`, `12.5 KiB`, `3.0 MiB`
    public static func size(_ bytes: Int64) -> String {
        let units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"]
        var whole = max(0, bytes)
        var rest: Int64 = 0
        var unit = 0
        while whole >= 1_024 {
            rest = whole % 1_024
            whole /= 1_024
            unit += 1
        }
        return unit == 0 ? "\(whole) B" : "\(whole).\(rest * 10 / 1_024) \(units[unit])"
    }
}
