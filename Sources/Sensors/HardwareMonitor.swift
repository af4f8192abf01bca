import FleetModel

/// Inputs of /sys/class/hwmon (the kernel's Documentation/hwmon/sysfs-interface).
enum HardwareMonitor {
    /// What an input's prefix says: its unit, and how many of the file's steps make one.
    struct Quantity {
        var unit: Unit?
        var divisor: Double
    }

    /// `nil` for an input that is not `<kind><number>` of a known kind.
    static func quantity(of input: String) -> Quantity? {
        let kind = input.prefix { !$0.isNumber }
        guard let number = Int(input.dropFirst(kind.count)), number >= 0 else { return nil }
        switch kind {
        case "temp": return Quantity(unit: .celsius, divisor: 1000)
        case "humidity": return Quantity(unit: .relativeHumidity, divisor: 1000)
        case "in": return Quantity(unit: Unit("V"), divisor: 1000)
        case "curr": return Quantity(unit: Unit("A"), divisor: 1000)
        case "power": return Quantity(unit: Unit("W"), divisor: 1_000_000)
        case "energy": return Quantity(unit: Unit("J"), divisor: 1_000_000)
        case "fan": return Quantity(unit: Unit("1/min"), divisor: 1)
        default: return nil
        }
    }

    /// Chips are renumbered at every boot, so they are found by their name, each time.
    static func value(
        _ roots: KernelRoots, chip: String, input: String
    ) throws(SensorFailure) -> Double {
        guard let quantity = quantity(of: input) else {
            throw SensorFailure("'\(input)' is no input of a hardware monitor")
        }
        let folder = roots.sys + "/class/hwmon"
        let found = KernelFile.numbered("hwmon", in: folder).first {
            KernelFile.line("\(folder)/\($0)/name") == chip || $0 == chip
        }
        guard let found else { throw SensorFailure("there is no hardware monitor \(chip)") }
        if let fault = try? KernelFile.integer("\(folder)/\(found)/\(input)_fault"), fault != 0 {
            throw SensorFailure("the chip reports a fault of \(input)")
        }
        let raw = try KernelFile.integer("\(folder)/\(found)/\(input)_input")
        if input.hasPrefix("temp") { return try Temperature.celsius(milli: raw) }
        return Double(raw) / quantity.divisor
    }
}
