/// A unit of the SenML registry (RFC 8428, 12.1, and the additions of RFC 8798).
public struct Unit: Hashable, Sendable, CustomStringConvertible {
    /// The symbol as it stands in `u`.
    public let symbol: String

    /// `nil` for a symbol that the registry does not have; see `Unit.all`.
    public init?(_ symbol: String) {
        guard Self.table.contains(where: { $0.symbol == symbol }) else { return nil }
        self.symbol = symbol
    }

    private init(known symbol: String) { self.symbol = symbol }

    public static let celsius = Unit(known: "Cel")
    public static let relativeHumidity = Unit(known: "%RH")
    public static let ratio = Unit(known: "/")
    public static let percent = Unit(known: "%")
    public static let second = Unit(known: "s")
    public static let byte = Unit(known: "B")

    /// What the unit measures, in words.
    public var quantity: String {
        Self.table.first { $0.symbol == symbol }?.quantity ?? ""
    }

    public var description: String { symbol }

    /// Every symbol, in the registry's order.
    public static var all: [Unit] { table.map { Unit(known: $0.symbol) } }

    private static let table: [(symbol: String, quantity: String)] = [
        ("m", "length"), ("kg", "mass"), ("g", "mass"), ("s", "time"), ("A", "electric current"),
        ("K", "temperature"), ("cd", "luminous intensity"), ("mol", "amount of substance"),
        ("Hz", "frequency"), ("rad", "angle"), ("sr", "solid angle"), ("N", "force"),
        ("Pa", "pressure"), ("J", "energy"), ("W", "power"), ("C", "electric charge"),
        ("V", "voltage"), ("F", "capacitance"), ("Ohm", "resistance"), ("S", "conductance"),
        ("Wb", "magnetic flux"), ("T", "magnetic flux density"), ("H", "inductance"),
        ("Cel", "temperature"), ("lm", "luminous flux"), ("lx", "illuminance"),
        ("Bq", "radioactivity"), ("Gy", "absorbed radiation dose"),
        ("Sv", "equivalent radiation dose"), ("kat", "catalytic activity"), ("m2", "area"),
        ("m3", "volume"), ("l", "volume"), ("m/s", "velocity"), ("m/s2", "acceleration"),
        ("m3/s", "flow rate"), ("l/s", "flow rate"), ("W/m2", "irradiance"),
        ("cd/m2", "luminance"), ("bit", "information content"), ("bit/s", "data rate"),
        ("lat", "latitude"), ("lon", "longitude"), ("pH", "acidity"), ("dB", "sound level"),
        ("dBW", "power level"), ("Bspl", "sound pressure level"), ("count", "counter"),
        ("/", "ratio, 0 to 1"), ("%", "ratio, 0 to 100"), ("%RH", "relative humidity"),
        ("%EL", "battery level"), ("EL", "battery time left"), ("1/s", "event rate"),
        ("1/min", "event rate"), ("beat/min", "heart rate"), ("beats", "heart beats"),
        ("S/m", "conductivity"), ("B", "information content"), ("VA", "apparent power"),
        ("VAs", "apparent energy"), ("var", "reactive power"), ("vars", "reactive energy"),
        ("J/m", "energy per distance"), ("kg/m3", "density"), ("deg", "angle"),
        ("NTU", "turbidity"),
        ("ms", "time"), ("min", "time"), ("h", "time"), ("MHz", "frequency"), ("kW", "power"),
        ("kVA", "apparent power"), ("kvar", "reactive power"), ("Ah", "electric charge"),
        ("Wh", "energy"), ("kWh", "energy"), ("varh", "reactive energy"),
        ("kvarh", "reactive energy"), ("kVAh", "apparent energy"), ("Wh/km", "energy per distance"),
        ("KiB", "information content"), ("GB", "information content"), ("Mbit/s", "data rate"),
        ("B/s", "data rate"), ("MB/s", "data rate"), ("mV", "voltage"), ("mA", "electric current"),
        ("dBm", "power level"), ("ug/m3", "density"), ("mm/h", "precipitation"),
        ("m/h", "precipitation"), ("ppm", "concentration"), ("/100", "ratio, 0 to 100"),
        ("/1000", "ratio, 0 to 1000"), ("hPa", "pressure"), ("mm", "length"), ("cm", "length"),
        ("km", "length"), ("km/h", "velocity"),
    ]
}
