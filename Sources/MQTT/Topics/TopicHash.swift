/// Keyed hashes for the tables of the trees.
///
/// Whoever picks topics must not be able to pick collisions, so both hashes belong to families of
/// which the seed chooses one: a polynomial over the prime 2^61 - 1 at a secret point for the bytes
/// of a level (two levels of k words collide with probability k / 2^61), and multilinear hashing
/// for pairs of numbers. The seed comes from outside, because cores draw no random numbers.
struct TopicHash: Sendable {
    private let point: UInt64
    private let first: UInt64
    private let second: UInt64
    private let addend: UInt64

    private static let prime: UInt64 = (1 << 61) - 1

    init(seed: UInt64) {
        var state = seed
        // SplitMix64: neighbouring seeds give unrelated keys.
        func next() -> UInt64 {
            state &+= 0x9E37_79B9_7F4A_7C15
            var mixed = (state ^ (state >> 30)) &* 0xBF58_476D_1CE4_E5B9
            mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
            return mixed ^ (mixed >> 31)
        }
        point = max(2, next() & TopicHash.prime)
        first = next() | 1
        second = next() | 1
        addend = next()
    }

    /// Adds one word of at most 56 bits to a polynomial.
    @inline(__always)
    func absorb(_ word: UInt64, into sum: UInt64) -> UInt64 {
        let product = (sum &+ word).multipliedFullWidth(by: point)
        let low = product.low & TopicHash.prime
        let high = (product.low >> 61) | (product.high << 3)
        let folded = low &+ high
        return (folded & TopicHash.prime) &+ (folded >> 61)
    }

    /// The tag of a pair of numbers in a `SlotTable`.
    @inline(__always)
    func tag(_ a: UInt32, _ b: UInt32) -> UInt32 {
        var mixed = addend &+ first &* UInt64(a) &+ second &* UInt64(b)
        // Spreads runs of neighbouring numbers, which linear probing would otherwise pile up.
        mixed = (mixed ^ (mixed >> 32)) &* 0xD6E8_FEB8_6659_FD93
        return UInt32(truncatingIfNeeded: mixed >> 32)
    }

    /// The tag of a finished polynomial.
    @inline(__always)
    func tag(_ sum: UInt64) -> UInt32 {
        tag(UInt32(truncatingIfNeeded: sum), UInt32(truncatingIfNeeded: sum >> 32))
    }
}
