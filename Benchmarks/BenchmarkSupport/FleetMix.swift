import MQTT

/// Filters and topics as a fleet has them: many nodes, few words.
public struct FleetMix {
    public static let description = """
        mix of filters: 60 % fleet/v1/S/N/cmd/#, 20 % fleet/v1/S/N/status, 10 % fleet/v1/S/N/m/+,
        5 % fleet/v1/S/+/alarm/#, 5 % fleet/v1/S/_all/cmd/#; one site for each 40 filters,
        30 nodes at each. Topics: m/SENSOR, status, cmd/ping/ID, alarm/SENSOR/high, health of a
        random node, one in ten of a node that nobody asks for.
        """

    private let sites: Int
    private var generator: SeededGenerator

    public init(filters: Int, seed: UInt64) {
        sites = max(1, filters / 40)
        generator = SeededGenerator(seed: seed)
    }

    private mutating func node(_ site: Int) -> String {
        "pi-\(String(UInt32(truncatingIfNeeded: site &* 7_919 &+ draw(30)), radix: 16))"
    }

    private mutating func draw(_ count: Int) -> Int { Int.random(in: 0..<count, using: &generator) }

    public mutating func filter() -> String {
        let site = draw(sites)
        let prefix = "fleet/v1/site-\(site)"
        switch draw(20) {
        case 0..<12: return "\(prefix)/\(node(site))/cmd/#"
        case 12..<16: return "\(prefix)/\(node(site))/status"
        case 16..<18: return "\(prefix)/\(node(site))/m/+"
        case 18: return "\(prefix)/+/alarm/#"
        default: return "\(prefix)/_all/cmd/#"
        }
    }

    public mutating func topic() -> String {
        let site = draw(sites)
        let name = draw(10) == 0 ? "nobody-\(draw(1_000))" : node(site)
        let prefix = "fleet/v1/site-\(site)/\(name)"
        switch draw(5) {
        case 0: return "\(prefix)/m/temperature"
        case 1: return "\(prefix)/status"
        case 2: return "\(prefix)/cmd/ping/\(draw(1_000_000))"
        case 3: return "\(prefix)/alarm/temperature/high"
        default: return "\(prefix)/health"
        }
    }
}

/// A filter of ours, known to be valid.
public func makeFilter(_ text: String) -> TopicFilter {
    do {
        return try TopicFilter(text)
    } catch {
        preconditionFailure("\(text): \(error)")
    }
}
