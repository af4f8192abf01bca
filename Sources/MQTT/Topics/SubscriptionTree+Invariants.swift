extension SubscriptionTree {
    /// Traps unless the tree is whole: every link has its way back, every count is right, every
    /// node leads to a subscription, and nothing is lost between the lists of free places.
    public func checkInvariants() {
        if let interest { precondition(interest.count == count, "interest is miscounted") }
        children.checkInvariants()
        byListAndSubscriber.checkInvariants()
        let free = freeNodes()
        var literals: [UInt32: UInt32] = [:]
        var references: [UInt32: UInt32] = [:]
        var found = 0
        for index in nodes.indices where !free.contains(UInt32(index)) {
            let node = nodes[index]
            found += subscriptionsInList(UInt32(index) * 2)
            found += subscriptionsInList(UInt32(index) * 2 + 1)
            guard UInt32(index) != SubscriptionTree.root else { continue }
            precondition(!node.isUnused, "a node leads nowhere")
            precondition(!free.contains(node.parent), "a node hangs below a free one")
            if node.level == SubscriptionTree.none {
                precondition(
                    nodes[Int(node.parent)].single == UInt32(index), "a '+' is not its parent's")
            } else {
                precondition(
                    child(
                        of: node.parent, nodes[Int(node.parent)].literals, node.level,
                        tag: levels.tag(of: node.level))
                        == UInt32(index), "a child is not found")
                literals[node.parent, default: 0] += 1
                references[node.level, default: 0] += 1
            }
        }
        var tabled = 0
        for index in nodes.indices where !free.contains(UInt32(index)) {
            let found = nodes[index].literals
            tabled += Int(found.countInTable)
            precondition(
                literals[UInt32(index), default: 0]
                    == (found.only == nil ? found.countInTable : 1),
                "the children of a node are miscounted")
        }
        precondition(tabled == children.count, "the table of children is miscounted")
        precondition(nodeCount == nodes.count - 1 - free.count, "nodes are miscounted")
        precondition(found == count, "a subscription is lost")
        levels.checkInvariants(references: references)
        checkSubscribers()
    }

    private func freeNodes() -> Set<UInt32> {
        var free: Set<UInt32> = []
        var next = freeNode
        while next != SubscriptionTree.none {
            precondition(free.insert(next).inserted, "the free nodes go round in a circle")
            precondition(nodes[Int(next)].isUnused, "a free node is in use")
            next = nodes[Int(next)].parent
        }
        return free
    }

    private func subscriptionsInList(_ list: UInt32) -> Int {
        var found = 0
        var previous = SubscriptionTree.none
        var next = firstSubscription(list)
        while next != SubscriptionTree.none {
            let membership = memberships[Int(next)]
            precondition(membership.list == list, "a subscription stands in a foreign list")
            precondition(membership.previous == previous, "a subscription has lost its way back")
            previous = next
            next = subscriptions[Int(next)].next
            found += 1
        }
        return found
    }

    private func checkSubscribers() {
        var found = 0
        for subscriber in subscribers.indices {
            var previous = SubscriptionTree.none
            var next = subscribers[subscriber].first
            var filters: UInt32 = 0
            while next != SubscriptionTree.none {
                precondition(
                    Int(subscriptions[Int(next)].subscriber) == subscriber,
                    "a subscription is another subscriber's")
                precondition(
                    memberships[Int(next)].previousOfSubscriber == previous,
                    "a subscription has lost its subscriber's way back")
                previous = next
                next = memberships[Int(next)].nextOfSubscriber
                filters += 1
            }
            precondition(subscribers[subscriber].filters == filters, "filters are miscounted")
            found += Int(filters)
        }
        precondition(found == count, "a subscriber has lost a subscription")
        var free = 0
        var next = freeSubscription
        while next != SubscriptionTree.none {
            precondition(
                memberships[Int(next)].list == SubscriptionTree.none, "a free place is in use")
            next = subscriptions[Int(next)].next
            free += 1
        }
        precondition(free + count == subscriptions.count, "a free place is lost")
    }
}
