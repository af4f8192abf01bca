/// What came of reading a sensor: a number, or why there is none.
public enum Reading: Hashable, Sendable {
    case value(Double)
    case failed(why: String)

    /// The reading held against the sensor's range; what is no number is never passed on.
    func checked(minimum: Double?, maximum: Double?) -> Reading {
        guard case .value(let value) = self else { return self }
        guard value.isFinite else { return .failed(why: "not a number") }
        if let minimum, value < minimum { return .failed(why: "\(value) is below \(minimum)") }
        if let maximum, value > maximum { return .failed(why: "\(value) is above \(maximum)") }
        return self
    }
}
