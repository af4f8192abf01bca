/// Decides when a client sends PINGREQ and when it gives a silent connection up.
///
/// A PINGREQ is due when nothing was sent for the interval [MQTT-3.1.2-20], and also when nothing was
/// received for it: a client that publishes all the time into a dead link would otherwise never ask.
/// After a PINGREQ, `responseTimeout` without a single byte from the peer ends the connection, so a
/// black hole is detected within interval + responseTimeout. The server's side of the rule is
/// `serverDeadline`.
public struct KeepAlive: Sendable {
    /// What to do now.
    public enum Action: Equatable, Sendable {
        case nothing
        case sendPing
        case giveUp
    }

    private let interval: Duration
    private let responseTimeout: Duration
    private var lastSent: MonotonicTime
    private var lastReceived: MonotonicTime
    private var pingSent: MonotonicTime?

    /// A connection that was opened at `now`; an interval of 0 seconds turns it off
    /// (3.1.2.10), and then `deadline` is `nil`.
    public init(intervalSeconds: UInt16, responseTimeout: Duration, now: MonotonicTime) {
        interval = .seconds(Int(intervalSeconds))
        self.responseTimeout = responseTimeout
        lastSent = now
        lastReceived = now
    }

    /// Something was sent.
    public mutating func sent(at now: MonotonicTime) { lastSent = now }

    /// Something was received: the peer lives, whatever it said.
    public mutating func received(at now: MonotonicTime) {
        lastReceived = now
        pingSent = nil
    }

    /// When `poll` has something to do at the latest; `nil` when turned off.
    public var deadline: MonotonicTime? {
        guard interval > .zero else { return nil }
        if let pingSent { return pingSent + responseTimeout }
        return min(lastSent, lastReceived) + interval
    }

    /// What is due at `now`; a ping counts as sent when `sendPing` is returned.
    public mutating func poll(at now: MonotonicTime) -> Action {
        guard let deadline, deadline <= now else { return .nothing }
        guard pingSent == nil else { return .giveUp }
        pingSent = now
        lastSent = now
        return .sendPing
    }

    /// When a server closes a connection that stays silent: one and a half times the keep-alive
    /// after the last packet [MQTT-3.1.2-22]; `nil` for a keep-alive of 0.
    public static func serverDeadline(
        keepAliveSeconds: UInt16, lastReceived: MonotonicTime
    ) -> MonotonicTime? {
        guard keepAliveSeconds > 0 else { return nil }
        return lastReceived + .milliseconds(Int(keepAliveSeconds) * 1500)
    }
}
