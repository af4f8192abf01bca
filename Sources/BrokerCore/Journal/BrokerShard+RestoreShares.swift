import MQTT

/// Messages of shared subscriptions, which go to another member when their session ends.
extension BrokerShard {
    /// Tells a session's messages which group they are of, once the members of all groups are there: it may have
    /// left its own, and then only others know it.
    mutating func restoreShares(_ s: UInt32, _ kept: RecoveredState.Session) {
        var groups: [UInt64: UInt32] = [:]
        for (position, entry) in kept.entries {
            guard let share = entry.share, let group = shares.group(of: share) else { continue }
            groups[position] = shares.number(of: group)
        }
        guard !groups.isEmpty else { return }
        sessions[s].hasSharedMessages = true
        for index in 0..<sessions[s].queue.count {
            guard let group = groups[sessions[s].queue[index].position] else { continue }
            sessions[s].queue[index].options.group = group
        }
        var inFlight = sessions[s].window.kept()
        for index in inFlight.indices {
            guard let group = groups[inFlight[index].payload.position] else { continue }
            inFlight[index].payload.options.group = group
        }
        sessions[s].window = InFlightWindow(
            restoring: inFlight, maximumSpan: Session.maximumSpan)
    }
}

extension RecoveredState.Session {
    var hasSharedMessages: Bool { entries.values.contains { $0.share != nil } }
}
