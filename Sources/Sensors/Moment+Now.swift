public import AgentCore
import IO
import MQTT

extension Moment {
    /// The machine's clocks now; callable on any thread.
    public static func now() -> Moment {
        Moment(
            monotonic: SystemClock.monotonic(), unixMilliseconds: SystemClock.unixMilliseconds())
    }

    /// The same point on both clocks, `duration` ago.
    func before(_ duration: Duration) -> Moment {
        let (seconds, attoseconds) = duration.components
        let milliseconds = seconds * 1000 + attoseconds / 1_000_000_000_000_000
        return Moment(
            monotonic: monotonic + (.zero - duration),
            unixMilliseconds: unixMilliseconds - milliseconds)
    }
}
