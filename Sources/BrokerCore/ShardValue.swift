import MQTT

/// Which shard of how many.
public struct ShardPosition: Sendable, Equatable {
    public var index: Int
    public var count: Int

    public init(index: Int, count: Int) {
        precondition(count > 0 && index >= 0 && index < count, "no such shard")
        self.index = index
        self.count = count
    }

    public static let only = ShardPosition(index: 0, count: 1)

    /// The shard that a client's session belongs to (FNV-1a, 64 bits).
    public static func shard(ofClientID clientID: Span<UInt8>, count: Int) -> Int {
        if count == 1 { return 0 }
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        for index in clientID.indices {
            hash = (hash ^ UInt64(clientID[index])) &* 0x100_0000_01b3
        }
        return Int((hash ^ hash >> 32) % UInt64(count))
    }
}

/// What one shard tells the others. With one shard nothing is made and nothing is sent.
public enum ShardValue: Sendable {
    /// A message that a client of another shard published: for the subscribers here, and for the
    /// retained messages, of which every shard has a copy.
    case published(Message)
}

extension BrokerShard {
    /// What the other shards must be told; empties it.
    public mutating func takeOutbox() -> [ShardValue] {
        if outbox.isEmpty { return [] }
        let values = outbox
        outbox = []
        return values
    }

    /// Another shard says something.
    public mutating func receive(_ value: ShardValue, at now: MonotonicTime) {
        switch value {
        case .published(let message): routeHere(message, from: Connection.noSession, now)
        }
    }
}
