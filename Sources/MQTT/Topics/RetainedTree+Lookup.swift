extension RetainedTree {
    /// A node that a look-up has still to visit.
    private struct Pending {
        let node: UInt32
        /// Bytes of the topic above the node.
        let prefixLength: Int
        let rest: Rest
        /// Whether the siblings behind the node are wanted too.
        let withSiblings: Bool
    }

    /// What of the filter applies below a node.
    private enum Rest: Equatable {
        /// Nothing: the node itself is asked for.
        case nothing
        /// The level that begins here.
        case level(from: Int)
        /// A `#`, which stands for the node itself too.
        case everything
    }

    /// Calls `body` with each topic that `filter` asks for and its value, in the order of the
    /// levels' bytes, until it returns false.
    ///
    /// A `$share/{name}/` plays no part. Topics that begin with `$` are missed by a filter that
    /// begins with a wildcard [MQTT-4.7.2-1]. It changes nothing that can be seen: it may put
    /// children in order.
    public mutating func forEach(
        matching filter: TopicFilter, _ body: (_ topic: Span<UInt8>, _ value: Value) -> Bool
    ) {
        let bytes = filter.bytes.span
        var topic: [UInt8] = []
        var pending: [Pending] = []
        enqueue(
            below: RetainedTree.root, rest(bytes, from: filter.matchStart), bytes, 0, &pending)
        while let next = pending.popLast() {
            let node = nodes[Int(next.node)]
            if next.withSiblings, node.nextSibling != SlotTable.none {
                pending.append(
                    Pending(
                        node: node.nextSibling, prefixLength: next.prefixLength, rest: next.rest,
                        withSiblings: true))
            }
            let isFirstLevel = node.parent == RetainedTree.root
            // [MQTT-4.7.2-1]
            if isFirstLevel, next.withSiblings,
                levels.firstByte(of: node.level) == TopicSyntax.dollar
            {
                continue
            }
            topic.removeSubrange(next.prefixLength...)
            if !isFirstLevel { topic.append(TopicSyntax.separator) }
            levels.append(node.level, to: &topic)
            if case .level = next.rest {
            } else if let value = value(at: next.node), !body(topic.span, value) {
                return
            }
            enqueue(below: next.node, next.rest, bytes, topic.count, &pending)
        }
    }

    /// What the filter asks of the level that begins at `start`.
    private func rest(_ filter: Span<UInt8>, from start: Int) -> Rest {
        if start > filter.count { return .nothing }
        // Only a last level can be "#", and a filter may end with an empty level.
        if start < filter.count, filter[start] == TopicSyntax.multiLevel { return .everything }
        return .level(from: start)
    }

    /// Adds the children of `node` that `rest` asks for.
    private mutating func enqueue(
        below node: UInt32, _ rest: Rest, _ filter: Span<UInt8>, _ prefixLength: Int,
        _ pending: inout [Pending]
    ) {
        switch rest {
        case .nothing:
            return
        case .everything:
            addChildren(of: node, .everything, prefixLength, &pending)
        case .level(let start):
            let key = LevelKey(filter, from: start, hash: hash)
            let below = self.rest(filter, from: key.end + 1)
            if key.length == 1, filter[start] == TopicSyntax.singleLevel {
                addChildren(of: node, below, prefixLength, &pending)
                return
            }
            let child = child(of: node, key, in: filter)
            guard child != SlotTable.none else { return }
            pending.append(
                Pending(node: child, prefixLength: prefixLength, rest: below, withSiblings: false))
        }
    }

    private mutating func addChildren(
        of node: UInt32, _ rest: Rest, _ prefixLength: Int, _ pending: inout [Pending]
    ) {
        sortChildren(of: node)
        let first = nodes[Int(node)].firstChild
        guard first != SlotTable.none else { return }
        pending.append(
            Pending(node: first, prefixLength: prefixLength, rest: rest, withSiblings: true))
    }
}
