/// A property of 5.0, by the byte that names it (2.2.2.2).
public enum PropertyIdentifier: UInt8, Hashable, Sendable, CaseIterable {
    case payloadFormatIndicator = 0x01
    case messageExpiryInterval = 0x02
    case contentType = 0x03
    case responseTopic = 0x08
    case correlationData = 0x09
    case subscriptionIdentifier = 0x0B
    case sessionExpiryInterval = 0x11
    case assignedClientIdentifier = 0x12
    case serverKeepAlive = 0x13
    case authenticationMethod = 0x15
    case authenticationData = 0x16
    case requestProblemInformation = 0x17
    case willDelayInterval = 0x18
    case requestResponseInformation = 0x19
    case responseInformation = 0x1A
    case serverReference = 0x1C
    case reasonString = 0x1F
    case receiveMaximum = 0x21
    case topicAliasMaximum = 0x22
    case topicAlias = 0x23
    case maximumQoS = 0x24
    case retainAvailable = 0x25
    case userProperty = 0x26
    case maximumPacketSize = 0x27
    case wildcardSubscriptionAvailable = 0x28
    case subscriptionIdentifierAvailable = 0x29
    case sharedSubscriptionAvailable = 0x2A
}

extension PropertyIdentifier {
    /// The form of a property's value.
    enum ValueType {
        /// A byte that may only be 0 or 1: every one-byte property of 5.0 is so.
        case flag
        case uint16
        case uint32
        case variableByteInteger
        case string
        case topicName
        case binary
        case stringPair
    }

    var valueType: ValueType {
        switch self {
        case .payloadFormatIndicator, .requestProblemInformation, .requestResponseInformation,
            .maximumQoS, .retainAvailable, .wildcardSubscriptionAvailable,
            .subscriptionIdentifierAvailable, .sharedSubscriptionAvailable:
            .flag
        case .serverKeepAlive, .receiveMaximum, .topicAliasMaximum, .topicAlias:
            .uint16
        case .messageExpiryInterval, .sessionExpiryInterval, .willDelayInterval,
            .maximumPacketSize:
            .uint32
        case .subscriptionIdentifier: .variableByteInteger
        case .contentType, .assignedClientIdentifier, .authenticationMethod,
            .responseInformation, .serverReference, .reasonString:
            .string
        case .responseTopic: .topicName
        case .correlationData, .authenticationData: .binary
        case .userProperty: .stringPair
        }
    }

    /// Whether zero is no value that the property may have.
    ///
    /// 3.1.2.11.3 and 3.2.2.3.3, 3.1.2.11.4 and 3.2.2.3.6, [MQTT-3.3.2-8], 3.8.2.1.2.
    var mustNotBeZero: Bool {
        switch self {
        case .receiveMaximum, .maximumPacketSize, .topicAlias, .subscriptionIdentifier: true
        default: false
        }
    }

    /// Where the table of 2.2.2.2 lets the property stand.
    var scopes: PropertyScope {
        switch self {
        case .payloadFormatIndicator, .messageExpiryInterval, .contentType, .responseTopic,
            .correlationData:
            [.publish, .will]
        case .subscriptionIdentifier: [.publish, .subscribe]
        case .sessionExpiryInterval: [.connect, .connAck, .disconnect]
        case .assignedClientIdentifier, .serverKeepAlive, .responseInformation, .maximumQoS,
            .retainAvailable, .wildcardSubscriptionAvailable, .subscriptionIdentifierAvailable,
            .sharedSubscriptionAvailable:
            .connAck
        case .authenticationMethod, .authenticationData: [.connect, .connAck, .auth]
        case .requestProblemInformation, .requestResponseInformation: .connect
        case .willDelayInterval: .will
        case .serverReference: [.connAck, .disconnect]
        case .reasonString:
            [
                .connAck, .pubAck, .pubRec, .pubRel, .pubComp, .subAck, .unsubAck, .disconnect,
                .auth,
            ]
        case .receiveMaximum, .topicAliasMaximum, .maximumPacketSize: [.connect, .connAck]
        case .topicAlias: .publish
        case .userProperty: .everywhere
        }
    }
}

/// A set of places where properties stand: one bit for each packet type, and one for the will.
struct PropertyScope: OptionSet {
    let rawValue: UInt16

    init(rawValue: UInt16) { self.rawValue = rawValue }

    init(_ type: PacketType) { rawValue = 1 << type.rawValue }

    static let will = PropertyScope(rawValue: 1)
    static let connect = PropertyScope(.connect)
    static let connAck = PropertyScope(.connAck)
    static let publish = PropertyScope(.publish)
    static let pubAck = PropertyScope(.pubAck)
    static let pubRec = PropertyScope(.pubRec)
    static let pubRel = PropertyScope(.pubRel)
    static let pubComp = PropertyScope(.pubComp)
    static let subscribe = PropertyScope(.subscribe)
    static let subAck = PropertyScope(.subAck)
    static let unsubscribe = PropertyScope(.unsubscribe)
    static let unsubAck = PropertyScope(.unsubAck)
    static let disconnect = PropertyScope(.disconnect)
    static let auth = PropertyScope(.auth)
    static let everywhere = PropertyScope(rawValue: .max)
}
