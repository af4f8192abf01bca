import MQTT

/// What a store's turns say, read one after the other: the state that `BrokerShard.restore` goes on with.
///
/// A record of something that is not there (its session has ended, its turn was lost with a damaged page)
/// is passed over. Bytes that are no records end the reading of their turn, and are told.
public struct RecoveredState: ~Copyable {
    /// A session of the log, by its number there.
    struct Session {
        var clientID: [UInt8]
        var owner: [UInt8]?
        var listener = ""
        var expirySeconds: UInt32
        /// `nil`: its client was connected.
        var detachedAt: MonotonicTime?
        var subscriptions: [(filter: [UInt8], options: UInt32, isShared: Bool)] = []
        /// Messages waiting or in flight, by their position in the queue.
        var entries: [UInt64: Entry] = [:]
        var positions: [UInt16: UInt64] = [:]
        /// QoS 2 identifiers that wait for PUBREL.
        var incoming: Set<UInt16> = []
        var will: Message?
        var willDelaySeconds: UInt32 = 0
        var lookups: [(filter: [UInt8], qos: UInt8, identifier: UInt32)] = []
        var nextPosition: UInt64 = 1
    }

    /// Set in the options of a shared subscription.
    static var shared: UInt64 { 1 << 32 }

    struct Entry {
        var message: Message?
        var options: DeliveryOptions
        /// The filter of the group of a shared subscription that it came through.
        var share: [UInt8]?
        /// 0: it waits in the queue.
        var packetID: UInt16 = 0
        var stage: UInt8 = 0
        var releaseOrder: UInt64 = 0
    }

    /// A QoS 2 message that was to be routed when the process ended.
    struct Held {
        /// Of its publisher, which may have ended.
        var session: UInt64
        var message: Message
    }

    /// Sessions and messages that were held, by their shard and its number for them.
    struct Name: Hashable, Comparable {
        var shard: UInt16
        var number: UInt64

        static func < (left: Name, right: Name) -> Bool {
            (left.shard, left.number) < (right.shard, right.number)
        }
    }

    var sessions: [Name: Session] = [:]
    var held: [Name: Held] = [:]
    /// By the shard that routed: the last message of each shard that held some.
    private(set) var taken: [UInt16: [UInt16: UInt64]] = [:]
    /// What groups got of that, by the shard of the member.
    private(set) var takenShares: [UInt16: Set<TakenShare>] = [:]
    /// The highest number of a message that was held.
    private(set) var lastSerial: UInt64 = 0
    private var layout = 1
    var retained: RetainedTree<Message>
    /// No retained message expires before.
    private(set) var nextExpiry = MonotonicTime.distantFuture
    /// The last turn of each shard.
    public private(set) var lastTurns: [UInt16: TurnNumber] = [:]
    /// Bytes of the turns of each shard that were read.
    private(set) var bytes: [UInt16: Int] = [:]
    public private(set) var turns = 0
    /// It was read from what is left of a damaged store, and is to be written to a new one.
    public var isSalvaged = false
    /// Turns that were not whole.
    public private(set) var damagedTurns = 0

    let now: TimeAnchor
    /// Counts its messages.
    let meter = MemoryMeter()
    private var publishers = KnownPublishers()
    private var releases: UInt64 = 0

    public init(seed: UInt64, at now: TimeAnchor) {
        retained = RetainedTree(seed: seed)
        self.now = now
    }

    public var isEmpty: Bool { turns == 0 }
    /// What groups got of that, with members of any shard.
    var allTakenShares: Set<TakenShare> { takenShares.values.reduce(into: []) { $0.formUnion($1) } }

    /// Whether any message was held.
    var holdsAny: Bool { lastSerial > 0 }
    /// How many shards wrote.
    var shardCount: Int { max(layout, Int(lastTurns.keys.max() ?? 0) + 1) }
    /// Whether the turns must not stay: they were written by another number of shards, or not all of them
    /// could be read.
    public func needsNewStore(shards: Int) -> Bool {
        isSalvaged || !isEmpty && shardCount != shards
    }

    public var sessionCount: Int { sessions.count }
    public var retainedCount: Int { retained.count }

    /// Reads one turn; turns of a shard come in the order of their numbers.
    ///
    /// - Parameter anchor: when it was written.
    public mutating func read(
        _ records: Span<UInt8>, turn: TurnNumber, shard: UInt16, anchor: TimeAnchor
    ) {
        turns += 1
        bytes[shard, default: 0] += records.count
        lastTurns[shard] = max(turn, lastTurns[shard] ?? turn)
        let clock = RecoveredClock(
            written: anchor.monotonic, away: anchor.elapsed(until: now), now: now.monotonic)
        var reading = Reading(shard: shard, clock: clock, reader: JournalReader(records))
        do throws(JournalDamage) {
            while !reading.reader.isAtEnd { try readRecord(records, &reading) }
        } catch {
            damagedTurns += 1
        }
    }

    /// A turn that the store could not give back whole.
    public mutating func missed() { damagedTurns += 1 }

