import MQTT

/// The kinds of records in a turn's bytes. Numbers are never given a new meaning; a store that holds one
/// that is not known is of a newer version.
///
/// A record is its kind, one byte, and its fields: numbers as unsigned LEB128, bytes behind their count.
/// What it says replaces what earlier records said of the same thing, so a record may be read twice.
enum JournalRecord: UInt8 {
    /// Number, flags, expiry, detached at, client identifier, owner, listener: a session, without subscriptions so far.
    case session = 1
    /// Number.
    case sessionEnded = 2
    /// Number, seconds.
    case sessionExpiry = 3
    /// Number: its client is connected.
    case attached = 4
    /// Number, time: its client is not connected since then.
    case detached = 5
    /// Number, options, filter.
    case subscribed = 6
    /// Number, filter.
    case unsubscribed = 7
    /// A message that later records of this turn name by its place among the turn's messages: flags,
    /// received at, expiry offset, expiry interval, properties' start, payload's start, publisher, body.
    case message = 8
    /// Number, position, flags, subscription identifiers, message: waits in the session's queue.
    case queued = 9
    /// Number, position, packet identifier: left the queue, and is in flight.
    case sent = 10
    /// Number, position, flags, stage, packet identifier, subscription identifiers, message: as
    /// `queued` and all that followed.
    case inFlight = 11
    /// Number, packet identifier: PUBREC came.
    case received = 12
    /// Number, packet identifier: PUBACK or PUBCOMP came.
    case completed = 13
    /// Number, position: left the queue without being sent.
    case dropped = 14
    /// Number, packet identifier: a QoS 2 message came from the client; the identifier waits for PUBREL.
    case incoming = 15
    /// Serial number of the message: it was routed, and is safe wherever it is kept.
    case routed = 16
    /// Number, packet identifier: PUBREL came.
    case incomingReleased = 17
    /// Message.
    case retained = 18
    /// Topic.
    case retainedRemoved = 19
    /// Number, delay, message.
    case will = 20
    /// Number: no will any more.
    case willCleared = 21
    /// Number, QoS, filter: a subscription's retained messages are still to be sent.
    case lookup = 22
    /// Number: one of them less, the oldest.
    case lookupDone = 23
    /// Serial number of the message, number of the session, message: a QoS 2 message that is to be routed.
    case held = 24
    /// Shard, serial number: this shard has routed to its own sessions what that shard held, up to this
    /// message. Only where there are several shards.
    case taken = 25
    /// How many shards there are; where no turn says so, one.
    case layout = 26
    /// Shard, serial number, filter of a group: a member here got this message, which that shard held.
    case takenShare = 27
}

/// One instant by the clocks of a machine, so that a later process can tell how long ago it was.
public struct TimeAnchor: Sendable, Equatable {
    /// `CLOCK_BOOTTIME`.
    public var monotonic: MonotonicTime
    /// `CLOCK_REALTIME`, which may be wrong.
    public var unixMilliseconds: Int64
    /// Names the boot of the machine in which `monotonic` counts; equal for equal boots.
    public var boot: UInt64

    public init(monotonic: MonotonicTime, unixMilliseconds: Int64, boot: UInt64) {
        self.monotonic = monotonic
        self.unixMilliseconds = unixMilliseconds
        self.boot = boot
    }

    /// How long ago this was, told at `now`.
    ///
    /// Within one boot this is exact. Over a reboot only the clock knows how long the machine was off: it
    /// is believed where it has gone forward, and at least the time since the boot has passed.
    public func elapsed(until now: TimeAnchor) -> Duration {
        if boot == now.boot { return max(.zero, now.monotonic - monotonic) }
        let sinceBoot = now.monotonic - .zero
        let byClock = Duration.milliseconds(now.unixMilliseconds &- unixMilliseconds)
        return byClock > Self.longestBelieved ? sinceBoot : max(sinceBoot, byClock)
    }

    /// A clock that says that more has passed has jumped.
    static var longestBelieved: Duration { .seconds(10 * 365 * 86_400) }
}

// MARK: - Writing

extension [UInt8] {
    @inline(__always)
    mutating func append(_ kind: JournalRecord) { append(kind.rawValue) }

    /// Unsigned LEB128.
    @inline(__always)
    mutating func append(number value: UInt64) {
        var rest = value
        while rest >= 0x80 {
            append(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        append(UInt8(truncatingIfNeeded: rest))
    }

    @inline(__always)
    mutating func append(number value: Int) { append(number: UInt64(value)) }

    mutating func append(counted bytes: Span<UInt8>) {
        append(number: bytes.count)
        append(contentsOf: bytes)
    }

    mutating func append(counted bytes: [UInt8]) { append(counted: bytes.span) }
}

// MARK: - Reading

/// Why a turn's bytes cannot be used.
public struct JournalDamage: Error, Sendable, Equatable {
    public var detail: String
}

/// Reads fields one after the other; throws at the end of the bytes, and never reads past it.
struct JournalReader {
    private(set) var position = 0
    let end: Int

    init(_ bytes: Span<UInt8>) { end = bytes.count }

    var isAtEnd: Bool { position == end }

    mutating func byte(_ bytes: Span<UInt8>) throws(JournalDamage) -> UInt8 {
        guard position < end else { throw JournalDamage(detail: "a record is cut off") }
        defer { position += 1 }
        return bytes[position]
    }

    mutating func number(_ bytes: Span<UInt8>) throws(JournalDamage) -> UInt64 {
        var value: UInt64 = 0
        var shift: UInt64 = 0
        while true {
            let next = try byte(bytes)
            guard shift < 63 || next <= 1 else {
                throw JournalDamage(detail: "a number is too large")
            }
            value |= UInt64(next & 0x7F) << shift
            if next < 0x80 { return value }
            shift += 7
        }
    }

    /// Passes over `expected` where it comes next; says whether it did.
    mutating func skip(_ expected: [UInt8], in bytes: Span<UInt8>) -> Bool {
        guard expected.count <= end - position else { return false }
        for index in expected.indices where expected[index] != bytes[position + index] {
            return false
        }
        position += expected.count
        return true
    }

    /// A number that is a count or a place within `limit`.
    mutating func count(_ bytes: Span<UInt8>, upTo limit: Int) throws(JournalDamage) -> Int {
        let value = try number(bytes)
        guard value <= UInt64(limit) else { throw JournalDamage(detail: "a count is too large") }
        return Int(value)
    }

    mutating func uint16(_ bytes: Span<UInt8>) throws(JournalDamage) -> UInt16 {
        UInt16(try count(bytes, upTo: Int(UInt16.max)))
    }

    mutating func uint32(_ bytes: Span<UInt8>) throws(JournalDamage) -> UInt32 {
        UInt32(try count(bytes, upTo: Int(UInt32.max)))
    }

    mutating func range(_ bytes: Span<UInt8>) throws(JournalDamage) -> Range<Int> {
        let count = try count(bytes, upTo: end - position)
        guard count <= end - position else { throw JournalDamage(detail: "a record is cut off") }
        defer { position += count }
        return position..<(position + count)
    }

    mutating func counted(_ bytes: Span<UInt8>) throws(JournalDamage) -> [UInt8] {
        [UInt8](copying: bytes.extracting(try range(bytes)))
    }
}
