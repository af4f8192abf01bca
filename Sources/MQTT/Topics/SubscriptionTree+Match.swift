extension SubscriptionTree {
    /// Finds every subscription that asks for `topic`, a valid topic name.
    ///
    /// `buffer` holds the result until its next use. A topic that begins with `$` is missed by
    /// filters that begin with a wildcard [MQTT-4.7.2-1].
    public func match(_ topic: Span<UInt8>, into buffer: inout MatchBuffer) {
        buffer.clear()
        guard count > 0, !topic.isEmpty else { return }
        let reserved = topic[0] == TopicSyntax.dollar
        visit(SubscriptionTree.root, 0, skippingWildcards: reserved, topic, &buffer)
        while buffer.pendingCount > 0 {
            buffer.pendingCount &-= 1
            let next = buffer.pending[buffer.pendingCount]
            visit(next.node, Int(next.depth), skippingWildcards: false, topic, &buffer)
        }
        if buffer.mayOverlap { buffer.groupBySubscriber() }
    }

    /// Follows the levels down from `start`; a `+` on the way is left for later.
    private func visit(
        _ start: UInt32, _ startDepth: Int, skippingWildcards: Bool,
        _ topic: Span<UInt8>, _ buffer: inout MatchBuffer
    ) {
        var index = start
        var depth = startDepth
        var skips = skippingWildcards
        while true {
            let node = nodes[Int(index)]
            buffer.visitedNodes &+= 1
            if node.multi != SubscriptionTree.none, !skips { take(node.multi, &buffer) }
            if depth == buffer.levelCount {
                guard buffer.nextLevelStart <= topic.count else {
                    if node.exact != SubscriptionTree.none { take(node.exact, &buffer) }
                    return
                }
                guard node.literals != .none || node.single != SubscriptionTree.none else {
                    return
                }
                readLevels(topic, into: &buffer)
            }
            var next = SubscriptionTree.none
            if node.literals != .none {
                let level = buffer.levels[depth]
                if level != LevelTable.none {
                    next = child(of: index, node.literals, level, tag: buffer.tags[depth])
                }
            }
            depth &+= 1
            if node.single != SubscriptionTree.none, !skips {
                if next == SubscriptionTree.none {
                    next = node.single
                } else {
                    buffer.pending[buffer.pendingCount] = MatchBuffer.Pending(
                        node: node.single, depth: UInt32(truncatingIfNeeded: depth))
                    buffer.pendingCount &+= 1
                }
            }
            if next == SubscriptionTree.none { return }
            skips = false
            index = next
        }
    }

    /// Finds the numbers of the topic's next levels; `none` stands for one that no filter has.
    ///
    /// Several at once: where there are many filters, each is a wait for memory, and they wait together.
    private func readLevels(_ topic: Span<UInt8>, into buffer: inout MatchBuffer) {
        var read = 0
        while read < MatchBuffer.levelsAtOnce, buffer.nextLevelStart <= topic.count {
            let key = LevelKey(topic, from: buffer.nextLevelStart, hash: hash)
            buffer.keys[read] = key
            buffer.nextLevelStart = key.end &+ 1
            read &+= 1
        }
        let first = buffer.levelCount
        for index in 0..<read {
            buffer.tags[first &+ index] = buffer.keys[index].tag
            buffer.levels[first &+ index] = levels.guess(buffer.keys[index])
        }
        for index in 0..<read {
            buffer.levels[first &+ index] = levels.find(
                buffer.keys[index], in: topic, guessed: buffer.levels[first &+ index])
        }
        buffer.levelCount = first &+ read
    }

    private func take(_ first: UInt32, _ buffer: inout MatchBuffer) {
        buffer.lists &+= 1
        var next = first
        while next != SubscriptionTree.none {
            let subscription = subscriptions[Int(next)]
            buffer.append(
                MatchBuffer.Match(
                    subscriber: subscription.subscriber, options: subscription.options))
            next = subscription.next
        }
    }
}
