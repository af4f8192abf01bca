/// When something was taken: by the clock, or, before the clock was ever set, by the time since boot.
public enum TakenAt: Hashable, Sendable {
    /// `t`: civil time.
    case clock(Timestamp)
    /// `up`: milliseconds of CLOCK_BOOTTIME (clock_gettime(2)) within the boot `b`.
    case uptime(milliseconds: Int64)

    /// Reads `t`, else `up`; `nil` where neither can be read.
    init?(json: JSONValue) {
        if let time = json["t"]?.string.flatMap({ Timestamp($0) }) {
            self = .clock(time)
        } else if let milliseconds = json["up"]?.integer {
            self = .uptime(milliseconds: milliseconds)
        } else {
            return nil
        }
    }

    /// The civil time, where it is known.
    public var timestamp: Timestamp? {
        if case .clock(let time) = self { time } else { nil }
    }
}

extension JSONObject {
    mutating func append(_ taken: TakenAt?) {
        switch taken {
        case .clock(let time)?: append("t", time.description)
        case .uptime(let milliseconds)?: append("up", .integer(milliseconds))
        case nil: break
        }
    }
}
