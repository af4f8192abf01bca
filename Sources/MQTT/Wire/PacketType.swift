/// The type of a control packet: the upper four bits of its first byte (2.2.1 of 3.1.1, 2.1.2 of 5.0).
public enum PacketType: UInt8, Hashable, Sendable, CaseIterable {
    case connect = 1
    case connAck = 2
    case publish = 3
    case pubAck = 4
    case pubRec = 5
    case pubRel = 6
    case pubComp = 7
    case subscribe = 8
    case subAck = 9
    case unsubscribe = 10
    case unsubAck = 11
    case pingReq = 12
    case pingResp = 13
    case disconnect = 14
    case auth = 15

    /// The lower four bits of the first byte as the table of 2.2.2 (5.0: 2.1.3) asks.
    ///
    /// PUBLISH has flags of its own there.
    var fixedFlags: UInt8 {
        switch self {
        case .pubRel, .subscribe, .unsubscribe: 0b0010
        default: 0
        }
    }
}
