import MQTT

/// What one shard tells another beside the messages whose bytes stand in the mail.
enum ShardValue: Sendable {
    /// A message that is an object already: retained (`stamp` is its place among all of them; 0 where it
    /// is not to be kept), large, a will, or one that was held for its commit (`origin`).
    case published(Message, stamp: UInt64, origin: HeldOrigin?)
    /// A message for the one member of a group that was chosen.
    case shared(Message, ShareChoice, origin: HeldOrigin?)
    /// What a member whose client is away got of a group is wanted by the first one whose client is there.
    case wanted(ShareGroups.MemberID, group: UInt32)
}

/// Which QoS 2 message a message was that a shard held for its commit.
public struct HeldOrigin: Sendable, Hashable {
    var shard: Int
    /// Numbers what that shard holds, in order.
    var serial: UInt64
}

/// All that one turn of a shard has for one other shard, in order.
///
/// Messages lie in one array of bytes, as they came; an entry says where. So a message that crosses costs
/// a copy of its bytes and no object; whoever keeps it makes one.
public struct ShardMail: Sendable {
    /// The shard that sends it.
    var sender = 0
    /// Counts the mail from the sender to the receiver, from 1.
    var number: UInt64 = 0
    /// The sender waits until what it brings is safe.
    var awaitsConfirmation = false
    /// The last mail of the receiver's of which all is safe with the sender.
    var confirmed: UInt64 = 0
    /// What the sender held up to this message is routed, and it will know that after a crash.
    var settled: UInt64 = 0

    private(set) var bytes: [UInt8] = []
    private(set) var entries: [Entry] = []
    /// Of the entries that have one, in their order.
    private(set) var expiries: [Expiry] = []
    /// The same, of those that are no message in `bytes`.
    private(set) var values: [ShardValue] = []
    private var valueBytes = 0

    public init() {}

    public var isEmpty: Bool { entries.isEmpty && confirmed == 0 }

    /// What it holds, in bytes, roughly.
    public var cost: Int {
        bytes.count + valueBytes + entries.count * MemoryLayout<Entry>.stride
            + expiries.count * MemoryLayout<Expiry>.stride
    }

    /// A larger payload is not copied for each shard, but shared.
    static var largestCopy: Int { 4 * 1024 }

    /// Forgets what it holds, and keeps the memory of an ordinary turn.
    public mutating func removeAll() {
        bytes.removeAll(keepingCapacity: bytes.capacity <= Self.keptCapacity)
        entries.removeAll(keepingCapacity: entries.capacity <= Self.keptCapacity / 64)
        expiries.removeAll(keepingCapacity: expiries.capacity <= Self.keptCapacity / 64)
        values = []
        valueBytes = 0
        awaitsConfirmation = false
        confirmed = 0
    }

    private static var keptCapacity: Int { 256 * 1024 }

    /// Copies a message that lies in `source`.
    @inline(__always)
    mutating func append(_ delivery: borrowing Delivery, in source: Span<UInt8>) {
        let start = bytes.count
        let view = delivery.view
        var entry = Entry(start, view)
        if let packet = delivery.packet {
            bytes.append(contentsOf: source.extracting(packet.range))
            entry.standsInPacket(packet, view, isVersion5: delivery.packetIsVersion5)
        } else {
            bytes.append(contentsOf: source.extracting(view.topic.range))
            bytes.append(contentsOf: source.extracting(view.properties.range))
            bytes.append(contentsOf: source.extracting(view.payload.range))
        }
        if view.expiryOffset != 0 {
            entry.flags.insert(.expires)
            expiries.append(
                Expiry(
                    offset: UInt32(view.expiryOffset - view.properties.lowerBound),
                    interval: view.expiryInterval, remaining: delivery.remainingExpiry))
        }
        entries.append(entry)
    }

    mutating func append(_ value: ShardValue) {
        switch value {
        case .published(let message, _, _), .shared(let message, _, _): valueBytes += message.cost
        case .wanted: break
        }
        values.append(value)
        entries.append(.value)
    }
}
