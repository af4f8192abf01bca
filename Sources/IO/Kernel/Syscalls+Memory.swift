import CLinux
import Glibc

extension Syscalls {
    /// Takes program and library code out of this process's resident memory, madvise(2).
    ///
    /// Only whole mappings that the loader never writes to: code, and the read-only beginning of each
    /// file. Such a page is the file's own, and is mapped again, from the page cache, where it is used.
    static func releaseCode(maps: String) {
        for line in maps.split(separator: "\n") {
            let fields = line.split(separator: " ", omittingEmptySubsequences: true)
            guard fields.count >= 6, fields[5].hasPrefix("/"), isCode(fields[1], at: fields[2])
            else { continue }
            let ends = fields[0].split(separator: "-").compactMap { UInt($0, radix: 16) }
            guard ends.count == 2, ends[0] < ends[1] else { continue }
            // SAFETY: a private mapping of a file, never written to; its pages come back as they were.
            unsafe madvise(
                UnsafeMutableRawPointer(bitPattern: ends[0]), Int(ends[1] - ends[0]), MADV_DONTNEED)
        }
    }

    /// Gives back what lies below the calling function on the main thread's stack, where the start was deeper.
    static func releaseStack(maps: String) {
        guard let line = maps.split(separator: "\n").first(where: { $0.hasSuffix("[stack]") }),
            let start = UInt(line.prefix { $0 != "-" }, radix: 16)
        else { return }
        var here: UInt8 = 0
        // SAFETY: only the address is looked at.
        let top = unsafe withUnsafePointer(to: &here) { UInt(bitPattern: $0) }
        let end = (top &- stackInUse) & ~4095
        // On another thread's stack there is nothing of this.
        guard top > start, end > start, top - start < maximumStack else { return }
        // SAFETY: below all that functions on this stack, this one among them, have in use; it reads as zero
        // when it is used again.
        unsafe madvise(
            UnsafeMutableRawPointer(bitPattern: start), Int(end - start), MADV_DONTNEED)
    }

    /// What this function and madvise may use below the address that it looks at.
    private static var stackInUse: UInt { 8 * 1024 }
    private static var maximumStack: UInt { 1 << 30 }

    private static func isCode(_ permissions: Substring, at offset: Substring) -> Bool {
        permissions == "r-xp" || permissions == "r--p" && !offset.contains { $0 != "0" }
    }
}

/// This process's memory.
public enum ProcessMemory {
    /// Has `count` threads at most keep free memory of their own, mallopt(3): each of these heaps costs pages,
    /// and a thread that rarely allocates needs none.
    public static func limitHeaps(to count: Int) {
        _ = mallopt(M_ARENA_MAX, Int32(clamping: max(1, count)))
    }

    /// Gives back what is not in use: code leaves the resident memory until it runs again, and freed memory
    /// goes to the kernel. Once a daemon has started, that is nearly half.
    public static func release() {
        guard let maps = try? Files.read("/proc/self/maps", limit: 1 << 20) else { return }
        let text = String(decoding: maps, as: UTF8.self)
        Syscalls.releaseCode(maps: text)
        Syscalls.releaseStack(maps: text)
        // What was allocated and freed meanwhile, malloc_trim(3).
        _ = malloc_trim(0)
    }
}
