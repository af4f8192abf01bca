public import FleetModel
import IO

/// What this machine is and how it is, from the kernel's folders. Calls may block.
public struct MachineFacts: Sendable {
    public let roots: KernelRoots

    public init(_ roots: KernelRoots) { self.roots = roots }

    private var deviceTree: String { roots.sys + "/firmware/devicetree/base" }

    /// The inventory of `info`, without the agent's sensors.
    ///
    /// - Parameter serial: the board's.
    public func info(instance: Instance, serial: String?) -> Info {
        var info = Info()
        info.instance = instance
        info.model =
            KernelFile.line(deviceTree + "/model")
            ?? KernelFile.line(roots.sys + "/class/dmi/id/product_name")
        info.serial = serial
        info.operatingSystem = operatingSystem
        info.kernel = KernelFile.line(roots.proc + "/sys/kernel/osrelease")
        info.architecture = Self.architecture
        info.addresses = NetworkAddresses.all(roots)
        let packages = installedPackages(prefix: "fleet-")
        info.packages = packages.isEmpty ? [("fleet-agent", FleetVersion.current)] : packages
        return info
    }

    private var operatingSystem: String? {
        guard let text = try? KernelFile.text(roots.root + "/etc/os-release") else { return nil }
        let line = text.split(separator: "\n").first { $0.hasPrefix("PRETTY_NAME=") }
        return line.map { String($0.dropFirst("PRETTY_NAME=".count).filter { $0 != "\"" }) }
    }

    private static var architecture: String {
        #if arch(arm64)
            "arm64"
        #elseif arch(x86_64)
            "amd64"
        #else
            "unknown"
        #endif
    }

    /// The installed Debian packages whose name begins so, by name; none without dpkg(1).
    public func installedPackages(prefix: String = "") -> [(name: String, version: String)] {
        InstalledPackages.read(roots, prefix: prefix)
    }

    // MARK: What it can measure

    public var hasThermalZone: Bool { !ThermalZone.zones(roots).isEmpty }

    /// Ids of the thermometers on the 1-Wire bus.
    public var oneWireIDs: [String] { OneWire.ids(roots) }

    // MARK: How it is

    /// A sample of `health`; what cannot be read is left out. Time and clock are the core's.
    public func health(diskPath: String) -> Health {
        Health(
            taken: .uptime(milliseconds: 0),
            uptimeSeconds: try? Machine.uptimeSeconds(roots),
            load: (try? Machine.loads(roots)) ?? [], memory: try? Machine.memory(roots),
            disk: try? Machine.disk(at: diskPath), temperature: processorTemperature,
            throttled: throttled, clockSynchronised: false, bytesWritten: bytesWritten)
    }

    private var processorTemperature: Double? {
        let zone = ThermalZone.zones(roots).first { _, type in
            ["cpu-thermal", "soc-thermal", "x86_pkg_temp"].contains(type)
        }
        return try? ThermalZone.temperature(roots, zone: zone?.name)
    }

    /// Raspberry Pi's firmware: hexadecimal, as `vcgencmd get_throttled` shows it.
    private var throttled: Int? {
        let path = roots.sys + "/devices/platform/soc/soc:firmware/get_throttled"
        guard let text = KernelFile.line(path) else { return nil }
        return Int(text.hasPrefix("0x") ? String(text.dropFirst(2)) : text, radix: 16)
    }

    /// Sectors written to real disks and cards, of 512 bytes whatever the disk says
    /// (the kernel's Documentation/block/stat).
    private var bytesWritten: Int? {
        let folder = roots.sys + "/block"
        let disks = KernelFile.names(in: folder).filter { name in
            ["mmcblk", "nvme", "sd", "vd"].contains { name.hasPrefix($0) }
        }
        var bytes: Int?
        for disk in disks {
            guard let words = KernelFile.line("\(folder)/\(disk)/stat")?.split(separator: " "),
                words.count > 6, let sectors = Int(words[6]), 0..<(1 << 50) ~= sectors
            else { continue }
            bytes = (bytes ?? 0) + sectors * 512
        }
        return bytes
    }

    /// Whether civil time can be trusted since this boot.
    ///
    /// A time service has set it; or the machine has a clock of its own that set it at boot; or it is
    /// a PC or a virtual machine, which always has one, even where a container hides it.
    public var isClockTrustworthy: Bool {
        if SystemClock.isSynchronized { return true }
        if Files.exists(roots.root + "/run/systemd/timesync/synchronized") { return true }
        // A clock without a battery starts in 1970.
        let isSane = SystemClock.unixMilliseconds() > Self.firstOf2024
        if KernelFile.line(roots.sys + "/class/rtc/rtc0/hctosys") == "1" { return isSane }
        return isSane && !Files.exists(deviceTree)
    }

    private static let firstOf2024: Int64 = 1_704_067_200_000
}
