/// A name and a value that travel with a packet, in order; the same name may come more than once.
public struct UserProperty: Hashable, Sendable {
    public var name: [UInt8]
    public var value: [UInt8]

    public init(name: [UInt8], value: [UInt8]) {
        self.name = name
        self.value = value
    }

    public init(_ name: String, _ value: String) {
        self.init(name: Array(name.utf8), value: Array(value.utf8))
    }
}

/// The properties of an application message in MQTT 5.0 (3.3.2.3); 3.1.1 carries none of them.
public struct MessageProperties: Hashable, Sendable {
    /// Whether the payload says that it is UTF-8 text.
    public var payloadIsText: Bool = false
    /// Seconds after which the server drops the message.
    public var messageExpiryInterval: UInt32?
    /// A MIME type or what the application agreed on; UTF-8.
    public var contentType: [UInt8]?
    /// The topic for an answer; UTF-8, no wildcards.
    public var responseTopic: [UInt8]?
    /// What the answer repeats, so that the asker knows it.
    public var correlationData: [UInt8]?
    /// In order.
    public var userProperties: [UserProperty] = []

    public init() {}

    /// The first user property with this name.
    public func userProperty(_ name: String) -> [UInt8]? {
        userProperties.first { $0.name.elementsEqual(name.utf8) }?.value
    }
}
