/// Temperatures of /sys/class/thermal (the kernel's Documentation/driver-api/thermal).
enum ThermalZone {
    private static func folder(_ roots: KernelRoots) -> String { roots.sys + "/class/thermal" }

    /// The zones of this machine: number and type, `cpu-thermal` on a Raspberry Pi.
    static func zones(_ roots: KernelRoots) -> [(name: String, type: String)] {
        KernelFile.numbered("thermal_zone", in: folder(roots)).map { name in
            (name, KernelFile.line("\(folder(roots))/\(name)/type") ?? "")
        }
    }

    /// Degrees Celsius.
    static func temperature(
        _ roots: KernelRoots, zone: String?
    ) throws(SensorFailure) -> Double {
        let zones = zones(roots)
        let found = zones.first { name, type in
            guard let zone else { return true }
            return type == zone || name == "thermal_zone" + zone || name == zone
        }
        guard let found else {
            throw SensorFailure(zone.map { "there is no thermal zone \($0)" } ?? "no thermal zone")
        }
        let value = try KernelFile.integer("\(folder(roots))/\(found.name)/temp")
        return try Temperature.celsius(milli: value)
    }
}

/// What no sensor of a computer can mean.
enum Temperature {
    /// Degrees Celsius of the kernel's thousandths; what lies below absolute zero or far above any
    /// sensor's range is a lie.
    static func celsius(milli: Int) throws(SensorFailure) -> Double {
        guard -273_150...1_000_000 ~= milli else {
            throw SensorFailure("absurd temperature: \(milli) thousandths of a degree")
        }
        return Double(milli) / 1000
    }
}
