import CAllocationCount
import Glibc

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
