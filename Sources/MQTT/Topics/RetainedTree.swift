/// The last retained value of each topic.
///
/// A trie over levels in flat arrays, as `SubscriptionTree` is. A look-up by wildcard reports in
/// the order of the levels' bytes, a parent before what is below it, so that two runs agree.
/// Children are put in order when a look-up first needs it, so a change costs no more for it.
/// A node costs 32 bytes and its slot, a topic its value besides.
public struct RetainedTree<Value> {
    struct Node {
        var parent: UInt32
        /// The level below `parent`; `none` in the root and in free nodes.
        var level: UInt32
        var firstChild = SlotTable.none
        var nextSibling = SlotTable.none
        var previousSibling = SlotTable.none
        /// Where the value stands in `entries`.
        var entry = SlotTable.none
        /// Whether the list of children is in the order of their levels.
        var isSorted = true
    }

    struct Entry {
        var value: Value
        var bytes: Int
    }

    let hash: TopicHash
    var levels: LevelTable
    var nodes: [Node]
    var children = SlotTable()
    var freeNode = SlotTable.none
    var entries: [Entry?] = []
    var freeEntries: [UInt32] = []

    /// Topics that have a value.
    public private(set) var count = 0

    /// Bytes of all topics and of all values, as `set` was told.
    public private(set) var byteCount = 0

    /// Nodes in use, the root left out.
    public private(set) var nodeCount = 0

    /// An empty tree.
    ///
    /// - Parameter seed: a secret number, so that nobody can choose topics that collide.
    public init(seed: UInt64) {
        hash = TopicHash(seed: seed)
        levels = LevelTable(hash: hash)
        nodes = [RetainedTree.emptyRoot]
    }

    private static var emptyRoot: Node { Node(parent: SlotTable.none, level: SlotTable.none) }
    static var root: UInt32 { 0 }

    /// Keeps `value` for `topic`, a valid topic name, and returns the one that it replaces.
    ///
    /// - Parameter bytes: what the value counts for in `byteCount`.
    @discardableResult
    public mutating func set(_ topic: Span<UInt8>, _ value: Value, bytes: Int) -> Value? {
        let node = makeNode(topic)
        let entry = nodes[Int(node)].entry
        if entry != SlotTable.none, let old = entries[Int(entry)] {
            byteCount += bytes - old.bytes
            entries[Int(entry)] = Entry(value: value, bytes: bytes)
            return old.value
        }
        count += 1
        byteCount += bytes + topic.count
        nodes[Int(node)].entry = takeEntry(Entry(value: value, bytes: bytes))
        return nil
    }

    /// Forgets the value of `topic`, and returns it.
    @discardableResult
    public mutating func remove(_ topic: Span<UInt8>) -> Value? {
        let node = find(topic)
        guard node != SlotTable.none, nodes[Int(node)].entry != SlotTable.none else { return nil }
        let entry = nodes[Int(node)].entry
        nodes[Int(node)].entry = SlotTable.none
        let old = entries[Int(entry)]
        entries[Int(entry)] = nil
        freeEntries.append(entry)
        count -= 1
        byteCount -= topic.count + (old?.bytes ?? 0)
        prune(node)
        if count == 0 {
            entries = []
            freeEntries = []
        }
        return old?.value
    }

    /// The value of `topic`.
    public func value(for topic: Span<UInt8>) -> Value? {
        let node = find(topic)
        guard node != SlotTable.none else { return nil }
        return value(at: node)
    }

    func value(at node: UInt32) -> Value? {
        let entry = nodes[Int(node)].entry
        return entry == SlotTable.none ? nil : entries[Int(entry)]?.value
    }

    private mutating func takeEntry(_ entry: Entry) -> UInt32 {
        if let index = freeEntries.popLast() {
            entries[Int(index)] = entry
            return index
        }
        entries.append(entry)
        return UInt32(entries.count - 1)
    }
}

extension RetainedTree: Sendable where Value: Sendable {}
extension RetainedTree.Entry: Sendable where Value: Sendable {}
extension RetainedTree.Node: Sendable {}

// MARK: - Nodes

