/// Topics, each with the place of its value.
///
/// A trie over levels in flat arrays, as `SubscriptionTree` is: a slab of nodes, levels known by
/// number, one table that finds a child by its parent and level. An only child needs no table: its
/// parent names it, and most nodes of a large tree are that. Children are put in order when a
/// look-up first needs it, so that a change costs no more for it.
@usableFromInline
struct TopicIndex: Sendable {
    static let root: UInt32 = 0
    @usableFromInline static let none = UInt32.max

    struct Node: Sendable {
        var parent: UInt32
        /// The level below `parent`; `none` in the root and in free nodes.
        var level: UInt32
        var firstChild = TopicIndex.none
        var nextSibling = TopicIndex.none
        var previousSibling = TopicIndex.none
        /// The place of the topic's value.
        var value = TopicIndex.none
        /// Whether the list of children is in the order of their levels.
        var isSorted = true
        /// Whether its children stand in the table: from the second on, until it has none.
        var isTabled = false
    }

    let hash: TopicHash
    var levels: LevelTable
    var nodes: [Node]
    var children = SlotTable()
    var freeNode = TopicIndex.none

    /// Nodes in use, the root left out.
    private(set) var nodeCount = 0

    init(seed: UInt64) {
        hash = TopicHash(seed: seed)
        levels = LevelTable(hash: hash)
        nodes = [TopicIndex.emptyRoot]
    }

    private static var emptyRoot: Node { Node(parent: none, level: none) }

    /// The place of the topic's value, or `none`.
    @usableFromInline
    func find(_ topic: Span<UInt8>) -> UInt32 {
        let node = findNode(topic)
        return node == TopicIndex.none ? node : nodes[Int(node)].value
    }

    /// The place of the topic's value; one that has none is given `place`, and `none` is returned.
    @usableFromInline
    mutating func findOrInsert(_ topic: Span<UInt8>, place: UInt32) -> UInt32 {
        var node = TopicIndex.root
        var start = 0
        while true {
            let key = LevelKey(topic, from: start, hash: hash)
            node = makeChild(of: node, key, in: topic)
            if key.end == topic.count { break }
            start = key.end + 1
        }
        let known = nodes[Int(node)].value
        if known == TopicIndex.none { nodes[Int(node)].value = place }
        return known
    }

    /// Forgets a topic, and returns the place of its value, or `none`.
    @usableFromInline
    mutating func remove(_ topic: Span<UInt8>) -> UInt32 {
        let node = findNode(topic)
        guard node != TopicIndex.none, nodes[Int(node)].value != TopicIndex.none else {
            return TopicIndex.none
        }
        let value = nodes[Int(node)].value
        nodes[Int(node)].value = TopicIndex.none
        prune(node)
        return value
    }

    /// The child of `node` with this level, or `none`.
    func child(of node: UInt32, _ level: UInt32) -> UInt32 {
        guard nodes[Int(node)].isTabled else {
            let only = nodes[Int(node)].firstChild
            guard only != TopicIndex.none, nodes[Int(only)].level == level else {
                return TopicIndex.none
            }
            return only
        }
        return children.find(hash.tag(node, level)) { index in
            let candidate = nodes[Int(index)]
            return candidate.parent == node && candidate.level == level
        }
    }

    private func child(of node: UInt32, _ key: LevelKey, in bytes: Span<UInt8>) -> UInt32 {
        let level = levels.find(key, in: bytes)
        return level == LevelTable.none ? TopicIndex.none : child(of: node, level)
    }

    private func findNode(_ topic: Span<UInt8>) -> UInt32 {
        var node = TopicIndex.root
        var start = 0
        while true {
            let key = LevelKey(topic, from: start, hash: hash)
            node = child(of: node, key, in: topic)
            if node == TopicIndex.none || key.end == topic.count { return node }
            start = key.end + 1
        }
    }

    private mutating func makeChild(
        of parent: UInt32, _ key: LevelKey, in topic: Span<UInt8>
    ) -> UInt32 {
        let level = levels.find(key, in: topic)
        if level != LevelTable.none {
            let known = child(of: parent, level)
            if known != TopicIndex.none { return known }
        }
        return addChild(to: parent, levels.intern(key, in: topic, known: level))
    }

    private mutating func addChild(to parent: UInt32, _ level: UInt32) -> UInt32 {
        let first = nodes[Int(parent)].firstChild
        var node = Node(parent: parent, level: level)
        node.nextSibling = first
        let index = takeNode(node)
        nodes[Int(parent)].firstChild = index
        if first != TopicIndex.none {
            nodes[Int(first)].previousSibling = index
            if !levels.precedes(level, nodes[Int(first)].level) {
                nodes[Int(parent)].isSorted = false
            }
            if !nodes[Int(parent)].isTabled {
                nodes[Int(parent)].isTabled = true
                children.insert(hash.tag(parent, nodes[Int(first)].level), first)
            }
            children.insert(hash.tag(parent, level), index)
        }
        return index
    }

    private mutating func takeNode(_ node: Node) -> UInt32 {
        nodeCount += 1
        guard freeNode != TopicIndex.none else {
            precondition(nodes.count < Int(TopicIndex.none), "the index has no numbers left")
            nodes.append(node)
            return UInt32(nodes.count - 1)
        }
        let index = freeNode
        freeNode = nodes[Int(index)].parent
        nodes[Int(index)] = node
        return index
    }

    /// Gives back `leaf` and each parent that leads to no value any more.
    private mutating func prune(_ leaf: UInt32) {
        var index = leaf
        while index != TopicIndex.root {
            let node = nodes[Int(index)]
            guard node.value == TopicIndex.none, node.firstChild == TopicIndex.none else { return }
            if nodes[Int(node.parent)].isTabled {
                children.remove(hash.tag(node.parent, node.level), index)
            }
            unlink(node)
            levels.release(node.level)
            nodes[Int(index)] = Node(parent: freeNode, level: TopicIndex.none)
            freeNode = index
            nodeCount -= 1
            index = node.parent
        }
        if nodeCount == 0 {
            nodes = [TopicIndex.emptyRoot]
            freeNode = TopicIndex.none
        }
    }

    /// Takes a node out of its parent's children.
    private mutating func unlink(_ node: Node) {
        if node.nextSibling != TopicIndex.none {
            nodes[Int(node.nextSibling)].previousSibling = node.previousSibling
        }
        if node.previousSibling != TopicIndex.none {
            nodes[Int(node.previousSibling)].nextSibling = node.nextSibling
            return
        }
        nodes[Int(node.parent)].firstChild = node.nextSibling
        if node.nextSibling == TopicIndex.none {
            nodes[Int(node.parent)].isSorted = true
            nodes[Int(node.parent)].isTabled = false
        }
    }

    /// Puts the children of a node in order, where they are not.
    mutating func sortChildren(of parent: UInt32) {
        guard !nodes[Int(parent)].isSorted else { return }
        var order: [UInt32] = []
        var next = nodes[Int(parent)].firstChild
        while next != TopicIndex.none {
            order.append(next)
            next = nodes[Int(next)].nextSibling
        }
        order.sort { levels.precedes(nodes[Int($0)].level, nodes[Int($1)].level) }
        var previous = TopicIndex.none
        for child in order {
            nodes[Int(child)].previousSibling = previous
            nodes[Int(child)].nextSibling = TopicIndex.none
            if previous == TopicIndex.none {
                nodes[Int(parent)].firstChild = child
            } else {
                nodes[Int(previous)].nextSibling = child
            }
            previous = child
        }
        nodes[Int(parent)].isSorted = true
    }
}
