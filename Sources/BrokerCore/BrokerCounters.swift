/// What a shard has counted since it began; the numbers never go down.
public struct BrokerCounters: Sendable, Equatable {
    public var connectionsOpened: UInt64 = 0
    public var connectionsClosed: UInt64 = 0
    /// CONNECT packets answered with an error.
    public var connectionsRefused: UInt64 = 0
    public var sessionsExpired: UInt64 = 0
    public var sessionsTakenOver: UInt64 = 0

    /// CONNECT packets taken, refused ones included.
    public var connectsReceived: UInt64 = 0

    public var packetsReceived: UInt64 = 0
    public var bytesReceived: UInt64 = 0
    public var bytesSent: UInt64 = 0
    /// PUBLISH packets taken from clients, duplicates included.
    public var publishesReceived: UInt64 = 0
    /// PUBLISH packets put into a client's output, resent ones included.
    public var publishesSent: UInt64 = 0
    /// Packets of all other types put into a client's output.
    public var controlPacketsSent: UInt64 = 0
    /// Payload bytes of `publishesReceived` and of `publishesSent`.
    public var publishBytesReceived: UInt64 = 0
    public var publishBytesSent: UInt64 = 0
    public var willsPublished: UInt64 = 0

    /// QoS 0 messages not given to a client whose output was full (`limits.output_bytes`).
    public var droppedSlowReader: UInt64 = 0
    /// QoS 1 and 2 messages for which a session's queue had no room.
    public var droppedQueueFull: UInt64 = 0
    /// Messages for which an output or a queue would have had room, and the memory of all clients together
    /// had none (`limits.memory`).
    public var droppedMemory: UInt64 = 0
    /// Messages larger than the receiving client's Maximum Packet Size. [MQTT-3.1.2-25]
    public var droppedTooLarge: UInt64 = 0
    /// Messages whose expiry interval passed while they waited.
    public var droppedExpired: UInt64 = 0
    /// Messages that a session held when it ended.
    public var droppedSessionEnded: UInt64 = 0
    /// Retained messages that were routed but not kept, for lack of room.
    public var droppedRetainedFull: UInt64 = 0
    /// Messages that waited for a session when it lost the right to read them.
    public var droppedNotAllowed: UInt64 = 0
    /// Wills whose publisher had lost the right to publish them.
    public var willsRefused: UInt64 = 0
    /// PUBLISH packets to topics that clients may not write, refused or (before 5.0) dropped.
    public var publishesRefused: UInt64 = 0
    /// PUBLISH packets that were not taken, or not yet, because the store had no room for them.
    public var publishesRefusedByStore: UInt64 = 0
    /// PUBLISH packets that were not taken, or not yet, for lack of memory (`limits.memory`).
    public var publishesRefusedByMemory: UInt64 = 0
    /// QoS 2 PUBLISH packets that repeated one already taken.
    public var duplicatesReceived: UInt64 = 0

    public init() {}

    /// Adds what another shard has counted.
    public static func += (sum: inout BrokerCounters, other: BrokerCounters) {
        sum.connectionsOpened &+= other.connectionsOpened
        sum.connectionsClosed &+= other.connectionsClosed
        sum.connectionsRefused &+= other.connectionsRefused
        sum.sessionsExpired &+= other.sessionsExpired
        sum.sessionsTakenOver &+= other.sessionsTakenOver
        sum.connectsReceived &+= other.connectsReceived
        sum.packetsReceived &+= other.packetsReceived
        sum.bytesReceived &+= other.bytesReceived
        sum.bytesSent &+= other.bytesSent
        sum.publishesReceived &+= other.publishesReceived
        sum.publishesSent &+= other.publishesSent
        sum.controlPacketsSent &+= other.controlPacketsSent
        sum.publishBytesReceived &+= other.publishBytesReceived
        sum.publishBytesSent &+= other.publishBytesSent
        sum.willsPublished &+= other.willsPublished
        sum.droppedSlowReader &+= other.droppedSlowReader
        sum.droppedQueueFull &+= other.droppedQueueFull
        sum.droppedMemory &+= other.droppedMemory
        sum.droppedTooLarge &+= other.droppedTooLarge
        sum.droppedExpired &+= other.droppedExpired
        sum.droppedSessionEnded &+= other.droppedSessionEnded
        sum.droppedRetainedFull &+= other.droppedRetainedFull
        sum.droppedNotAllowed &+= other.droppedNotAllowed
        sum.willsRefused &+= other.willsRefused
        sum.publishesRefused &+= other.publishesRefused
        sum.publishesRefusedByStore &+= other.publishesRefusedByStore
        sum.publishesRefusedByMemory &+= other.publishesRefusedByMemory
        sum.duplicatesReceived &+= other.duplicatesReceived
    }
}
