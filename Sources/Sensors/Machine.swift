import FleetModel
import IO

/// Load, memory, disk and uptime of the machine.
enum Machine {
    static func load(_ roots: KernelRoots, minutes: Int) throws(SensorFailure) -> Double {
        let averages = try loads(roots)
        switch minutes {
        case 5: return averages[1]
        case 15: return averages[2]
        default: return averages[0]
        }
    }

    /// The averages over 1, 5 and 15 minutes.
    static func loads(_ roots: KernelRoots) throws(SensorFailure) -> [Double] {
        let words = try KernelFile.text(roots.proc + "/loadavg").split(separator: " ")
        var averages: [Double] = []
        for index in 0..<3 {
            averages.append(try KernelFile.number(index < words.count ? words[index] : nil))
        }
        return averages
    }

    static func memory(_ roots: KernelRoots) throws(SensorFailure) -> Health.Space {
        let lines = try KernelFile.text(roots.proc + "/meminfo").split(separator: "\n")
        func kibibytes(_ name: String) throws(SensorFailure) -> Int {
            guard let line = lines.first(where: { $0.hasPrefix(name + ":") }) else {
                throw SensorFailure("meminfo has no \(name)")
            }
            let words = line.split(separator: " ")
            let value = try KernelFile.number(words.count > 1 ? words[1] : nil)
            guard value < 0x1p50 else { throw SensorFailure("\(name) is absurd") }
            return Int(value) * 1024
        }
        let total = try kibibytes("MemTotal")
        let available = try kibibytes("MemAvailable")
        guard total > 0, available <= total else {
            throw SensorFailure("more memory available than there is")
        }
        return Health.Space(total: total, available: available)
    }

    /// As df(1) counts: what root alone may use is neither used nor available.
    static func disk(at path: String) throws(SensorFailure) -> Health.Space {
        let space: FileSystemSpace
        do throws(IOError) {
            space = try Files.space(at: path)
        } catch {
            throw SensorFailure("\(path): \(error.code)")
        }
        let used = space.totalBytes - min(space.freeBytes, space.totalBytes)
        let total = used + space.availableBytes
        guard total > 0 else { throw SensorFailure("\(path) has no size") }
        return Health.Space(
            total: Int(clamping: total), available: Int(clamping: space.availableBytes))
    }

    static func uptimeSeconds(_ roots: KernelRoots) throws(SensorFailure) -> Double {
        try KernelFile.number(
            KernelFile.text(roots.proc + "/uptime").split(separator: " ").first)
    }
}
