/// The packet identifiers of QoS 2 messages that came in and were not released yet.
///
/// A few are searched one by one. A client that releases none may hold all 65,535, and repeat one of
/// them for ever: then there is a bit for each, 8 KiB in all.
struct PacketIDSet {
    /// While `bits` is empty: the identifiers, oldest first.
    private var few: [UInt16] = []
    private var bits: [UInt64] = []
    private(set) var count = 0

    private static let fewAtMost = 64

    func contains(_ identifier: UInt16) -> Bool {
        bits.isEmpty ? few.contains(identifier) : bits[word(identifier)] & bit(identifier) != 0
    }

    /// All of them, the lowest first.
    var all: [UInt16] {
        bits.isEmpty ? few.sorted() : (1...UInt16.max).filter { contains($0) }
    }

    /// Adds an identifier that is not in the set.
    mutating func insert(_ identifier: UInt16) {
        count += 1
        if bits.isEmpty && few.count < Self.fewAtMost { return few.append(identifier) }
        if bits.isEmpty {
            bits = Array(repeating: 0, count: 1 << 10)
            for known in few { bits[word(known)] |= bit(known) }
            few = []
        }
        bits[word(identifier)] |= bit(identifier)
    }

    /// Returns whether it was there.
    mutating func remove(_ identifier: UInt16) -> Bool {
        if bits.isEmpty {
            guard let index = few.firstIndex(of: identifier) else { return false }
            few.remove(at: index)
        } else {
            guard contains(identifier) else { return false }
            bits[word(identifier)] &= ~bit(identifier)
        }
        count -= 1
        if count == 0 { bits = [] }
        return true
    }

    private func word(_ identifier: UInt16) -> Int { Int(identifier >> 6) }
    private func bit(_ identifier: UInt16) -> UInt64 { 1 << UInt64(identifier & 63) }
}
