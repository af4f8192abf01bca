/// Who asks for which topics.
///
/// A trie over levels in flat arrays: a slab of nodes, levels known by number (`LevelTable`), and
/// one table that finds a child by its parent and level; an only child is named by its parent. A
/// match looks only at nodes that the levels of its topic reach, allocates nothing, and does not
/// depend on the number of other subscriptions but for the caches of the machine. A node costs 24
/// bytes and its slot, a subscription 28 bytes and its slot.
///
/// Subscribers are small dense numbers, such as the places of sessions in a slab: memory grows with
/// the largest one.
public struct SubscriptionTree: Sendable {
    /// What became of a subscription.
    public enum Insertion: Hashable, Sendable {
        /// The subscriber did not hold the filter before.
        case added
        /// The subscriber held the filter; its options are now the new ones [MQTT-3.8.4-3].
        case replaced
        /// The subscriber holds `maximumWildcardFilters` already, or the filter has more than
        /// `maximumLevels` or than `deepestLevel`; nothing changed.
        case refused
    }

    /// The most levels of a filter, whatever the limits say: a search keeps its place on each.
    public static let deepestLevel = 64

    static let none = UInt32.max
    static let root: UInt32 = 0

    struct Node {
        var parent: UInt32
        /// The level below `parent`; `LevelTable.none` in the root and in a `+`.
        var level: UInt32
        /// The child that stands for `+`.
        var single = SubscriptionTree.none
        /// The first subscription whose filter ends here.
        var exact = SubscriptionTree.none
        /// The first subscription whose filter goes on with `#` and ends.
        var multi = SubscriptionTree.none
        /// Children with a level of their own.
        var literals = Literals.none

        var isUnused: Bool {
            literals == .none && single == SubscriptionTree.none
                && exact == SubscriptionTree.none && multi == SubscriptionTree.none
        }
    }

    /// The part of a subscription that a match reads.
    struct Subscription {
        var subscriber: UInt32
        var options: UInt32
        /// The next one of the same filter; in the list of free ones the next free one.
        var next: UInt32
    }

    /// The part of a subscription that only changes read.
    struct Membership {
        /// Twice the node, and one more for its `#`. `none` in a free one.
        var list: UInt32
        var previous: UInt32
        var nextOfSubscriber: UInt32
        var previousOfSubscriber: UInt32
    }

    struct Subscriber {
        var first = SubscriptionTree.none
        var filters: UInt32 = 0
        var wildcardFilters: UInt32 = 0
    }

    /// What later insertions are held to; what the tree holds already stays.
    public var limits: TopicLimits
    let hash: TopicHash
    private(set) var interest: OwnInterest?
    var levels: LevelTable
    var nodes = [Node(parent: none, level: none)]
    var children = SlotTable()
    var freeNode = SubscriptionTree.none
    var subscriptions: [Subscription] = []
    var memberships: [Membership] = []
    var byListAndSubscriber = SlotTable()
    var freeSubscription = SubscriptionTree.none
    var subscribers: [Subscriber] = []

    /// An empty tree.
    ///
    /// - Parameter seed: a secret number, so that nobody can choose filters that collide.
    ///   - interest: where other shards see which filters there are; `nil` without other shards.
    public init(
        seed: UInt64, limits: TopicLimits = TopicLimits(), interest: OwnInterest? = nil
    ) {
        self.limits = limits
        self.interest = interest
        hash = TopicHash(seed: seed)
        levels = LevelTable(hash: hash)
    }

    /// Subscriptions held.
    public var count: Int { byListAndSubscriber.count }

    /// Counts what changed: as long as it stays the same, so do the matches of a topic.
    public private(set) var changes: UInt64 = 0

    /// Nodes in use, the root left out.
    public internal(set) var nodeCount = 0

    public func filterCount(of subscriber: UInt32) -> Int {
        Int(subscriber) < subscribers.count ? Int(subscribers[Int(subscriber)].filters) : 0
    }

    public func wildcardFilterCount(of subscriber: UInt32) -> Int {
        Int(subscriber) < subscribers.count ? Int(subscribers[Int(subscriber)].wildcardFilters) : 0
    }

