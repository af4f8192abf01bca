// Nodes: found, made, and given back when nothing uses them.
extension SubscriptionTree {
    /// The children of a node that have a level of their own: none, an only one, or how many stand in the
    /// table. They do from the second on, until the node has none again.
    struct Literals: Equatable {
        private static var tabled: UInt32 { 1 << 31 }
        static var none: Literals { Literals(rawValue: .max) }

        private var rawValue: UInt32

        private init(rawValue: UInt32) { self.rawValue = rawValue }

        init(only child: UInt32) { rawValue = child }

        init(inTable count: UInt32) { rawValue = Literals.tabled | count }

        /// The only child, unless it stands in the table.
        @inline(__always)
        var only: UInt32? { rawValue & Literals.tabled == 0 ? rawValue : nil }

        /// How many children stand in the table.
        var countInTable: UInt32 {
            self == .none || only != nil ? 0 : rawValue & ~Literals.tabled
        }
    }

    /// The child of `node`, whose children are `literals`, with this level, or `none`.
    ///
    /// The table is asked by the level's tag and not by its number: that is known only once a record has
    /// come from memory, and the table need not wait for it.
    @inline(__always)
    func child(of node: UInt32, _ literals: Literals, _ level: UInt32, tag: UInt32) -> UInt32 {
        if literals == .none { return SubscriptionTree.none }
        if let only = literals.only {
            return nodes[Int(only)].level == level ? only : SubscriptionTree.none
        }
        return children.find(hash.tag(node, tag)) { index in
            let candidate = nodes[Int(index)]
            return candidate.parent == node && candidate.level == level
        }
    }

    /// The list of the filter, made where it is new.
    mutating func makeList(_ filter: TopicFilter) -> UInt32 {
        let bytes = filter.bytes.span
        var node = SubscriptionTree.root
        var start = filter.matchStart
        while true {
            let key = LevelKey(bytes, from: start, hash: hash)
            if key.length == 1, bytes[start] == TopicSyntax.multiLevel { return node * 2 + 1 }
            node = makeChild(of: node, key, in: bytes)
            if key.end == bytes.count { return node * 2 }
            start = key.end + 1
        }
    }

    private mutating func makeChild(
        of parent: UInt32, _ key: LevelKey, in bytes: Span<UInt8>
    ) -> UInt32 {
        if key.length == 1, bytes[key.start] == TopicSyntax.singleLevel {
            if nodes[Int(parent)].single == SubscriptionTree.none {
                nodes[Int(parent)].single = takeNode(parent, level: SubscriptionTree.none)
            }
            return nodes[Int(parent)].single
        }
        let level = levels.find(key, in: bytes)
        if level != LevelTable.none {
            let known = child(of: parent, nodes[Int(parent)].literals, level, tag: key.tag)
            if known != SubscriptionTree.none { return known }
        }
        let node = takeNode(parent, level: levels.intern(key, in: bytes, known: level))
        addLiteral(node, to: parent)
        return node
    }

    private mutating func addLiteral(_ node: UInt32, to parent: UInt32) {
        let literals = nodes[Int(parent)].literals
        guard literals != .none else {
            nodes[Int(parent)].literals = Literals(only: node)
            return
        }
        if let only = literals.only {
            children.insert(tag(ofChild: only), only)
        }
        children.insert(tag(ofChild: node), node)
        nodes[Int(parent)].literals = Literals(inTable: max(1, literals.countInTable) + 1)
    }

    private mutating func removeLiteral(_ index: UInt32, _ node: Node) {
        let literals = nodes[Int(node.parent)].literals
        if literals.only == nil { children.remove(tag(ofChild: index), index) }
        nodes[Int(node.parent)].literals =
            literals.countInTable > 1 ? Literals(inTable: literals.countInTable - 1) : .none
    }

    /// How the table of children knows a node.
    private func tag(ofChild index: UInt32) -> UInt32 {
        let node = nodes[Int(index)]
        return hash.tag(node.parent, levels.tag(of: node.level))
    }

    private mutating func takeNode(_ parent: UInt32, level: UInt32) -> UInt32 {
        nodeCount += 1
        let node = Node(parent: parent, level: level)
        guard freeNode != SubscriptionTree.none else {
            precondition(nodes.count < Int(UInt32.max / 2), "the tree has no numbers left")
            nodes.append(node)
            return UInt32(nodes.count - 1)
        }
        let index = freeNode
        freeNode = nodes[Int(index)].parent
        nodes[Int(index)] = node
        return index
    }

    /// Gives back `leaf` and each parent that nothing uses any more.
    mutating func prune(_ leaf: UInt32) {
        var index = leaf
        while index != SubscriptionTree.root, nodes[Int(index)].isUnused {
            let node = nodes[Int(index)]
            if node.level == SubscriptionTree.none {
                nodes[Int(node.parent)].single = SubscriptionTree.none
            } else {
                removeLiteral(index, node)
                levels.release(node.level)
            }
            // Unused as it is, so that the list of free nodes can be told from nodes in use.
            nodes[Int(index)] = Node(parent: freeNode, level: SubscriptionTree.none)
            freeNode = index
            nodeCount -= 1
            index = node.parent
        }
        if nodeCount == 0 {
            // The root stays as it is: subscriptions to "#" hang on it.
            nodes = [nodes[Int(SubscriptionTree.root)]]
            freeNode = SubscriptionTree.none
        }
    }

    /// Whether the filter of a list has a `+` or a `#`.
    func hasWildcard(_ list: UInt32) -> Bool {
        if list & 1 == 1 { return true }
        var node = list / 2
        while node != SubscriptionTree.root {
            if nodes[Int(node)].level == SubscriptionTree.none { return true }
            node = nodes[Int(node)].parent
        }
        return false
    }

    func appendFilter(_ list: UInt32, to bytes: inout [UInt8]) {
        var path: [UInt32] = []
        var node = list / 2
        while node != SubscriptionTree.root {
            path.append(nodes[Int(node)].level)
            node = nodes[Int(node)].parent
        }
        for level in path.reversed() {
            if level == SubscriptionTree.none {
                bytes.append(TopicSyntax.singleLevel)
            } else {
                levels.append(level, to: &bytes)
            }
            bytes.append(TopicSyntax.separator)
        }
        if list & 1 == 1 {
            bytes.append(TopicSyntax.multiLevel)
        } else {
            bytes.removeLast()
        }
    }
}
