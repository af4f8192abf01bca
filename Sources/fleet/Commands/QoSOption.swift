import ArgumentParser
import MQTT

/// A quality of service on the command line: 0, 1 or 2.
struct QoSOption: ExpressibleByArgument, Hashable {
    let qos: QoS

    init(_ qos: QoS) { self.qos = qos }

    init?(argument: String) {
        guard let number = UInt8(argument), let qos = QoS(rawValue: number) else { return nil }
        self.qos = qos
    }

    static var allValueStrings: [String] { ["0", "1", "2"] }
    var defaultValueDescription: String { "\(qos.rawValue)" }
}