    /// What is needed while one turn is read.
    private struct Reading {
        var shard: UInt16
        var clock: RecoveredClock
        var reader: JournalReader
        var messages: [Message] = []

        mutating func number(_ bytes: Span<UInt8>) throws(JournalDamage) -> UInt64 {
            try reader.number(bytes)
        }

        mutating func name(_ bytes: Span<UInt8>) throws(JournalDamage) -> Name {
            Name(shard: shard, number: try reader.number(bytes))
        }

        mutating func message(_ bytes: Span<UInt8>) throws(JournalDamage) -> Message {
            let place = try reader.count(bytes, upTo: max(0, messages.count - 1))
            guard place < messages.count else { throw JournalDamage(detail: "no such message") }
            return messages[place]
        }
    }

    private mutating func readRecord(
        _ bytes: Span<UInt8>, _ reading: inout Reading
    ) throws(JournalDamage) {
        guard let kind = JournalRecord(rawValue: try reading.reader.byte(bytes)) else {
            throw JournalDamage(detail: "a record of an unknown kind")
        }
        switch kind {
        case .message:
            try readMessage(bytes, &reading)
        case .session, .sessionEnded, .sessionExpiry, .attached, .detached, .subscribed,
            .unsubscribed, .will, .willCleared, .lookup, .lookupDone:
            try readSession(kind, bytes, &reading)
        case .queued, .sent, .inFlight, .received, .completed, .dropped:
            try readEntry(kind, bytes, &reading)
        case .incoming, .incomingReleased:
            try readIncoming(kind, bytes, &reading)
        case .held, .routed, .taken, .takenShare, .layout:
            try readHeld(kind, bytes, &reading)
        case .retained:
            let message = try reading.message(bytes)
            let body = message.body
            let topic = body.span.extracting(2..<message.propertiesStart)
            retained.set(topic, message, bytes: message.cost + BrokerShard.treeCost(topic))
            if message.hasExpiry { nextExpiry = min(nextExpiry, message.expiresAt) }
        case .retainedRemoved:
            let range = try reading.reader.range(bytes)
            retained.remove(bytes.extracting(range))
        }
    }
}

// MARK: - Sessions

extension RecoveredState {
    private mutating func readMessage(
        _ bytes: Span<UInt8>, _ reading: inout Reading
    ) throws(JournalDamage) {
        reading.messages.append(
            try Message(
                reading: bytes, &reading.reader, reading.clock, &publishers, counting: meter))
    }

    private mutating func readSession(
        _ kind: JournalRecord, _ bytes: Span<UInt8>, _ reading: inout Reading
    ) throws(JournalDamage) {
        let name = try reading.name(bytes)
        switch kind {
        case .session: try readStart(name, bytes, &reading)
        case .sessionEnded: sessions[name] = nil
        case .sessionExpiry:
            let seconds = try reading.reader.uint32(bytes)
            sessions[name]?.expirySeconds = seconds
        case .attached: sessions[name]?.detachedAt = nil
        case .detached:
            let time = MonotonicTime(nanoseconds: try reading.number(bytes))
            sessions[name]?.detachedAt = reading.clock.past(time)
        case .subscribed:
            let options = try reading.number(bytes)
            let filter = try reading.reader.counted(bytes)
            sessions[name]?.subscriptions.removeAll { $0.filter == filter }
            sessions[name]?.subscriptions.append(
                (filter, UInt32(truncatingIfNeeded: options), options & Self.shared != 0))
        case .unsubscribed:
            let filter = try reading.reader.counted(bytes)
            sessions[name]?.subscriptions.removeAll { $0.filter == filter }
        case .will:
            let delay = try reading.reader.uint32(bytes)
            let message = try reading.message(bytes)
            sessions[name]?.will = message
            sessions[name]?.willDelaySeconds = delay
        case .willCleared: sessions[name]?.will = nil
        case .lookup:
            let qos = try reading.reader.byte(bytes)
            let identifier = try reading.reader.uint32(bytes)
            let filter = try reading.reader.counted(bytes)
            sessions[name]?.lookups.append((filter, qos, identifier))
        case .lookupDone:
            if sessions[name]?.lookups.isEmpty == false { sessions[name]?.lookups.removeFirst() }
        default: preconditionFailure("not a record of a session")
        }
    }

    private mutating func readStart(
        _ name: Name, _ bytes: Span<UInt8>, _ reading: inout Reading
    ) throws(JournalDamage) {
        let flags = try reading.reader.byte(bytes)
        let expiry = try reading.reader.uint32(bytes)
        let detached = MonotonicTime(nanoseconds: try reading.number(bytes))
        let nextPosition = try reading.number(bytes)
        let clientID = try reading.reader.counted(bytes)
        let owner = try reading.reader.counted(bytes)
        let listener = try reading.reader.counted(bytes)
        // Written anew, it keeps its messages.
        var session =
            sessions[name]
            ?? Session(clientID: clientID, owner: nil, expirySeconds: expiry)
        session.owner = flags & 1 == 0 ? nil : owner
        session.listener = String(decoding: listener, as: UTF8.self)
        session.expirySeconds = expiry
        session.detachedAt = flags & 2 == 0 ? nil : reading.clock.past(detached)
        session.subscriptions = []
        session.incoming = []
        session.will = nil
        session.lookups = []
        session.nextPosition = max(session.nextPosition, nextPosition)
        sessions[name] = session
    }
}

