import Glibc

/// How many descriptors this process may have, RLIMIT_NOFILE of getrlimit(2).
public enum DescriptorLimit {
    /// Raises the limit to `wanted`, as far as that goes; never lowers it. Returns what it is then.
    ///
    /// A shell gives 1,024, and allows more to who asks: select(2) could not do with more.
    @discardableResult
    public static func raise(to wanted: Int) -> Int {
        var limit = rlimit()
        // SAFETY: the kernel fills or reads the struct within the calls.
        guard unsafe getrlimit(Int32(RLIMIT_NOFILE.rawValue), &limit) == 0 else { return .max }
        if limit.rlim_cur < rlim_t(wanted) {
            limit.rlim_cur = min(rlim_t(wanted), limit.rlim_max)
            _ = unsafe setrlimit(Int32(RLIMIT_NOFILE.rawValue), &limit)
            _ = unsafe getrlimit(Int32(RLIMIT_NOFILE.rawValue), &limit)
        }
        return Int(clamping: limit.rlim_cur)
    }
}
