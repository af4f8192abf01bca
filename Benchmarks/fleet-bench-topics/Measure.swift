import CAllocationCount
import Glibc

/// SplitMix64.
struct SeededGenerator: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = (state ^ (state >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }
}

/// What `body` takes of the processor, clock_gettime(2): what other processes take does not count.
func cpuNanoseconds(_ body: () -> Void) -> Double {
    func now() -> Double {
        var time = timespec()
        // SAFETY: the kernel fills the struct that lives for the call.
        _ = unsafe clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
        return Double(time.tv_sec) * 1e9 + Double(time.tv_nsec)
    }
    let start = now()
    body()
    return now() - start
}

/// The fastest of several runs, and how often all of them asked for memory.
struct Measurement {
    let nanoseconds: Double
    let allocations: UInt64

    /// Runs `body`, which does `operations` operations, once to warm up and then `runs` times.
    init(operations: Int, runs: Int = 5, _ body: () -> Void) {
        body()
        var best = Double.infinity
        let before = allocation_count()
        for _ in 0..<runs { best = min(best, cpuNanoseconds(body)) }
        allocations = allocation_count() - before
        nanoseconds = best / Double(operations)
    }
}

/// Right-aligned in `width` columns, with one decimal.
func column(_ value: Double, _ width: Int = 9) -> String {
    let tenths = Int(value * 10 + 0.5)
    return column("\(tenths / 10).\(tenths % 10)", width)
}

func column(_ text: some CustomStringConvertible, _ width: Int = 9) -> String {
    let text = text.description
    return String(repeating: " ", count: max(0, width - text.count)) + text
}
