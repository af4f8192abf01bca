/// Moving averages over 1, 5 and 15 minutes of how fast counters grow, per minute, as Mosquitto's are.
struct LoadAverages {
    static let windows: [(name: String, seconds: Double)] = [
        ("1min", 60), ("5min", 300), ("15min", 900),
    ]

    private var counts: [UInt64] = []
    private(set) var averages: [[Double]] = []

    /// Notes the counters as they are, `seconds` after the last time; the same counters, in one order.
    mutating func note(_ now: [UInt64], after seconds: Double) {
        if counts.count != now.count {
            counts = now
            averages = now.map { _ in Self.windows.map { _ in 0 } }
            return
        }
        guard seconds > 0 else { return }
        let factors = Self.windows.map { Self.decay(seconds / $0.seconds) }
        for index in now.indices {
            let grown = now[index] >= counts[index] ? now[index] - counts[index] : 0
            let rate = Double(grown) * 60 / seconds
            for (window, factor) in factors.enumerated() {
                averages[index][window] = rate + factor * (averages[index][window] - rate)
            }
        }
        counts = now
    }

    /// e to the power of -x, for x from 0 on: a series for a small part of it, squared up again. The
    /// function of the C library would link its mathematics, which nothing else here needs.
    static func decay(_ x: Double) -> Double {
        guard x < 700 else { return 0 }
        var part = x
        var squarings = 0
        while part > 0.125 {
            part /= 2
            squarings += 1
        }
        var sum = 1.0
        var term = 1.0
        for step in 1...10 {
            term *= -part / Double(step)
            sum += term
        }
        for _ in 0..<squarings { sum *= sum }
        return sum
    }

    /// `12.34`
    static func text(_ value: Double) -> String {
        guard value.isFinite, value >= 0, value < 9e15 else { return "0.00" }
        let hundredths = Int64(value * 100 + 0.5)
        let rest = hundredths % 100
        return "\(hundredths / 100).\(rest < 10 ? "0" : "")\(rest)"
    }
}
