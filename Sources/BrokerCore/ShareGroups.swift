import MQTT

/// The groups of shared subscriptions (5.0, 4.8.2): for each share name and filter, the sessions that
/// share what matches the filter.
///
/// A message goes to one member, and finding it takes the same time in a group of ten thousand: members
/// that are connected stand before the others, and a cursor goes round among them. Topics are matched
/// against the groups' filters apart from the ordinary ones, so that a broker without groups pays one
/// comparison a message.
///
/// They belong to one shard. With several, a group's members would have to be known to the shard of each
/// publisher, which then picks one of them.
struct ShareGroups {
    /// A session in a group.
    struct Member {
        var session: UInt32
        /// How it subscribed.
        var bits: SubscriptionBits
    }

    private struct Group {
        /// Never given twice, so that a message which outlived its group finds none; 0 in a vacant place.
        var number: UInt32
        /// `$share/{name}/{filter}`.
        var filter: TopicFilter
        /// Those that are connected first.
        var members: [Member] = []
        var connected = 0
        /// Who is next in turn.
        var cursor = 0
    }

    /// The groups of a session, in the order of joining.
    private struct Memberships {
        var groups: [UInt32] = []
        var wildcardFilters = 0
    }

    private struct Place: Hashable {
        var group: UInt32
        var session: UInt32
    }

    /// The groups' filters. A subscriber there is the index of a group here.
    private(set) var tree: SubscriptionTree
    private var groups: [Group] = []
    private var vacant: [UInt32] = []
    private var byFilter: [[UInt8]: UInt32] = [:]
    private var byNumber: [UInt32: UInt32] = [:]
    /// Where in its group a session stands.
    private var positions: [Place: Int] = [:]
    private var bySession: [UInt32: Memberships] = [:]
    private var lastNumber: UInt32 = 0

    init(seed: UInt64, limits: TopicLimits) {
        tree = SubscriptionTree(seed: seed, limits: limits)
    }

    var isEmpty: Bool { byFilter.isEmpty }

    /// Memberships of all sessions.
    var count: Int { positions.count }

    func filterCount(of session: UInt32) -> Int { bySession[session]?.groups.count ?? 0 }

    func wildcardFilterCount(of session: UInt32) -> Int {
        bySession[session]?.wildcardFilters ?? 0
    }

    /// The groups of a session, in the order of joining.
    func groups(of session: UInt32) -> [UInt32] { bySession[session]?.groups ?? [] }

    /// The filters of a session, with `$share/{name}/`, in the order of joining.
    func filters(of session: UInt32) -> [TopicFilter] {
        groups(of: session).map { groups[Int($0)].filter }
    }

    /// The session's membership; `nil` where it is not in the group.
    func member(_ filter: TopicFilter, session: UInt32) -> Member? {
        guard let group = byFilter[filter.bytes],
            let position = positions[Place(group: group, session: session)]
        else { return nil }
        return groups[Int(group)].members[position]
    }
}

// MARK: - Who is in

extension ShareGroups {
    /// Adds a session to a group, or changes its options there; false where the filter is not taken.
    mutating func join(
        _ filter: TopicFilter, _ member: Member, isConnected: Bool
    ) -> Bool {
        guard let group = byFilter[filter.bytes] ?? makeGroup(filter) else { return false }
        let place = Place(group: group, session: member.session)
        if let position = positions[place] {
            groups[Int(group)].members[position].bits = member.bits
            return true
        }
        positions[place] = groups[Int(group)].members.count
        groups[Int(group)].members.append(member)
        bySession[member.session, default: Memberships()].groups.append(group)
        if filter.hasWildcard {
            bySession[member.session, default: Memberships()].wildcardFilters += 1
        }
        if isConnected { setConnected(member.session, true, in: group) }
        return true
    }

    /// Takes a session out of a group; false where it is not in it.
    mutating func leave(_ filter: TopicFilter, session: UInt32) -> Bool {
        guard let group = byFilter[filter.bytes],
            positions[Place(group: group, session: session)] != nil
        else { return false }
        remove(session, from: group)
        bySession[session]?.groups.removeAll { $0 == group }
        if filter.hasWildcard { bySession[session]?.wildcardFilters -= 1 }
        if filterCount(of: session) == 0 { bySession[session] = nil }
        return true
    }

    /// Takes a session out of all its groups.
    mutating func leaveAll(_ session: UInt32) {
        guard let left = bySession.removeValue(forKey: session) else { return }
        for group in left.groups { remove(session, from: group) }
    }

    /// The session's client has come or gone.
    mutating func setConnected(_ session: UInt32, _ isConnected: Bool) {
        for group in groups(of: session) { setConnected(session, isConnected, in: group) }
    }

