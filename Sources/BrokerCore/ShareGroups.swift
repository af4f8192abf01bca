import MQTT

/// The groups of shared subscriptions (5.0, 4.8.2): for each share name and filter, the sessions that
/// share what matches the filter.
///
/// A message goes to one member, and finding it takes the same time in a group of ten thousand: members
/// that are connected stand before the others, and a cursor goes round among them. Topics are matched
/// against the groups' filters apart from the ordinary ones, so that a broker without groups pays one
/// comparison a message.
///
/// All shards have the same ones (`ShardBoard.withShares`): the shard of a publisher picks the member, whatever
/// shard that is in.
struct ShareGroups: Sendable {
    /// A session of one of the shards.
    struct MemberID: Hashable, Sendable {
        var shard: UInt16
        var session: UInt32
    }

    /// A session in a group.
    struct Member: Sendable {
        var id: MemberID
        /// How it subscribed.
        var bits: SubscriptionBits
        /// It outlives its connections: what it gets is kept.
        var isKept = false
        /// What it may read, where that is less than its filter asks for.
        var rights: Rights?
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
        var member: MemberID
    }

    /// The groups' filters. A subscriber there is the index of a group here.
    private(set) var tree: SubscriptionTree
    private var groups: [Group] = []
    private var vacant: [UInt32] = []
    private var byFilter: [[UInt8]: UInt32] = [:]
    private var byNumber: [UInt32: UInt32] = [:]
    /// Where in its group a session stands.
    private var positions: [Place: Int] = [:]
    private var byMember: [MemberID: Memberships] = [:]
    private var lastNumber: UInt32 = 0
    private var countsByShard: [UInt16: Int] = [:]

    init(seed: UInt64, limits: TopicLimits) {
        tree = SubscriptionTree(seed: seed, limits: limits)
    }

    var isEmpty: Bool { byFilter.isEmpty }

    /// Memberships of all sessions.
    var count: Int { positions.count }

    /// Memberships of a shard's sessions.
    func count(of shard: Int) -> Int {
        countsByShard[UInt16(truncatingIfNeeded: shard)] ?? 0
    }

    func filterCount(of member: MemberID) -> Int { byMember[member]?.groups.count ?? 0 }

    func wildcardFilterCount(of member: MemberID) -> Int {
        byMember[member]?.wildcardFilters ?? 0
    }

    /// The groups of a session, in the order of joining.
    func groups(of member: MemberID) -> [UInt32] { byMember[member]?.groups ?? [] }

    /// The filters of a session, with `$share/{name}/`, in the order of joining.
    func filters(of member: MemberID) -> [TopicFilter] {
        groups(of: member).map { groups[Int($0)].filter }
    }

    /// The session's membership; `nil` where it is not in the group.
    func membership(_ filter: TopicFilter, _ member: MemberID) -> Member? {
        guard let group = byFilter[filter.bytes],
            let position = positions[Place(group: group, member: member)]
        else { return nil }
        return groups[Int(group)].members[position]
    }
}

// MARK: - Who is in

extension ShareGroups {
    /// Whether a session is in the group of that number.
    func holds(_ member: MemberID, number: UInt32) -> Bool {
        byNumber[number].map { positions[Place(group: $0, member: member)] != nil } ?? false
    }

    /// Adds a session to a group, or changes its options there; false where the filter is not taken.
    mutating func join(
        _ filter: TopicFilter, _ member: Member, isConnected: Bool
    ) -> Bool {
        guard let group = byFilter[filter.bytes] ?? makeGroup(filter) else { return false }
        let place = Place(group: group, member: member.id)
        if let position = positions[place] {
            groups[Int(group)].members[position] = member
            return true
        }
        positions[place] = groups[Int(group)].members.count
        groups[Int(group)].members.append(member)
        countsByShard[member.id.shard, default: 0] += 1
        byMember[member.id, default: Memberships()].groups.append(group)
        if filter.hasWildcard {
            byMember[member.id, default: Memberships()].wildcardFilters += 1
        }
        if isConnected { setConnected(member.id, true, in: group) }
        return true
    }

    /// Takes a session out of a group; false where it is not in it.
    mutating func leave(_ filter: TopicFilter, member: MemberID) -> Bool {
        guard let group = byFilter[filter.bytes],
            positions[Place(group: group, member: member)] != nil
        else { return false }
        remove(member, from: group)
        byMember[member]?.groups.removeAll { $0 == group }
        if filter.hasWildcard { byMember[member]?.wildcardFilters -= 1 }
        if filterCount(of: member) == 0 { byMember[member] = nil }
        return true
    }

    /// Takes a session out of all its groups.
    mutating func leaveAll(_ member: MemberID) {
        guard let left = byMember.removeValue(forKey: member) else { return }
        for group in left.groups { remove(member, from: group) }
    }

    /// The session's client has come or gone.
    mutating func setConnected(_ member: MemberID, _ isConnected: Bool) {
        for group in groups(of: member) { setConnected(member, isConnected, in: group) }
    }

    private mutating func setConnected(_ member: MemberID, _ isConnected: Bool, in group: UInt32) {
        guard let position = positions[Place(group: group, member: member)] else { return }
        let connected = groups[Int(group)].connected
        guard (position < connected) != isConnected else { return }
        let border = isConnected ? connected : connected - 1
        swapMembers(position, border, in: group)
        groups[Int(group)].connected = isConnected ? connected + 1 : border
    }

    private mutating func swapMembers(_ left: Int, _ right: Int, in group: UInt32) {
        groups[Int(group)].members.swapAt(left, right)
        for position in [left, right] {
            let member = groups[Int(group)].members[position].id
            positions[Place(group: group, member: member)] = position
        }
    }

    private mutating func remove(_ member: MemberID, from group: UInt32) {
        setConnected(member, false, in: group)
        let last = groups[Int(group)].members.count - 1
        guard let position = positions[Place(group: group, member: member)] else { return }
        swapMembers(position, last, in: group)
        groups[Int(group)].members.removeLast()
        countsByShard[member.shard, default: 0] -= 1
        positions[Place(group: group, member: member)] = nil
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

    /// With `$share/{name}/`.
    func filter(of group: UInt32) -> TopicFilter { groups[Int(group)].filter }

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
    func awayMembers(_ group: UInt32) -> [MemberID] {
        groups[Int(group)].members[groups[Int(group)].connected...].map(\.id)
    }
}

extension ShareGroups {
    /// Traps when the groups contradict themselves.
    ///
    /// - Parameter isConnected: `nil` for a session of a shard that is not looked at.
    func checkInvariants(isConnected: (MemberID) -> Bool?) {
        tree.checkInvariants()
        precondition(byFilter.count == byNumber.count && tree.count == byFilter.count)
        precondition(byFilter.count + vacant.count == groups.count, "a group is lost")
        var memberships = 0
        for (index, group) in groups.enumerated() where group.number != 0 {
            precondition(byFilter[group.filter.bytes] == UInt32(index), "a group cannot be found")
            precondition(!group.members.isEmpty, "a group without members")
            memberships += group.members.count
            for (position, member) in group.members.enumerated() {
                let place = Place(group: UInt32(index), member: member.id)
                precondition(positions[place] == position, "a member cannot be found")
                if let isConnected = isConnected(member.id) {
                    precondition(
                        isConnected == (position < group.connected),
                        "a group is wrong about who is connected")
                }
                precondition(groups(of: member.id).contains(UInt32(index)))
            }
        }
        precondition(memberships == positions.count, "a membership is lost")
        precondition(
            countsByShard.values.reduce(0, +) == memberships, "memberships are miscounted")
    }
}
