extension InFlightWindow {
    /// An entry as a store keeps it.
    public struct Kept {
        public var id: UInt16
        public var stage: Stage
        /// Orders the entries that wait for PUBCOMP by the arrival of their PUBREC.
        public var releaseOrder: UInt64
        public var payload: Payload

        public init(id: UInt16, stage: Stage, releaseOrder: UInt64, payload: Payload) {
            self.id = id
            self.stage = stage
            self.releaseOrder = releaseOrder
            self.payload = payload
        }
    }

    /// The window that a process before this one left; none of it has been sent yet on a connection.
    ///
    /// - Parameter kept: in the order in which they were first sent. One whose identifier does not
    ///   fit behind those before it (the store was damaged) is left out.
    public init(restoring kept: [Kept], maximumSpan: Int) {
        self.init(firstID: kept.first?.id ?? 1, maximumSpan: maximumSpan)
        var releasing: [(order: UInt64, id: UInt16)] = []
        for entry in kept {
            let gaps = PacketIDAllocator.steps(from: nextID, to: entry.id)
            guard entry.id != 0, stage(of: entry.id) == nil, gaps < maximumSpan else { continue }
            for _ in 0..<gaps {
                // What was completed meanwhile.
                guard let gap = append(entry.payload, stage: entry.stage) else { break }
                _ = complete(gap)
            }
            let isReleased = entry.stage == .awaitingPubComp
            guard nextID == entry.id,
                append(entry.payload, stage: isReleased ? .awaitingPubRec : entry.stage) != nil
            else { continue }
            if isReleased { releasing.append((entry.releaseOrder, entry.id)) }
        }
        for released in releasing.sorted(by: { $0.order < $1.order }) { release(released.id) }
        beginResend()
    }

    /// Everything that is open, in the order in which it was first sent.
    public func kept() -> [Kept] {
        var found: [Kept] = []
        var id = oldestID
        while found.count < count {
            if let stage = stage(of: id), let payload = payload(of: id) {
                found.append(
                    Kept(
                        id: id, stage: stage, releaseOrder: releaseOrder(of: id), payload: payload))
            }
            id = PacketIDAllocator.successor(of: id)
        }
        return found
    }
}
