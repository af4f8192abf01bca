/// The packet identifiers of QoS 2 messages that came in and were not released yet.
///
/// Clients release in the order of sending, so the oldest is looked at first; a search runs over
/// consecutive 16-bit numbers.
struct PacketIDSet {
    private var identifiers: [UInt16] = []
    /// Where the oldest stands; what lies before it has been released.
    private var head = 0

    var count: Int { identifiers.count - head }

    func contains(_ identifier: UInt16) -> Bool {
        var index = head
        while index < identifiers.count {
            if identifiers[index] == identifier { return true }
            index += 1
        }
        return false
    }

    /// Adds an identifier that is not in the set.
    mutating func insert(_ identifier: UInt16) { identifiers.append(identifier) }

    /// Returns whether it was there.
    mutating func remove(_ identifier: UInt16) -> Bool {
        guard count > 0 else { return false }
        if identifiers[head] == identifier {
            head += 1
            compact()
            return true
        }
        guard let index = identifiers[head...].firstIndex(of: identifier) else { return false }
        identifiers.remove(at: index)
        return true
    }

    private mutating func compact() {
        if head == identifiers.count {
            identifiers.removeAll(keepingCapacity: identifiers.capacity <= 64)
            head = 0
        } else if head >= 64 && head * 2 >= identifiers.count {
            identifiers.removeFirst(head)
            head = 0
        }
    }
}
