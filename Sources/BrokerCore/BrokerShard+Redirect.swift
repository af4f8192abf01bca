import MQTT

/// Another server that clients are sent to (5.0, 4.11).
public struct Redirection: Sendable, Equatable {
    /// References to servers, with spaces between them (3.2.2.3.16).
    public var servers: [UInt8]
    /// Whether clients are to go there from now on (0x9D), or for now (0x9C).
    public var isPermanent: Bool
    /// Only those who come through these listeners are sent away; empty: everybody.
    public var listeners: Set<String>

    public init(servers: [UInt8], isPermanent: Bool = false, listeners: Set<String> = []) {
        self.servers = servers
        self.isPermanent = isPermanent
        self.listeners = listeners
    }

    var reason: ReasonCode { isPermanent ? .serverMoved : .useAnotherServer }

    func concerns(_ rules: AccessRules) -> Bool {
        listeners.isEmpty || listeners.contains(rules.listener)
    }
}

extension BrokerShard {
    /// Whether CONNECT was answered with another server; before 5.0 that is "server unavailable".
    ///
    /// That comes before any check: users may have moved already. The session is left as it is.
    mutating func redirects(_ c: UInt32, _ now: MonotonicTime) -> Bool {
        guard let redirection = configuration.redirection,
            redirection.concerns(connections[c].rules.value)
        else { return false }
        let cause = DisconnectCause.redirected(redirection.reason)
        refuse(c, redirection.reason, cause, cause.description, server: redirection.servers, now)
        return true
    }

    /// Sends those who are connected away; their sessions and wills go the way of every connection that
    /// the server ends.
    mutating func redirectConnected(_ now: MonotonicTime) {
        guard let redirection = configuration.redirection else { return }
        let cause = DisconnectCause.redirected(redirection.reason)
        for c in 0..<connections.slotCount where connections.isOccupied(c) {
            guard connections[c].phase == .connected,
                redirection.concerns(connections[c].rules.value)
            else { continue }
            sendDisconnect(c, redirection.reason, cause.description, server: redirection.servers)
            end(c, cause, now)
        }
    }
}
