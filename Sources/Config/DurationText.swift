/// Durations as people write them: `5s`, `10 min`, `1h 30min`, `250ms`.
public enum DurationText {
    /// Units in nanoseconds, the largest first; the first name of each is the one that is printed.
    private static let units: [(names: [String], nanoseconds: Int64)] = [
        (["d", "day", "days"], 86_400_000_000_000),
        (["h", "hour", "hours"], 3_600_000_000_000),
        (["min", "m", "minute", "minutes"], 60_000_000_000),
        (["s", "sec", "second", "seconds"], 1_000_000_000),
        (["ms", "millisecond", "milliseconds"], 1_000_000),
        (["us", "microsecond", "microseconds"], 1_000),
        (["ns"], 1),
    ]

    /// Whole numbers with units, added up; `nil` for anything else, such as a number without unit,
    /// or more than 292 years.
    public static func parse(_ text: String) -> Duration? {
        var rest = Substring(text)
        var total: Int64 = 0
        var parts = 0
        while true {
            rest = rest.drop { $0 == " " }
            if rest.isEmpty { break }
            let digits = rest.prefix { $0.isASCII && $0.isNumber }
            rest = rest.dropFirst(digits.count).drop { $0 == " " }
            let name = rest.prefix { $0.isASCII && $0.isLetter }
            rest = rest.dropFirst(name.count)
            guard let number = Int64(digits),
                let unit = units.first(where: { $0.names.contains(String(name)) })
            else { return nil }
            let (part, tooLong) = number.multipliedReportingOverflow(by: unit.nanoseconds)
            let (sum, carry) = total.addingReportingOverflow(part)
            if tooLong || carry { return nil }
            total = sum
            parts += 1
        }
        return parts > 0 ? .nanoseconds(total) : nil
    }

    /// The shortest exact form, such as `90s` or `250ms`; `parse` reads it back.
    public static func format(_ duration: Duration) -> String {
        let (seconds, attoseconds) = duration.components
        let (whole, tooLong) = seconds.multipliedReportingOverflow(by: 1_000_000_000)
        if tooLong { return "\(seconds)s" }
        let nanoseconds = whole + attoseconds / 1_000_000_000
        if nanoseconds == 0 { return "0s" }
        for unit in units where nanoseconds % unit.nanoseconds == 0 {
            return "\(nanoseconds / unit.nanoseconds)\(unit.names[0])"
        }
        return "\(nanoseconds)ns"
    }
}

/// Sizes as people write them: `512B`, `64KiB`, `10 MB`.
public enum SizeText {
    private static let units: [(name: String, bytes: Int)] = [
        ("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10),
        ("TB", 1_000_000_000_000), ("GB", 1_000_000_000), ("MB", 1_000_000), ("kB", 1_000),
        ("KB", 1_000), ("B", 1),
    ]

    /// A whole number with a unit, in bytes; `nil` for anything else.
    public static func parse(_ text: String) -> Int? {
        let digits = text.prefix { $0.isASCII && $0.isNumber }
        let name = text.dropFirst(digits.count).drop { $0 == " " }
        guard let number = Int(digits), let unit = units.first(where: { $0.name == name }) else {
            return nil
        }
        let (bytes, tooLarge) = number.multipliedReportingOverflow(by: unit.bytes)
        return tooLarge ? nil : bytes
    }

    /// The shortest exact form in binary units, such as `64KiB`; `parse` reads it back.
    public static func format(_ bytes: Int) -> String {
        for unit in units.prefix(4) where bytes != 0 && bytes % unit.bytes == 0 {
            return "\(bytes / unit.bytes)\(unit.name)"
        }
        return "\(bytes)B"
    }
}
