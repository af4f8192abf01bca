/// DS18B20 and their kin on the 1-Wire bus (the kernel's Documentation/w1/slaves/w1_therm).
///
/// A reading converts anew and takes up to 750 ms.
enum OneWire {
    /// Maxim's data sheet: the register's value after power-on, before any conversion. A sensor that
    /// shows it lost its supply; a true 85.000 is indistinguishable and told as suspicious too.
    static let powerOnMilli = 85_000
    /// What libraries and drivers answer for a sensor that is not connected.
    static let disconnectedMilli = -127_000
    /// The data sheet's range.
    static let range = -55_000...125_000

    private static func folder(_ roots: KernelRoots) -> String { roots.sys + "/bus/w1/devices" }

    /// Ids of the thermometers on the bus, by family: DS18S20, DS1822, DS18B20, DS1825, DS28EA00.
    static func ids(_ roots: KernelRoots) -> [String] {
        KernelFile.names(in: folder(roots)).filter { name in
            ["10-", "22-", "28-", "3b-", "42-"].contains { name.hasPrefix($0) }
        }
    }

    static func temperature(_ roots: KernelRoots, id: String?) throws(SensorFailure) -> Double {
        let device = "\(folder(roots))/\(try identify(roots, id: id))"
        let milli: Int
        do throws(SensorFailure) {
            milli = try KernelFile.integer(device + "/temperature")
        } catch let direct {
            // Kernels before 5.10 have only the text form.
            guard let text = try? KernelFile.text(device + "/w1_slave") else { throw direct }
            milli = try parse(text)
        }
        return try check(milli)
    }

    private static func identify(_ roots: KernelRoots, id: String?) throws(SensorFailure) -> String
    {
        if let id { return id }
        let ids = ids(roots)
        guard let first = ids.first else {
            throw SensorFailure("no 1-Wire sensor (is dtoverlay=w1-gpio set, is it wired?)")
        }
        guard ids.count == 1 else {
            throw SensorFailure("\(ids.count) 1-Wire sensors: name one with 'id'")
        }
        return first
    }

    /// `w1_slave`: two lines, `… crc=xx YES` and `… t=23125`.
    static func parse(_ text: String) throws(SensorFailure) -> Int {
        let lines = text.split(separator: "\n")
        guard lines.count >= 2 else { throw SensorFailure("w1_slave is cut short") }
        guard KernelFile.trim(lines[0]).hasSuffix("YES") else {
            throw SensorFailure("checksum error on the 1-Wire bus")
        }
        guard let value = lines[1].split(separator: " ").last(where: { $0.hasPrefix("t=") }) else {
            throw SensorFailure("w1_slave has no t=")
        }
        return try KernelFile.integer(text: String(value.dropFirst(2)))
    }

    static func check(_ milli: Int) throws(SensorFailure) -> Double {
        switch milli {
        case powerOnMilli:
            throw SensorFailure("85 degrees is its power-on value (check the supply)")
        case disconnectedMilli:
            throw SensorFailure("-127 degrees means not connected (check the wiring)")
        case range: return Double(milli) / 1000
        default: throw SensorFailure("outside the sensor's range: \(milli) thousandths")
        }
    }
}
