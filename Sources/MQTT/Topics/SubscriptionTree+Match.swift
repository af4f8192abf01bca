extension SubscriptionTree {
    /// Finds every subscription that asks for `topic`, a valid topic name.
    ///
    /// `buffer` holds the result until its next use. A topic that begins with `$` is missed by
    /// filters that begin with a wildcard [MQTT-4.7.2-1].
    public func match(_ topic: Span<UInt8>, into buffer: inout MatchBuffer) {
        buffer.clear()
        guard count > 0, !topic.isEmpty else { return }
        readLevels(topic, into: &buffer)
        let reserved = topic[0] == TopicSyntax.dollar
        var lists = 0
        visit(SubscriptionTree.root, 0, skippingWildcards: reserved, &buffer, &lists)
        while let next = buffer.pending.popLast() {
            visit(next.node, Int(next.depth), skippingWildcards: false, &buffer, &lists)
        }
        buffer.mayOverlap = lists > 1
        if lists > 1 { buffer.groupBySubscriber() }
    }

    /// Finds the number of each level; `none` stands for one that no filter has.
    @inline(__always)
    private func readLevels(_ topic: Span<UInt8>, into buffer: inout MatchBuffer) {
        var start = 0
        while true {
            let key = LevelKey(topic, from: start, hash: hash)
            buffer.levels.append(levels.find(key, in: topic))
            if key.end == topic.count { return }
            start = key.end &+ 1
        }
    }

    /// Follows the levels down from `start`; a `+` on the way is left for later.
    @inline(__always)
    private func visit(
        _ start: UInt32, _ startDepth: Int, skippingWildcards: Bool,
        _ buffer: inout MatchBuffer, _ lists: inout Int
    ) {
        var index = start
        var depth = startDepth
        var skips = skippingWildcards
        while true {
            let node = nodes[Int(index)]
            buffer.visitedNodes &+= 1
            if !skips, node.multi != SubscriptionTree.none {
                take(node.multi, &buffer)
                lists &+= 1
            }
            if depth == buffer.levels.count {
                if node.exact != SubscriptionTree.none {
                    take(node.exact, &buffer)
                    lists &+= 1
                }
                return
            }
            let level = buffer.levels[depth]
            depth &+= 1
            var next = SubscriptionTree.none
            if node.literalChildren > 0, level != LevelTable.none {
                next = child(of: index, level)
            }
            if !skips, node.single != SubscriptionTree.none {
                if next == SubscriptionTree.none {
                    next = node.single
                } else {
                    buffer.pending.append(
                        MatchBuffer.Pending(node: node.single, depth: UInt32(depth)))
                }
            }
            if next == SubscriptionTree.none { return }
            skips = false
            index = next
        }
    }

    @inline(__always)
    private func take(_ first: UInt32, _ buffer: inout MatchBuffer) {
        var next = first
        while next != SubscriptionTree.none {
            let subscription = subscriptions[Int(next)]
            buffer.matches.append(
                MatchBuffer.Match(
                    subscriber: subscription.subscriber, options: subscription.options))
            next = subscription.next
        }
    }
}
