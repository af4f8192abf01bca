import MQTT

/// How many clients are connected, by version.
public struct ConnectedClients: Sendable, Equatable {
    public private(set) var v3_1 = 0
    public private(set) var v3_1_1 = 0
    public private(set) var v5_0 = 0

    public init() {}

    public var total: Int { v3_1 + v3_1_1 + v5_0 }

    mutating func count(_ version: ProtocolVersion, _ change: Int) {
        switch version {
        case .v3_1: v3_1 += change
        case .v3_1_1: v3_1_1 += change
        case .v5_0: v5_0 += change
        }
    }

    public static func += (sum: inout ConnectedClients, other: ConnectedClients) {
        sum.v3_1 += other.v3_1
        sum.v3_1_1 += other.v3_1_1
        sum.v5_0 += other.v5_0
    }
}

/// Who a CONNECT says that it comes from, unchecked; for people who look for a client that cannot connect.
final class ClientClaim: Sendable {
    let clientID: [UInt8]
    let user: [UInt8]?

    init(_ connect: Connect, _ source: Span<UInt8>) {
        clientID = [UInt8](copying: source.extracting(connect.clientID.range))
        user = connect.username.map { [UInt8](copying: source.extracting($0.range)) }
    }
}
