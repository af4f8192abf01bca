/// A point in civil time: milliseconds since 1970-01-01T00:00:00Z, written as RFC 3339 in UTC.
public struct Timestamp: Hashable, Comparable, Sendable, CustomStringConvertible {
    public var unixMilliseconds: Int64

    public init(unixMilliseconds: Int64) { self.unixMilliseconds = unixMilliseconds }

    /// The first moment of the year 10000, which RFC 3339 cannot write.
    private static let endOfYear9999: Int64 = 253_402_300_800_000
    /// The first moment of the year 0.
    private static let startOfYear0: Int64 = -62_167_219_200_000

    /// `2025-03-09T07:05:01.042Z`; a time beyond the years 0 to 9999 is held at their ends.
    public var description: String {
        let clamped = min(max(unixMilliseconds, Self.startOfYear0), Self.endOfYear9999 - 1)
        let day = clamped.floorDivided(by: 86_400_000)
        let inDay = clamped - day * 86_400_000
        let (year, month, dayOfMonth) = CivilDate.date(daysSinceEpoch: day)
        let date = "\(year.padded(4))-\(month.padded(2))-\(dayOfMonth.padded(2))"
        let hours = (inDay / 3_600_000).padded(2)
        let minutes = (inDay / 60_000 % 60).padded(2)
        let seconds = (inDay / 1000 % 60).padded(2)
        return "\(date)T\(hours):\(minutes):\(seconds).\((inDay % 1000).padded(3))Z"
    }

    public static func < (left: Self, right: Self) -> Bool {
        left.unixMilliseconds < right.unixMilliseconds
    }
}

extension Timestamp {
    /// Reads RFC 3339: any offset, any number of digits after the second (cut to milliseconds).
    /// A leap second reads as the second after it. `nil` for anything else.
    public init?(_ text: String) {
        var scanner = Scanner(Array(text.utf8))
        guard let year = scanner.digits(4), scanner.take("-"),
            let month = scanner.digits(2), scanner.take("-"),
            let day = scanner.digits(2), scanner.take("T", "t", " "),
            let hour = scanner.digits(2), scanner.take(":"),
            let minute = scanner.digits(2), scanner.take(":"),
            let second = scanner.digits(2),
            1...12 ~= month, 1...CivilDate.days(inMonth: month, year: year) ~= day,
            hour <= 23, minute <= 59, second <= 60,
            let milliseconds = scanner.fraction(), let offset = scanner.offsetMinutes(),
            scanner.isAtEnd
        else { return nil }
        let days = CivilDate.daysSinceEpoch(year: year, month: month, day: day)
        let minutes = days * 1440 + hour * 60 + minute - offset
        unixMilliseconds = (minutes * 60 + second) * 1000 + milliseconds
    }

    private struct Scanner {
        private let bytes: [UInt8]
        private var position = 0

        init(_ bytes: [UInt8]) { self.bytes = bytes }

        var isAtEnd: Bool { position == bytes.count }
        private var next: UInt8? { position < bytes.count ? bytes[position] : nil }

        mutating func take(_ choices: Unicode.Scalar...) -> Bool {
            guard let next, choices.contains(Unicode.Scalar(next)) else { return false }
            position += 1
            return true
        }

        mutating func digit() -> Int64? {
            guard let next, 0x30...0x39 ~= next else { return nil }
            position += 1
            return Int64(next - 0x30)
        }

        mutating func digits(_ count: Int) -> Int64? {
            var value: Int64 = 0
            for _ in 0..<count {
                guard let digit = digit() else { return nil }
                value = value * 10 + digit
            }
            return value
        }

        /// Milliseconds of an optional fraction.
        mutating func fraction() -> Int64? {
            guard take(".") else { return 0 }
            var scale: Int64 = 100
            var value: Int64 = 0
            guard let first = digit() else { return nil }
            value += first * scale
            while let digit = digit() {
                scale /= 10
                value += digit * scale
            }
            return value
        }

        mutating func offsetMinutes() -> Int64? {
            if take("Z", "z") { return 0 }
            let sign: Int64 = take("-") ? -1 : 1
            if sign == 1, !take("+") { return nil }
            guard let hours = digits(2), take(":"), let minutes = digits(2), hours <= 23,
                minutes <= 59
            else { return nil }
            return sign * (hours * 60 + minutes)
        }
    }
}

/// Days and dates of the proleptic Gregorian calendar.
enum CivilDate {
    /// Days from 0000-03-01 to 1970-01-01.
    private static let daysToEpoch: Int64 = 719_468
    private static let daysInEra: Int64 = 146_097

    // Years begin on 1 March, so that the leap day is the last one of its year; an era is 400 years.
    static func date(daysSinceEpoch: Int64) -> (year: Int64, month: Int64, day: Int64) {
        let days = daysSinceEpoch + daysToEpoch
        let era = days.floorDivided(by: daysInEra)
        let dayOfEra = days - era * daysInEra
        let yearOfEra =
            (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let shiftedMonth = (5 * dayOfYear + 2) / 153
        let day = dayOfYear - (153 * shiftedMonth + 2) / 5 + 1
        let month = shiftedMonth < 10 ? shiftedMonth + 3 : shiftedMonth - 9
        return (yearOfEra + era * 400 + (month <= 2 ? 1 : 0), month, day)
    }

    static func daysSinceEpoch(year: Int64, month: Int64, day: Int64) -> Int64 {
        let shiftedYear = month <= 2 ? year - 1 : year
        let era = shiftedYear.floorDivided(by: 400)
        let yearOfEra = shiftedYear - era * 400
        let shiftedMonth = month > 2 ? month - 3 : month + 9
        let dayOfYear = (153 * shiftedMonth + 2) / 5 + day - 1
        let dayOfEra = yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear
        return era * daysInEra + dayOfEra - daysToEpoch
    }

    static func days(inMonth month: Int64, year: Int64) -> Int64 {
        switch month {
        case 4, 6, 9, 11: 30
        case 2: year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) ? 29 : 28
        default: 31
        }
    }
}

extension Int64 {
    /// Division that rounds towards minus infinity; `divisor` is positive.
    fileprivate func floorDivided(by divisor: Int64) -> Int64 {
        let (quotient, remainder) = quotientAndRemainder(dividingBy: divisor)
        return remainder < 0 ? quotient - 1 : quotient
    }

    fileprivate func padded(_ width: Int) -> String {
        let digits = String(self)
        return String(repeating: "0", count: Swift.max(0, width - digits.count)) + digits
    }
}
