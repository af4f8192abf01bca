extension TopicIndex {
    /// A level of a filter.
    private enum Step {
        case level(UInt32)
        case single
        case multi
    }

    /// A node that a look-up has still to visit.
    private struct Pending {
        let node: UInt32
        /// Bytes of the topic above the node.
        let prefixLength: Int
        /// How many levels of the filter the node and those above it have used up.
        let depth: Int
        /// Whether the siblings behind the node are wanted too.
        let withSiblings: Bool
    }

    /// Calls `body` with each topic that `filter` asks for and the place of its value, in order,
    /// until it returns false.
    @usableFromInline
    mutating func forEach(
        matching filter: TopicFilter, _ body: (_ topic: Span<UInt8>, _ value: UInt32) -> Bool
    ) {
        guard let steps = steps(of: filter) else { return }
        var topic: [UInt8] = []
        var pending: [Pending] = []
        enqueue(below: TopicIndex.root, steps, depth: 0, prefixLength: 0, &pending)
        while let next = pending.popLast() {
            let node = nodes[Int(next.node)]
            if next.withSiblings, node.nextSibling != TopicIndex.none {
                pending.append(
                    Pending(
                        node: node.nextSibling, prefixLength: next.prefixLength, depth: next.depth,
                        withSiblings: true))
            }
            let isFirstLevel = node.parent == TopicIndex.root
            // [MQTT-4.7.2-1]
            if isFirstLevel, next.withSiblings,
                levels.firstByte(of: node.level) == TopicSyntax.dollar
            {
                continue
            }
            topic.removeLast(topic.count - next.prefixLength)
            if !isFirstLevel { topic.append(TopicSyntax.separator) }
            levels.append(node.level, to: &topic)
            if node.value != TopicIndex.none, isWhole(steps, next.depth) {
                guard body(topic.span, node.value) else { return }
            }
            enqueue(
                below: next.node, steps, depth: next.depth, prefixLength: topic.count, &pending)
        }
    }

    /// The levels of a filter; nil where it has one that no topic has.
    private func steps(of filter: TopicFilter) -> [Step]? {
        let bytes = filter.bytes.span
        var steps: [Step] = []
        var start = filter.matchStart
        while start <= bytes.count {
            let key = LevelKey(bytes, from: start, hash: hash)
            start = key.end + 1
            if key.length == 1, bytes[key.start] == TopicSyntax.singleLevel {
                steps.append(.single)
            } else if key.length == 1, bytes[key.start] == TopicSyntax.multiLevel {
                steps.append(.multi)
            } else {
                let level = levels.find(key, in: bytes)
                guard level != LevelTable.none else { return nil }
                steps.append(.level(level))
            }
        }
        return steps
    }

    /// Whether a node behind `depth` levels of the filter is asked for itself: nothing is left, or
    /// a `#`, which stands for the level above it too.
    private func isWhole(_ steps: [Step], _ depth: Int) -> Bool {
        if depth == steps.count { return true }
        if case .multi = steps[depth] { return true }
        return false
    }

    /// Adds the children of `node` that the filter's next level asks for.
    private mutating func enqueue(
        below node: UInt32, _ steps: [Step], depth: Int, prefixLength: Int,
        _ pending: inout [Pending]
    ) {
        guard depth < steps.count else { return }
        switch steps[depth] {
        case .level(let level):
            let child = child(of: node, level)
            guard child != TopicIndex.none else { return }
            pending.append(
                Pending(
                    node: child, prefixLength: prefixLength, depth: depth + 1, withSiblings: false))
        case .single:
            enqueueChildren(of: node, depth: depth + 1, prefixLength, &pending)
        case .multi:
            enqueueChildren(of: node, depth: depth, prefixLength, &pending)
        }
    }

    private mutating func enqueueChildren(
        of node: UInt32, depth: Int, _ prefixLength: Int, _ pending: inout [Pending]
    ) {
        sortChildren(of: node)
        let first = nodes[Int(node)].firstChild
        guard first != TopicIndex.none else { return }
        pending.append(
            Pending(node: first, prefixLength: prefixLength, depth: depth, withSiblings: true))
    }
}
