/// A page of metrics in Prometheus's text format 0.0.4, made from top to bottom.
///
///     page.counter("fleet_broker_connections_opened_total", "Connections accepted.", 12)
///     page.gauge("fleet_broker_clients", "Clients connected.") { family in
///         family.sample(3, ["version": "5.0"])
///     }
///
/// Names are constants of the program; label values may hold any text.
public struct PrometheusText: Sendable {
    public static let contentType = "text/plain; version=0.0.4; charset=utf-8"

    public private(set) var bytes: [UInt8] = []

    public init() {}

    /// A number that only grows; its name ends in `_total`.
    public mutating func counter(_ name: String, _ help: String, _ value: UInt64) {
        counter(name, help) { $0.sample(value) }
    }

    public mutating func counter(
        _ name: String, _ help: String, _ samples: (inout Family) -> Void
    ) {
        precondition(name.hasSuffix("_total"), "a counter's name ends in _total")
        append(name, "counter", help, samples)
    }

    /// A number that goes up and down.
    public mutating func gauge(_ name: String, _ help: String, _ value: Int) {
        gauge(name, help) { $0.sample(value) }
    }

    public mutating func gauge(_ name: String, _ help: String, _ value: Double) {
        gauge(name, help) { $0.sample(value) }
    }

    public mutating func gauge(
        _ name: String, _ help: String, _ samples: (inout Family) -> Void
    ) {
        append(name, "gauge", help, samples)
    }

    private mutating func append(
        _ name: String, _ type: String, _ help: String, _ samples: (inout Family) -> Void
    ) {
        var family = Family(name)
        samples(&family)
        // A family without samples would only be a name.
        guard !family.text.isEmpty else { return }
        bytes += "# HELP \(name) \(Self.escaped(help, quotes: false))\n".utf8
        bytes += "# TYPE \(name) \(type)\n".utf8
        bytes += family.text.utf8
    }

    static func escaped(_ text: String, quotes: Bool) -> String {
        var result = ""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\\": result += "\\\\"
            case "\n": result += "\\n"
            case "\"" where quotes: result += "\\\""
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result
    }

    /// The samples of one metric.
    public struct Family {
        private let name: String
        var text = ""

        init(_ name: String) { self.name = name }

        public typealias Labels = KeyValuePairs<String, String>

        public mutating func sample(_ value: some BinaryInteger, _ labels: Labels = [:]) {
            append(labels, "\(value)")
        }

        public mutating func sample(_ value: Double, _ labels: Labels = [:]) {
            let written =
                value.isNaN ? "NaN" : value.isInfinite ? (value < 0 ? "-Inf" : "+Inf") : "\(value)"
            append(labels, written)
        }

        private mutating func append(_ labels: Labels, _ value: String) {
            text += name
            if !labels.isEmpty {
                let pairs = labels.map { "\($0)=\"\(PrometheusText.escaped($1, quotes: true))\"" }
                text += "{" + pairs.joined(separator: ",") + "}"
            }
            text += " \(value)\n"
        }
    }
}
