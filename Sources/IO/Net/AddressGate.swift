import MQTT

/// Counts connections by the address that they come from, and how fast they come.
///
/// An IPv4 address counts alone, an IPv6 one with its whole network (`SocketAddress.network`). A network that
/// has no connection and has not come too fast is forgotten, so that the table is as large as what is there.
public struct AddressGate: Sendable {
    /// What one network may do; `nil`: as it likes.
    public struct Limits: Hashable, Sendable {
        /// Connections at one time.
        public var connections: Int?
        /// Connections a second, in the long run.
        public var rate: Int?
        /// Seconds of that rate that may come at once, after as long a rest.
        public var burstSeconds = 10

        public init(connections: Int? = nil, rate: Int? = nil) {
            self.connections = connections
            self.rate = rate
        }
    }

    public enum Verdict: Hashable, Sendable {
        case admitted
        /// As many as may be are open.
        case tooMany
        /// They come too fast.
        case tooFast
    }

    private struct Entry {
        var connections = 0
        /// When the network will have paid for all connections that it opened, at its rate.
        var paidAt = MonotonicTime.zero
    }

    /// Networks without connections that are remembered for their rate; above, all of them are forgiven.
    static let maximumIdle = 65_536

    public var limits: Limits
    /// What holds for addresses of this machine itself.
    public var loopbackLimits: Limits
    private var entries: [SocketAddress: Entry] = [:]
    private var idleCount = 0
    /// When `idleCount` reaches it, those whose time is over are forgotten.
    private var nextSweep = 1_024

    public init(_ limits: Limits, loopback: Limits) {
        self.limits = limits
        loopbackLimits = loopback
    }

    /// How many networks are remembered.
    public var count: Int { entries.count }

    /// A connection comes. If it is admitted, `leave` must follow when it ends.
    public mutating func admit(_ peer: SocketAddress, at now: MonotonicTime) -> Verdict {
        let limits = limits(for: peer)
        let network = peer.network
        let known = entries[network]
        var entry = known ?? Entry()
        if let most = limits.connections, entry.connections >= most { return .tooMany }
        if let rate = limits.rate {
            let price = Duration.nanoseconds(1_000_000_000 / Int64(max(1, rate)))
            let credit = Duration.seconds(limits.burstSeconds)
            let paidAt = max(entry.paidAt, now)
            guard paidAt + price - now <= credit else { return .tooFast }
            entry.paidAt = paidAt + price
        }
        if known != nil && entry.connections == 0 { idleCount -= 1 }
        entry.connections += 1
        entries[network] = entry
        return .admitted
    }

    /// A connection that was admitted has ended.
    public mutating func leave(_ peer: SocketAddress, at now: MonotonicTime) {
        let network = peer.network
        guard var entry = entries[network], entry.connections > 0 else { return }
        entry.connections -= 1
        if entry.connections == 0 && entry.paidAt <= now {
            entries[network] = nil
        } else {
            entries[network] = entry
            if entry.connections == 0 { noteIdle(now) }
        }
    }

    private func limits(for peer: SocketAddress) -> Limits {
        peer.isLoopback ? loopbackLimits : limits
    }

    private mutating func noteIdle(_ now: MonotonicTime) {
        idleCount += 1
        guard idleCount >= nextSweep else { return }
        entries = entries.filter { $0.value.connections > 0 || $0.value.paidAt > now }
        idleCount = entries.count { $0.value.connections == 0 }
        if idleCount >= Self.maximumIdle {
            entries = entries.filter { $0.value.connections > 0 }
            idleCount = 0
        }
        nextSweep = max(1_024, 2 * idleCount)
    }
}
