import MQTT

/// Messages of shared subscriptions, which go to another member when their session ends.
extension BrokerShard {
    /// Tells messages which group they are of, once the members of all groups are there: a session may have left
    /// its own, and then only others know it.
    mutating func restoreShares() {
        var groups: [UInt32: [UInt64: UInt32]] = [:]
        for (s, position, filter) in restored?.shared ?? [] {
            let number = board.withShares { shares in
                shares.group(of: filter).map { shares.number(of: $0) }
            }
            if let number { groups[s, default: [:]][position] = number }
        }
        restored?.forgetShared()
        for s in groups.keys.sorted() { restoreShares(s, groups[s] ?? [:]) }
    }

    private mutating func restoreShares(_ s: UInt32, _ groups: [UInt64: UInt32]) {
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
