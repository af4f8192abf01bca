import FleetModel

extension StatusReport {
    /// The table for people, wide with all that is known.
    func table(wide: Bool) -> TextTable {
        var titles = [
            "SITE", "NODE", "STATE", "SINCE (UTC)", "VERSION", "LOAD", "TEMP", "LINK", "QUEUE",
        ]
        if wide {
            titles += ["UPTIME", "MEMORY", "DISK", "SERVICES", "INSTANCE", "OS", "ADDRESSES"]
        }
        var table = TextTable(titles)
        for row in rows { table.add(row.cells + (wide ? row.wideCells : [])) }
        return table
    }
}

extension StatusReport.Row {
    private static let nothing = TextTable.Cell("-", .faint)

    fileprivate var cells: [TextTable.Cell] {
        [
            TextTable.Cell(key.site.text), TextTable.Cell(key.node.text),
            TextTable.Cell(state.rawValue, state.tone), sinceCell,
            Self.cell(node.status?.version ?? node.services.values.compactMap(\.version).min()),
            Self.cell(node.health?.load.first.map { Figures.decimal($0, digits: 2) }),
            Self.cell(node.health?.temperature.map { Figures.decimal($0, digits: 1) + " °C" }),
            linkCell, Self.cell(queue.map { "\($0)" }),
        ]
    }

    fileprivate var wideCells: [TextTable.Cell] {
        let services = node.services.sorted { $0.key < $1.key }
        let isWell = services.allSatisfy {
            $0.value.state == .online && $0.value.storeProblem == nil
        }
        let names = services.map { name, said in
            if said.state == .offline { return "\(name.text)(offline)" }
            guard said.storeProblem != nil else { return name.text }
            return said.quarantinedStores > 0 ? "\(name.text)(quarantined)" : "\(name.text)(store)"
        }
        return [
            Self.cell(node.health?.uptimeSeconds.map(Figures.span)),
            Self.cell(node.health?.memory.map(Figures.used)),
            Self.cell(node.health?.disk.map(Figures.used)),
            names.isEmpty
                ? Self.nothing
                : TextTable.Cell(names.joined(separator: " "), isWell ? .plain : .bad),
            Self.cell((node.status?.instance ?? node.info?.instance)?.description),
            Self.cell(node.info?.operatingSystem),
            Self.cell(
                node.info?.addresses.isEmpty == false
                    ? node.info?.addresses.joined(separator: " ") : nil),
        ]
    }

    /// `~` before a moment says that the state holds since then or a little later.
    private var sinceCell: TextTable.Cell {
        if let since { return TextTable.Cell(Figures.minute(since)) }
        return Self.cell(lastSign.map { "~" + Figures.minute($0) })
    }

    private var linkCell: TextTable.Cell {
        guard let first = links.first else { return Self.nothing }
        let isOffline = links.contains { $0.link.state == .offline }
        let text =
            links.count == 1
            ? first.link.state.rawValue
            : links.map { "\($0.upstream.text):\($0.link.state.rawValue)" }.joined(separator: " ")
        return TextTable.Cell(text, isOffline ? .bad : .good)
    }

    private static func cell(_ text: String?) -> TextTable.Cell {
        text.map { TextTable.Cell($0) } ?? nothing
    }
}

extension StatusReport.NodeState {
    fileprivate var tone: Tone {
        switch self {
        case .online: .good
        case .offline: .bad
        case .unknown: .unsure
        }
    }
}

/// Figures as people read them.
enum Figures {
    /// `21.5`; `-` for what is no number.
    static func decimal(_ value: Double, digits: Int) -> String {
        guard value.isFinite, abs(value) < 1e12 else { return value.isFinite ? "\(value)" : "-" }
        let scale = (0..<digits).reduce(1) { scale, _ in scale * 10 }
        let scaled = Int64(abs(value) * Double(scale) + 0.5)
        let fraction = String(scaled % Int64(scale))
        let padded = String(repeating: "0", count: digits - fraction.count) + fraction
        return (value < 0 && scaled > 0 ? "-" : "") + "\(scaled / Int64(scale)).\(padded)"
    }

    /// `2026-11-21 06:12`
    static func minute(_ time: Timestamp) -> String {
        let text = time.description
        return text.prefix(10) + " " + text.dropFirst(11).prefix(5)
    }

    /// `3d 4h`, `4h 12m`, `12m`
    static func span(_ seconds: Double) -> String {
        guard seconds.isFinite, seconds >= 0, seconds < 1e12 else { return "-" }
        let minutes = Int64(seconds) / 60
        if minutes < 60 { return "\(minutes)m" }
        if minutes < 24 * 60 { return "\(minutes / 60)h \(minutes % 60)m" }
        return "\(minutes / (24 * 60))d \(minutes / 60 % 24)h"
    }

    /// `37 %`: what is used of a space.
    static func used(_ space: Health.Space) -> String {
        let ratio = min(1, max(0, 1 - space.availableRatio))
        return "\(Int(ratio * 100 + 0.5)) %"
    }
}
