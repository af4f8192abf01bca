extension TopicIndex {
    /// Traps unless the index is whole: every link has its way back, every count is right, every
    /// leaf has a value, children said to be in order are, and no free node is lost. Returns the
    /// places of all values.
    func checkInvariants() -> Set<UInt32> {
        children.checkInvariants()
        let free = freeNodes()
        precondition(nodeCount == nodes.count - 1 - free.count, "nodes are miscounted")
        var references: [UInt32: UInt32] = [:]
        var reached = 0
        var tabled = 0
        var values: Set<UInt32> = []
        for index in nodes.indices where !free.contains(UInt32(index)) {
            let node = nodes[index]
            let below = checkChildren(of: UInt32(index))
            reached += below
            tabled += node.isTabled ? below : 0
            precondition(below < 2 || node.isTabled, "children are not in the table")
            if node.value != TopicIndex.none {
                precondition(values.insert(node.value).inserted, "two topics share a value")
            }
            guard UInt32(index) != TopicIndex.root else { continue }
            precondition(
                node.value != TopicIndex.none || node.firstChild != TopicIndex.none,
                "a node leads to no value")
            precondition(
                child(of: node.parent, node.level) == UInt32(index), "a child is not found")
            references[node.level, default: 0] += 1
        }
        precondition(reached == nodeCount, "a node is not among its parent's children")
        precondition(tabled == children.count, "the table of children is miscounted")
        levels.checkInvariants(references: references)
        return values
    }

    private func freeNodes() -> Set<UInt32> {
        var free: Set<UInt32> = []
        var next = freeNode
        while next != TopicIndex.none {
            precondition(free.insert(next).inserted, "the free nodes go round in a circle")
            precondition(nodes[Int(next)].level == TopicIndex.none, "a free node is in use")
            next = nodes[Int(next)].parent
        }
        return free
    }

    private func checkChildren(of parent: UInt32) -> Int {
        var found = 0
        var previous = TopicIndex.none
        var next = nodes[Int(parent)].firstChild
        while next != TopicIndex.none {
            let child = nodes[Int(next)]
            precondition(child.parent == parent, "a node has a foreign child")
            precondition(child.previousSibling == previous, "a child has lost its way back")
            if nodes[Int(parent)].isSorted, previous != TopicIndex.none {
                precondition(
                    levels.precedes(nodes[Int(previous)].level, child.level),
                    "children are not in order")
            }
            previous = next
            next = child.nextSibling
            found += 1
        }
        return found
    }
}
