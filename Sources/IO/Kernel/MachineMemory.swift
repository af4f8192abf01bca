import Glibc

/// The memory that this process may have.
public enum MachineMemory {
    /// Bytes of the machine's memory, sysconf(3), or of the least that a control group above this process
    /// has (`memory.max`, cgroups(7)): a service or a container is killed above that.
    public static func total() -> Int {
        let pages = sysconf(Int32(_SC_PHYS_PAGES))
        let size = sysconf(Int32(_SC_PAGESIZE))
        let machine = pages > 0 && size > 0 ? pages * size : 1 << 30
        return min(machine, groupLimit(root: "/sys/fs/cgroup", own: text("/proc/self/cgroup")))
    }

    /// - Parameter own: what /proc/self/cgroup says.
    static func groupLimit(root: String, own: String) -> Int {
        // Version 2 has one line that counts here: "0::/system.slice/fleet-broker.service".
        guard let line = own.split(separator: "\n").first(where: { $0.hasPrefix("0::/") }) else {
            return .max
        }
        var path = root
        var limit = Int.max
        for part in [Substring()] + line.dropFirst(4).split(separator: "/") {
            if !part.isEmpty { path += "/" + part }
            let value = text(path + "/memory.max").prefix { $0 != "\n" }
            // "max" is no limit; the root has no such file.
            limit = min(limit, Int(value) ?? .max)
        }
        return limit
    }

    private static func text(_ path: String) -> String {
        let bytes = (try? Files.read(path, limit: 64 * 1024)) ?? []
        return String(decoding: bytes, as: UTF8.self)
    }
}