// MARK: - Messages

extension RecoveredState {
    private mutating func readEntry(
        _ kind: JournalRecord, _ bytes: Span<UInt8>, _ reading: inout Reading
    ) throws(JournalDamage) {
        let name = try reading.name(bytes)
        switch kind {
        case .queued:
            let position = try reading.number(bytes)
            let (options, share) = try DeliveryOptions.read(bytes, &reading.reader)
            let message = try reading.message(bytes)
            sessions[name]?.put(
                Entry(message: message, options: options, share: share), at: position)
        case .inFlight:
            let position = try reading.number(bytes)
            let (options, share) = try DeliveryOptions.read(bytes, &reading.reader)
            let stage = try reading.reader.byte(bytes)
            let packetID = try reading.reader.uint16(bytes)
            // A message whose PUBREC has come is not kept.
            let message = stage == Self.released ? nil : try reading.message(bytes)
            releases += 1
            sessions[name]?.put(
                Entry(
                    message: message, options: options, share: share, packetID: packetID,
                    stage: stage,
                    releaseOrder: releases), at: position)
        case .sent:
            let position = try reading.number(bytes)
            let packetID = try reading.reader.uint16(bytes)
            sessions[name]?.send(position, packetID)
        case .received:
            let packetID = try reading.reader.uint16(bytes)
            releases += 1
            sessions[name]?.release(packetID, releases)
        case .completed:
            let packetID = try reading.reader.uint16(bytes)
            sessions[name]?.complete(packetID)
        case .dropped:
            let position = try reading.number(bytes)
            sessions[name]?.entries[position] = nil
        default: preconditionFailure("not a record of an entry")
        }
    }

    /// `Entry.stage` of a message of which only the identifier is kept.
    static let released: UInt8 = 2

    private mutating func readIncoming(
        _ kind: JournalRecord, _ bytes: Span<UInt8>, _ reading: inout Reading
    ) throws(JournalDamage) {
        let name = try reading.name(bytes)
        let packetID = try reading.reader.uint16(bytes)
        switch kind {
        case .incoming: sessions[name]?.incoming.insert(packetID)
        case .incomingReleased: sessions[name]?.incoming.remove(packetID)
        default: preconditionFailure("not a record of an incoming message")
        }
    }

    private mutating func readHeld(
        _ kind: JournalRecord, _ bytes: Span<UInt8>, _ reading: inout Reading
    ) throws(JournalDamage) {
        switch kind {
        case .held:
            let name = try reading.name(bytes)
            let session = try reading.number(bytes)
            held[name] = Held(session: session, message: try reading.message(bytes))
            lastSerial = max(lastSerial, name.number)
        case .routed:
            let name = try reading.name(bytes)
            held[name] = nil
            lastSerial = max(lastSerial, name.number)
        case .taken:
            let shard = try reading.reader.uint16(bytes)
            let serial = try reading.number(bytes)
            let known = taken[reading.shard]?[shard] ?? 0
            taken[reading.shard, default: [:]][shard] = max(known, serial)
            lastSerial = max(lastSerial, serial)
        case .takenShare:
            let shard = try reading.reader.uint16(bytes)
            let serial = try reading.number(bytes)
            let filter = try reading.reader.counted(bytes)
            let origin = HeldOrigin(shard: Int(shard), serial: serial)
            takenShares[reading.shard, default: []].insert(
                TakenShare(origin: origin, filter: filter))
            lastSerial = max(lastSerial, serial)
        case .layout:
            layout = try reading.reader.count(bytes, upTo: ShardPosition.maximumCount)
        default: preconditionFailure("not a record of a shard")
        }
    }
}

extension RecoveredState.Session {
    mutating func put(_ entry: RecoveredState.Entry, at position: UInt64) {
        entries[position] = entry
        nextPosition = max(nextPosition, position &+ 1)
        if entry.packetID != 0 { positions[entry.packetID] = position }
    }

    mutating func send(_ position: UInt64, _ packetID: UInt16) {
        guard entries[position] != nil else { return }
        entries[position]?.packetID = packetID
        positions[packetID] = position
    }

    mutating func release(_ packetID: UInt16, _ order: UInt64) {
        guard let position = positions[packetID] else { return }
        entries[position]?.stage = RecoveredState.released
        entries[position]?.releaseOrder = order
        entries[position]?.message = nil
    }

    mutating func complete(_ packetID: UInt16) {
        guard let position = positions.removeValue(forKey: packetID) else { return }
        entries[position] = nil
    }
}

extension RecoveredClock {
    /// A time of the past by this process's clock; not before its start.
    func past(_ time: MonotonicTime) -> MonotonicTime {
        now + (.zero - max(.zero, written - time) - away)
    }
}
