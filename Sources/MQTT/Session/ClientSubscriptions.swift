/// What the application has asked to be subscribed to, and what is still to be said to the server.
struct ClientSubscriptions: Sendable {
    /// The filters of one call of `subscribe`; they go in one packet.
    struct Group: Sendable {
        let id: UInt64
        let token: UInt64
        var items: [SubscriptionRequestItem]
        var progress: Progress
    }

    /// The filters of one call of `unsubscribe`.
    struct Removal: Sendable {
        let id: UInt64
        let token: UInt64
        let filters: [[UInt8]]
        var progress: Progress
    }

    enum Progress: Sendable {
        case due
        case sent
        /// Answered, and so part of the server's session.
        case done
    }

    private(set) var groups: [Group] = []
    private(set) var removals: [Removal] = []
    private var lastID: UInt64 = 0

    /// Whether nothing is left to be sent.
    var isSettled: Bool {
        removals.allSatisfy { $0.progress != .due } && groups.allSatisfy { $0.progress != .due }
    }

    /// A filter that is asked for again replaces the earlier request [MQTT-3.8.4-3].
    mutating func add(_ items: [SubscriptionRequestItem], token: UInt64) {
        forget(items.map(\.filter))
        lastID += 1
        groups.append(Group(id: lastID, token: token, items: items, progress: .due))
    }

    mutating func remove(_ filters: [[UInt8]], token: UInt64) {
        forget(filters)
        lastID += 1
        removals.append(Removal(id: lastID, token: token, filters: filters, progress: .due))
    }

    /// The connection is gone: what was not answered is asked again.
    mutating func connectionClosed() {
        for index in groups.indices where groups[index].progress == .sent {
            groups[index].progress = .due
        }
        for index in removals.indices where removals[index].progress == .sent {
            removals[index].progress = .due
        }
    }

    /// The server has no session: all is asked again, and nothing is left to be removed.
    mutating func sessionLost() -> [Removal] {
        for index in groups.indices { groups[index].progress = .due }
        defer { removals = [] }
        return removals
    }

    mutating func setGroup(_ id: UInt64, _ progress: Progress) {
        guard let index = groups.firstIndex(where: { $0.id == id }) else { return }
        groups[index].progress = progress
    }

    mutating func setRemoval(_ id: UInt64, _ progress: Progress) {
        guard let index = removals.firstIndex(where: { $0.id == id }) else { return }
        if progress == .done {
            removals.remove(at: index)
        } else {
            removals[index].progress = progress
        }
    }

    private mutating func forget(_ filters: [[UInt8]]) {
        for index in groups.indices {
            groups[index].items.removeAll { filters.contains($0.filter) }
        }
        groups.removeAll { $0.items.isEmpty }
    }
}