extension RetainedTree {
    func child(of node: UInt32, _ level: UInt32) -> UInt32 {
        children.find(hash.tag(node, level)) { index in
            let candidate = nodes[Int(index)]
            return candidate.parent == node && candidate.level == level
        }
    }

    /// The child of `node` with the level of `key`, or `none`.
    func child(of node: UInt32, _ key: LevelKey, in bytes: Span<UInt8>) -> UInt32 {
        let level = levels.find(key, in: bytes)
        return level == LevelTable.none ? SlotTable.none : child(of: node, level)
    }

    private func find(_ topic: Span<UInt8>) -> UInt32 {
        var node = RetainedTree.root
        var start = 0
        while true {
            let key = LevelKey(topic, from: start, hash: hash)
            node = child(of: node, key, in: topic)
            if node == SlotTable.none || key.end == topic.count { return node }
            start = key.end + 1
        }
    }

    private mutating func makeNode(_ topic: Span<UInt8>) -> UInt32 {
        var node = RetainedTree.root
        var start = 0
        while true {
            let key = LevelKey(topic, from: start, hash: hash)
            let known = child(of: node, key, in: topic)
            node = known == SlotTable.none ? addChild(to: node, key, in: topic) : known
            if key.end == topic.count { return node }
            start = key.end + 1
        }
    }

    private mutating func addChild(
        to parent: UInt32, _ key: LevelKey, in topic: Span<UInt8>
    ) -> UInt32 {
        var node = Node(parent: parent, level: levels.intern(key, in: topic))
        let first = nodes[Int(parent)].firstChild
        node.nextSibling = first
        let index: UInt32
        if freeNode != SlotTable.none {
            index = freeNode
            freeNode = nodes[Int(index)].parent
            nodes[Int(index)] = node
        } else {
            precondition(nodes.count < Int(UInt32.max), "the tree has no numbers left")
            index = UInt32(nodes.count)
            nodes.append(node)
        }
        nodeCount += 1
        children.insert(hash.tag(parent, node.level), index)
        nodes[Int(parent)].firstChild = index
        if first != SlotTable.none {
            nodes[Int(first)].previousSibling = index
            if !levels.precedes(node.level, nodes[Int(first)].level) {
                nodes[Int(parent)].isSorted = false
            }
        }
        return index
    }

    /// Gives back `leaf` and each parent that leads to no value any more.
    private mutating func prune(_ leaf: UInt32) {
        var index = leaf
        while index != RetainedTree.root {
            let node = nodes[Int(index)]
            guard node.entry == SlotTable.none, node.firstChild == SlotTable.none else { return }
            if node.previousSibling == SlotTable.none {
                nodes[Int(node.parent)].firstChild = node.nextSibling
            } else {
                nodes[Int(node.previousSibling)].nextSibling = node.nextSibling
            }
            if node.nextSibling != SlotTable.none {
                nodes[Int(node.nextSibling)].previousSibling = node.previousSibling
            }
            children.remove(hash.tag(node.parent, node.level), index)
            levels.release(node.level)
            nodes[Int(index)] = Node(parent: freeNode, level: SlotTable.none)
            freeNode = index
            nodeCount -= 1
            if nodes[Int(node.parent)].firstChild == SlotTable.none {
                nodes[Int(node.parent)].isSorted = true
            }
            index = node.parent
        }
        if nodeCount == 0 {
            nodes = [RetainedTree.emptyRoot]
            freeNode = SlotTable.none
        }
    }

    /// Puts the children of a node in order, where they are not.
    mutating func sortChildren(of parent: UInt32) {
        guard !nodes[Int(parent)].isSorted else { return }
        var order: [UInt32] = []
        var next = nodes[Int(parent)].firstChild
        while next != SlotTable.none {
            order.append(next)
            next = nodes[Int(next)].nextSibling
        }
        order.sort { levels.precedes(nodes[Int($0)].level, nodes[Int($1)].level) }
        var previous = SlotTable.none
        for child in order {
            nodes[Int(child)].previousSibling = previous
            nodes[Int(child)].nextSibling = SlotTable.none
            if previous == SlotTable.none {
                nodes[Int(parent)].firstChild = child
            } else {
                nodes[Int(previous)].nextSibling = child
            }
            previous = child
        }
        nodes[Int(parent)].isSorted = true
    }
}
