public import FleetModel
public import GPIO

/// Where a sensor's values come from.
public enum SensorSource: Hashable, Sendable {
    /// The load average over 1, 5 or 15 minutes (proc_loadavg(5)).
    case load(minutes: Int)
    /// Memory that is not available to programs, in percent (proc_meminfo(5)).
    case memory
    /// Disk space that is used, in percent as df(1) counts it, of the file system that holds a path.
    case disk(path: String)
    /// Seconds since boot (proc_uptime(5)).
    case uptime
    /// A thermal zone by its number (`0`) or type (`cpu-thermal`); the first one when `nil`.
    case thermal(zone: String?)
    /// An input of a hardware monitor: the chip's name and the input (`temp1`, `in0`).
    case hwmon(chip: String, input: String)
    /// A DS18B20 by its 1-Wire id (`28-0316a2795f12`); the only one on the bus when `nil`.
    case oneWire(id: String?)
    /// The level of an input line, 0 or 1.
    case gpio(GPIOLineRequest)
    case simulated(Simulation)

    /// The unit where the configuration names none.
    public var defaultUnit: Unit? {
        switch self {
        case .load, .gpio: nil
        case .memory, .disk: .percent
        case .uptime: .second
        case .thermal, .oneWire, .simulated: .celsius
        case .hwmon(_, let input): HardwareMonitor.quantity(of: input)?.unit
        }
    }

    /// The word in `source = "…"` and in `info`.
    public var word: String {
        switch self {
        case .load: "load"
        case .memory: "memory"
        case .disk: "disk"
        case .uptime: "uptime"
        case .thermal: "thermal"
        case .hwmon: "hwmon"
        case .oneWire: "w1"
        case .gpio: "gpio"
        case .simulated: "simulated"
        }
    }

    /// Reads a source that is a file of the kernel; may block for as long as the driver takes.
    func readKernel(_ roots: KernelRoots) throws(SensorFailure) -> Double {
        switch self {
        case .load(let minutes): try Machine.load(roots, minutes: minutes)
        case .memory: try Machine.memory(roots).usedPercent
        case .disk(let path): try Machine.disk(at: path).usedPercent
        case .uptime: try Machine.uptimeSeconds(roots)
        case .thermal(let zone): try ThermalZone.temperature(roots, zone: zone)
        case .hwmon(let chip, let input):
            try HardwareMonitor.value(roots, chip: chip, input: input)
        case .oneWire(let id): try OneWire.temperature(roots, id: id)
        case .gpio, .simulated: throw SensorFailure("not a file of the kernel")
        }
    }
}

extension Health.Space {
    /// In percent, to two places: more would only be noise.
    fileprivate var usedPercent: Double {
        ((1 - availableRatio) * 10_000).rounded() / 100
    }
}