    /// Adds a subscription, or replaces the options of the one with the same filter.
    ///
    /// Of a shared filter only the filter itself counts, without `$share/{name}/`.
    ///
    /// - Parameters:
    ///   - subscriber: a small dense number.
    ///   - options: whatever the caller wants back from a match.
    public mutating func insert(
        _ filter: TopicFilter, subscriber: UInt32, options: UInt32
    ) -> Insertion {
        let known = find(filter, subscriber: subscriber)
        if known != SubscriptionTree.none {
            subscriptions[Int(known)].options = options
            changes &+= 1
            return .replaced
        }
        guard filter.levelCount <= min(limits.maximumLevels, SubscriptionTree.deepestLevel),
            !filter.hasWildcard
                || wildcardFilterCount(of: subscriber) < limits.maximumWildcardFilters
        else { return .refused }
        let list = makeList(filter)
        while subscribers.count <= Int(subscriber) { subscribers.append(Subscriber()) }
        link(takeSubscription(subscriber, options, list), filter.hasWildcard)
        interest?.insert(filter.bytes.span, from: filter.matchStart)
        return .added
    }

    /// Removes a subscription. False where the subscriber does not hold the filter.
    public mutating func remove(_ filter: TopicFilter, subscriber: UInt32) -> Bool {
        let known = find(filter, subscriber: subscriber)
        guard known != SubscriptionTree.none else { return false }
        unlink(known, filter.hasWildcard)
        interest?.remove(filter.bytes.span, from: filter.matchStart)
        return true
    }

    /// Removes every subscription of a subscriber, and says how many there were.
    @discardableResult
    public mutating func removeAll(_ subscriber: UInt32) -> Int {
        guard Int(subscriber) < subscribers.count else { return 0 }
        var removed = 0
        while subscribers[Int(subscriber)].first != SubscriptionTree.none {
            let subscription = subscribers[Int(subscriber)].first
            let list = memberships[Int(subscription)].list
            if interest != nil {
                var filter: [UInt8] = []
                appendFilter(list, to: &filter)
                interest?.remove(filter.span)
            }
            unlink(subscription, hasWildcard(list))
            removed += 1
        }
        return removed
    }

    /// The options of a subscription; nil where the subscriber does not hold the filter.
    public func options(_ filter: TopicFilter, subscriber: UInt32) -> UInt32? {
        let known = find(filter, subscriber: subscriber)
        return known == SubscriptionTree.none ? nil : subscriptions[Int(known)].options
    }

    /// Calls `body` with each filter of a subscriber and its options, the latest first.
    public func forEachFilter(
        of subscriber: UInt32, _ body: (_ filter: Span<UInt8>, _ options: UInt32) -> Void
    ) {
        guard Int(subscriber) < subscribers.count else { return }
        var next = subscribers[Int(subscriber)].first
        var bytes: [UInt8] = []
        while next != SubscriptionTree.none {
            let list = memberships[Int(next)].list
            bytes.removeAll(keepingCapacity: true)
            appendFilter(list, to: &bytes)
            body(bytes.span, subscriptions[Int(next)].options)
            next = memberships[Int(next)].nextOfSubscriber
        }
    }

    /// Bytes of memory that the tree holds.
    public var byteCount: Int {
        nodes.capacity * MemoryLayout<Node>.stride
            + subscriptions.capacity * MemoryLayout<Subscription>.stride
            + memberships.capacity * MemoryLayout<Membership>.stride
            + subscribers.capacity * MemoryLayout<Subscriber>.stride
            + children.byteCount + byListAndSubscriber.byteCount + levels.byteCount
    }
}

// MARK: - Subscriptions

extension SubscriptionTree {
    private func find(_ filter: TopicFilter, subscriber: UInt32) -> UInt32 {
        let list = findList(filter)
        guard list != SubscriptionTree.none else { return SubscriptionTree.none }
        return byListAndSubscriber.find(hash.tag(list, subscriber)) { index in
            memberships[Int(index)].list == list
                && subscriptions[Int(index)].subscriber == subscriber
        }
    }

