import BrokerCore
import Daemon
import IO
import MQTT
import Synchronization
import TLS

/// What one listener asks of its connections, and how many it has.
///
/// They hold on to it and not to the listening socket: a listener that a reload removed is closed at once,
/// and its connections stay.
final class ListenerTerms {
    private(set) var settings: ListenerSettings
    private(set) var rules: AccessRules
    /// `nil` without TLS.
    private(set) var context: TLSContext?
    private let gate: SharedGate
    private let count = Atomic(0)
    private let refused = Atomic<UInt64>(0)

    /// Connections that it has.
    var connectionCount: Int { count.load(ordering: .relaxed) }
    /// Connections that one of its limits kept out.
    var refusedCount: UInt64 { refused.load(ordering: .relaxed) }

    init(
        _ settings: ListenerSettings, _ rules: AccessRules, gate: SharedGate
    ) throws(DaemonError) {
        self.settings = settings
        self.rules = rules
        self.gate = gate
        context = try Self.makeContext(settings)
    }

    /// Reads certificate and key; again at each reload.
    static func makeContext(_ settings: ListenerSettings) throws(DaemonError) -> TLSContext? {
        guard let tls = settings.tls else { return nil }
        do throws(TLSError) {
            return try TLSContext(server: tls)
        } catch {
            throw DaemonError(.configuration, "\(error)")
        }
    }

    /// For the connections that come from now on.
    func change(_ settings: ListenerSettings, _ rules: AccessRules, _ context: TLSContext?) {
        self.settings = settings
        self.rules = rules
        self.context = context
    }

    // MARK: Counting

    /// The limit that a connection from `peer` would exceed; `nil` counts it, until `leave`.
    ///
    /// Behind a proxy its address is not known yet, and is counted by `admitClient`.
    func admit(_ peer: SocketAddress, at now: MonotonicTime) -> String? {
        let limit = exceededLimit(peer, at: now)
        if limit != nil {
            refused.add(1, ordering: .relaxed)
        } else {
            count.add(1, ordering: .relaxed)
        }
        return limit
    }

    private func exceededLimit(_ peer: SocketAddress, at now: MonotonicTime) -> String? {
        if let most = settings.maximumConnections, count.load(ordering: .relaxed) >= most {
            return "listener.connections"
        }
        if let proxies = settings.proxies {
            guard settings.isUnix || proxies.contains(where: { $0.contains(peer) }) else {
                return "listener.proxy_from"
            }
        } else if let limit = admitClient(peer, at: now) {
            return limit
        }
        return nil
    }

    /// The same for the address of a client alone.
    func admitClient(_ peer: SocketAddress, at now: MonotonicTime) -> String? {
        switch gate.admit(peer, at: now) {
        case .admitted: nil
        case .tooMany: "limits.connections_per_address"
        case .tooFast: "limits.connect_rate"
        }
    }

    /// A connection that was admitted has ended; `client` is the address that was counted.
    func leave(_ client: SocketAddress?, at now: MonotonicTime) {
        count.subtract(1, ordering: .relaxed)
        if let client { gate.leave(client, at: now) }
    }
}

/// The one gate that all listeners and loops share.
final class SharedGate: Sendable {
    private let gate: Mutex<AddressGate>

    init(_ gate: AddressGate) { self.gate = Mutex(gate) }

    func admit(_ peer: SocketAddress, at now: MonotonicTime) -> AddressGate.Verdict {
        gate.withLock { $0.admit(peer, at: now) }
    }

    func leave(_ peer: SocketAddress, at now: MonotonicTime) {
        gate.withLock { $0.leave(peer, at: now) }
    }

    /// For the connections that come from now on.
    func change(_ limits: AddressGate.Limits, loopback: AddressGate.Limits) {
        gate.withLock {
            $0.limits = limits
            $0.loopbackLimits = loopback
        }
    }
}
