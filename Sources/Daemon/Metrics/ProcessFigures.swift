import IO

/// What the kernel says of this process, proc(5).
public struct ProcessFigures: Sendable, Equatable {
    /// User and system time.
    public var cpuSeconds: Double
    public var residentBytes: Int
    /// The part of it that is no file's: what the process itself asked for.
    public var anonymousBytes: Int
    public var virtualBytes: Int
    public var threads: Int
    /// Descriptors open; `nil` where the kernel does not say it at once.
    public var openDescriptors: Int?
    public var maximumDescriptors: Int?
    /// Unix time.
    public var startSeconds: Double?

    /// Reads them below `root`; `nil` where there is no /proc.
    public static func read(root: String = "/proc") -> ProcessFigures? {
        guard let stat = text(root + "/self/stat"), let figures = ProcessFigures(stat: stat) else {
            return nil
        }
        var found = figures
        if let status = text(root + "/self/status") {
            found.residentBytes = kibibytes("VmRSS", status)
            found.anonymousBytes = kibibytes("RssAnon", status)
        }
        found.openDescriptors = descriptors(root)
        found.maximumDescriptors = text(root + "/self/limits").flatMap(softLimit)
        if let boot = text(root + "/stat").flatMap(bootTime) { found.startSeconds? += boot }
        return found
    }

    /// Ticks of proc(5) a second: 100 on every Linux that Debian has, sysconf(3).
    private static let ticks = 100.0

    /// `/proc/self/stat`; the start is counted from the boot.
    init?(stat: String) {
        // The name, in parentheses, may hold anything; nothing behind it holds a parenthesis.
        guard let end = stat.lastIndex(of: ")") else { return nil }
        let fields = stat[stat.index(after: end)...].split(separator: " ").map { Int($0) }
        // The third field is the first here.
        func field(_ number: Int) -> Int? {
            fields.indices.contains(number - 3) ? fields[number - 3] : nil
        }
        guard let user = field(14), let system = field(15), let threads = field(20),
            let start = field(22), let virtual = field(23)
        else { return nil }
        cpuSeconds = (Double(user) + Double(system)) / Self.ticks
        self.threads = threads
        startSeconds = Double(start) / Self.ticks
        virtualBytes = virtual
        residentBytes = 0
        anonymousBytes = 0
    }

    /// Since Linux 6.2 the folder's size is their number. Before, each would have to be looked at, which
    /// takes milliseconds where there are ten thousand.
    private static func descriptors(_ root: String) -> Int? {
        let folder = root + "/self/fd"
        if let size = try? Files.status(folder).byteCount, size > 0 { return Int(size) }
        return nil
    }

    private static func softLimit(_ limits: String) -> Int? {
        let line = limits.split(separator: "\n").first { $0.hasPrefix("Max open files") }
        return line.flatMap { Int($0.split(separator: " ").dropFirst(3).first ?? "") }
    }

    private static func bootTime(_ stat: String) -> Double? {
        let line = stat.split(separator: "\n").first { $0.hasPrefix("btime ") }
        return line.flatMap { Double($0.dropFirst(6)) }
    }

    /// A size of `/proc/self/status`, such as `RssAnon:   1024 kB`, in bytes.
    private static func kibibytes(_ name: String, _ status: String) -> Int {
        let line = status.split(separator: "\n").first { $0.hasPrefix(name + ":") }
        let number = line?.split { $0 == " " || $0 == "\t" }.dropFirst().first
        return (Int(number ?? "") ?? 0).multipliedReportingOverflow(by: 1024).partialValue
    }

    private static func text(_ path: String) -> String? {
        (try? Files.read(path, limit: 1 << 20)).map { String(decoding: $0, as: UTF8.self) }
    }
}
