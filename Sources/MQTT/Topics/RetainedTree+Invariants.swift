extension RetainedTree {
    /// Traps unless the tree is whole: every link has its way back, every count is right, every
    /// leaf has a value, children said to be in order are, and no free place is lost.
    public func checkInvariants() {
        children.checkInvariants()
        var free: Set<UInt32> = []
        var next = freeNode
        while next != SlotTable.none {
            precondition(free.insert(next).inserted, "the free nodes go round in a circle")
            precondition(nodes[Int(next)].level == SlotTable.none, "a free node is in use")
            next = nodes[Int(next)].parent
        }
        precondition(nodeCount == nodes.count - 1 - free.count, "nodes are miscounted")
        var references: [UInt32: UInt32] = [:]
        var reached = 0
        var values: Set<UInt32> = []
        for index in nodes.indices where !free.contains(UInt32(index)) {
            let node = nodes[index]
            reached += checkChildren(of: UInt32(index))
            if node.entry != SlotTable.none {
                precondition(values.insert(node.entry).inserted, "two topics share a value")
                precondition(entries[Int(node.entry)] != nil, "a topic has lost its value")
            }
            guard UInt32(index) != RetainedTree.root else { continue }
            precondition(
                node.entry != SlotTable.none || node.firstChild != SlotTable.none,
                "a node leads to no value")
            precondition(
                child(of: node.parent, node.level) == UInt32(index), "a child is not found")
            references[node.level, default: 0] += 1
        }
        precondition(reached == nodeCount, "a node is not among its parent's children")
        precondition(values.count == count, "topics are miscounted")
        precondition(entries.count == count + freeEntries.count, "a value is lost")
        levels.checkInvariants(references: references)
    }

    private func checkChildren(of parent: UInt32) -> Int {
        var found = 0
        var previous = SlotTable.none
        var next = nodes[Int(parent)].firstChild
        while next != SlotTable.none {
            let child = nodes[Int(next)]
            precondition(child.parent == parent, "a node has a foreign child")
            precondition(child.previousSibling == previous, "a child has lost its way back")
            if nodes[Int(parent)].isSorted, previous != SlotTable.none {
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