    private func findList(_ filter: TopicFilter) -> UInt32 {
        let bytes = filter.bytes.span
        var node = SubscriptionTree.root
        var start = filter.matchStart
        while true {
            let key = LevelKey(bytes, from: start, hash: hash)
            if key.length == 1, bytes[start] == TopicSyntax.multiLevel { return node * 2 + 1 }
            if key.length == 1, bytes[start] == TopicSyntax.singleLevel {
                node = nodes[Int(node)].single
            } else {
                let level = levels.find(key, in: bytes)
                node =
                    level == LevelTable.none
                    ? level : child(of: node, nodes[Int(node)].literals, level, tag: key.tag)
            }
            if node == SubscriptionTree.none { return node }
            if key.end == bytes.count { return node * 2 }
            start = key.end + 1
        }
    }

    func firstSubscription(_ list: UInt32) -> UInt32 {
        let node = nodes[Int(list / 2)]
        return list & 1 == 1 ? node.multi : node.exact
    }

    private mutating func setFirstSubscription(_ list: UInt32, _ first: UInt32) {
        if list & 1 == 1 {
            nodes[Int(list / 2)].multi = first
        } else {
            nodes[Int(list / 2)].exact = first
        }
    }

    private mutating func takeSubscription(
        _ subscriber: UInt32, _ options: UInt32, _ list: UInt32
    ) -> UInt32 {
        let subscription = Subscription(
            subscriber: subscriber, options: options, next: firstSubscription(list))
        let membership = Membership(
            list: list, previous: SubscriptionTree.none,
            nextOfSubscriber: subscribers[Int(subscriber)].first,
            previousOfSubscriber: SubscriptionTree.none)
        guard freeSubscription != SubscriptionTree.none else {
            subscriptions.append(subscription)
            memberships.append(membership)
            return UInt32(subscriptions.count - 1)
        }
        let index = freeSubscription
        freeSubscription = subscriptions[Int(index)].next
        subscriptions[Int(index)] = subscription
        memberships[Int(index)] = membership
        return index
    }

    /// Puts a subscription first into the list of its filter and into that of its subscriber.
    private mutating func link(_ index: UInt32, _ hasWildcard: Bool) {
        changes &+= 1
        let subscription = subscriptions[Int(index)]
        let membership = memberships[Int(index)]
        let subscriber = Int(subscription.subscriber)
        if subscription.next != SubscriptionTree.none {
            memberships[Int(subscription.next)].previous = index
        }
        if membership.nextOfSubscriber != SubscriptionTree.none {
            memberships[Int(membership.nextOfSubscriber)].previousOfSubscriber = index
        }
        setFirstSubscription(membership.list, index)
        subscribers[subscriber].first = index
        subscribers[subscriber].filters += 1
        if hasWildcard { subscribers[subscriber].wildcardFilters += 1 }
        byListAndSubscriber.insert(hash.tag(membership.list, subscription.subscriber), index)
    }

    private mutating func unlink(_ index: UInt32, _ hasWildcard: Bool) {
        changes &+= 1
        let subscription = subscriptions[Int(index)]
        let membership = memberships[Int(index)]
        let subscriber = Int(subscription.subscriber)
        byListAndSubscriber.remove(hash.tag(membership.list, subscription.subscriber), index)
        if subscription.next != SubscriptionTree.none {
            memberships[Int(subscription.next)].previous = membership.previous
        }
        if membership.previous == SubscriptionTree.none {
            setFirstSubscription(membership.list, subscription.next)
        } else {
            subscriptions[Int(membership.previous)].next = subscription.next
        }
        if membership.nextOfSubscriber != SubscriptionTree.none {
            memberships[Int(membership.nextOfSubscriber)].previousOfSubscriber =
                membership.previousOfSubscriber
        }
        if membership.previousOfSubscriber == SubscriptionTree.none {
            subscribers[subscriber].first = membership.nextOfSubscriber
        } else {
            memberships[Int(membership.previousOfSubscriber)].nextOfSubscriber =
                membership.nextOfSubscriber
        }
        subscribers[subscriber].filters -= 1
        if hasWildcard { subscribers[subscriber].wildcardFilters -= 1 }
        freeOne(index)
        prune(membership.list / 2)
    }

    private mutating func freeOne(_ index: UInt32) {
        if count == 0 {
            subscriptions = []
            memberships = []
            freeSubscription = SubscriptionTree.none
            return
        }
        memberships[Int(index)].list = SubscriptionTree.none
        subscriptions[Int(index)].next = freeSubscription
        freeSubscription = index
    }
}
