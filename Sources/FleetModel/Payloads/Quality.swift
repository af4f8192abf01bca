/// How far a value may be trusted; `good` is left out of payloads.
public enum Quality: String, Hashable, Sendable {
    case good, bad, stale
    /// Made by a simulation, never by a sensor.
    case simulated = "sim"

    /// What a reader of another version does not know is not good.
    init(json: JSONValue?) {
        guard let text = json?.string else {
            self = json == nil ? .good : .bad
            return
        }
        self = Quality(rawValue: text) ?? .bad
    }
}

extension JSONObject {
    mutating func append(_ quality: Quality) {
        if quality != .good { append("q", quality.rawValue) }
    }
}