    private mutating func setConnected(_ session: UInt32, _ isConnected: Bool, in group: UInt32) {
        guard let position = positions[Place(group: group, session: session)] else { return }
        let connected = groups[Int(group)].connected
        guard (position < connected) != isConnected else { return }
        let border = isConnected ? connected : connected - 1
        swapMembers(position, border, in: group)
        groups[Int(group)].connected = isConnected ? connected + 1 : border
    }

    private mutating func swapMembers(_ left: Int, _ right: Int, in group: UInt32) {
        groups[Int(group)].members.swapAt(left, right)
        for position in [left, right] {
            let session = groups[Int(group)].members[position].session
            positions[Place(group: group, session: session)] = position
        }
    }

    private mutating func remove(_ session: UInt32, from group: UInt32) {
        setConnected(session, false, in: group)
        let last = groups[Int(group)].members.count - 1
        guard let position = positions[Place(group: group, session: session)] else { return }
        swapMembers(position, last, in: group)
        groups[Int(group)].members.removeLast()
        positions[Place(group: group, session: session)] = nil
        if last == 0 { endGroup(group) }
    }

    /// A new group; `nil` where the tree does not take its filter.
    private mutating func makeGroup(_ filter: TopicFilter) -> UInt32? {
        let group = vacant.last ?? UInt32(groups.count)
        guard tree.insert(filter, subscriber: group, options: 0) == .added else { return nil }
        repeat { lastNumber &+= 1 } while lastNumber == 0 || byNumber[lastNumber] != nil
        let made = Group(number: lastNumber, filter: filter)
        if vacant.popLast() == nil {
            groups.append(made)
        } else {
            groups[Int(group)] = made
        }
        byFilter[filter.bytes] = group
        byNumber[made.number] = group
        return group
    }

    private mutating func endGroup(_ group: UInt32) {
        let ended = groups[Int(group)]
        _ = tree.remove(ended.filter, subscriber: group)
        byFilter[ended.filter.bytes] = nil
        byNumber[ended.number] = nil
        groups[Int(group)].number = 0
        vacant.append(group)
    }
}

// MARK: - Who is next

extension ShareGroups {
    /// The group's number, which its messages carry.
    func number(of group: UInt32) -> UInt32 { groups[Int(group)].number }

    /// The group of that number; `nil` once it has ended.
    func group(numbered number: UInt32) -> UInt32? { byNumber[number] }

    /// The filter of the group of that number, with `$share/{name}/`; `nil` once it has ended.
    func filter(numbered number: UInt32) -> TopicFilter? {
        byNumber[number].map { groups[Int($0)].filter }
    }

    /// The group of a filter with `$share/{name}/`.
    func group(of filter: [UInt8]) -> UInt32? { byFilter[filter] }

    func hasConnectedMember(_ group: UInt32) -> Bool { groups[Int(group)].connected > 0 }

    /// How many members may get the group's next message: those connected, or all where none is.
    func eligibleCount(_ group: UInt32) -> Int {
        let connected = groups[Int(group)].connected
        return connected > 0 ? connected : groups[Int(group)].members.count
    }

    /// The member that is `step` turns away; with 0 the next one.
    func candidate(_ group: UInt32, after step: Int) -> Member {
        let position = (groups[Int(group)].cursor + step) % eligibleCount(group)
        return groups[Int(group)].members[position]
    }

    /// The member that is `step` turns away was chosen: the one behind it is next.
    mutating func advance(_ group: UInt32, past step: Int) {
        groups[Int(group)].cursor = (groups[Int(group)].cursor + step + 1) % eligibleCount(group)
    }

    /// The sessions of a group whose clients are away.
    func awayMembers(_ group: UInt32) -> [UInt32] {
        groups[Int(group)].members[groups[Int(group)].connected...].map(\.session)
    }
}

extension ShareGroups {
    /// Traps when the groups contradict themselves.
    func checkInvariants(isConnected: (UInt32) -> Bool) {
        tree.checkInvariants()
        precondition(byFilter.count == byNumber.count && tree.count == byFilter.count)
        precondition(byFilter.count + vacant.count == groups.count, "a group is lost")
        var memberships = 0
        for (index, group) in groups.enumerated() where group.number != 0 {
            precondition(byFilter[group.filter.bytes] == UInt32(index), "a group cannot be found")
            precondition(!group.members.isEmpty, "a group without members")
            memberships += group.members.count
            for (position, member) in group.members.enumerated() {
                let place = Place(group: UInt32(index), session: member.session)
                precondition(positions[place] == position, "a member cannot be found")
                precondition(
                    isConnected(member.session) == (position < group.connected),
                    "a group is wrong about who is connected")
                precondition(groups(of: member.session).contains(UInt32(index)))
            }
        }
        precondition(memberships == positions.count, "a membership is lost")
    }
}
