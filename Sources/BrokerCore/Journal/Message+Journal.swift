import MQTT

extension Message {
    /// Its fields behind `JournalRecord.message`.
    func write(to records: inout [UInt8]) {
        let flags = qos.rawValue | (isRetained ? 4 : 0) | (publisher == nil ? 0 : 8)
        records.append(flags)
        records.append(number: receivedAt.nanoseconds)
        records.append(number: expiryOffset)
        records.append(number: UInt64(expiryInterval))
        records.append(number: propertiesStart)
        records.append(number: payloadStart)
        records.append(counted: body)
        if let principal = publisher?.principal { principal.write(to: &records) }
    }

    /// What `write` wrote, with its time told by this process's clock.
    convenience init(
        reading bytes: Span<UInt8>, _ reader: inout JournalReader, _ clock: RecoveredClock,
        _ publishers: inout KnownPublishers, counting meter: MemoryMeter
    ) throws(JournalDamage) {
        let flags = try reader.byte(bytes)
        guard flags <= 31, let qos = QoS(rawValue: flags & 3) else {
            throw JournalDamage(detail: "a message of no QoS")
        }
        let receivedAt = MonotonicTime(nanoseconds: try reader.number(bytes))
        let limit = WireLimits.largestPacketSize + 16
        let expiryOffset = try reader.count(bytes, upTo: limit)
        let expiryInterval = try reader.uint32(bytes)
        let propertiesStart = try reader.count(bytes, upTo: limit)
        let payloadStart = try reader.count(bytes, upTo: limit)
        let body = try reader.counted(bytes)
        guard propertiesStart >= 2, propertiesStart < payloadStart, payloadStart <= body.count,
            expiryOffset == 0 || expiryOffset > propertiesStart && expiryOffset + 4 <= payloadStart
        else { throw JournalDamage(detail: "a message whose parts do not fit") }
        let publisher = flags & 8 == 0 ? nil : try publishers.read(bytes, &reader)
        let (time, interval) = clock.shift(receivedAt, expirySeconds: expiryInterval)
        self.init(
            body: body, propertiesStart: propertiesStart, payloadStart: payloadStart,
            expiryOffset: expiryOffset, expiryInterval: interval, receivedAt: time, qos: qos,
            isRetained: flags & 4 != 0, publisher: publisher, counting: meter)
    }
}

extension Principal {
    func write(to records: inout [UInt8]) {
        records.append(user == nil ? 0 : 1)
        records.append(counted: user ?? [])
        records.append(counted: clientID)
        records.append(counted: Array(listener.utf8))
    }

    init(reading bytes: Span<UInt8>, _ reader: inout JournalReader) throws(JournalDamage) {
        let hasUser = try reader.byte(bytes) != 0
        let user = try reader.counted(bytes)
        let clientID = try reader.counted(bytes)
        let listener = try reader.counted(bytes)
        self.init(
            user: hasUser ? user : nil, clientID: clientID,
            listener: String(decoding: listener, as: UTF8.self))
    }
}

extension DeliveryOptions {
    /// QoS, RETAIN and durability as a record has them.
    var journalFlags: UInt8 {
        qos.rawValue | (retain ? 4 : 0) | (withstandsPowerCuts ? 8 : 0)
    }

    /// The filter of a shared subscription's group follows.
    static var shareFlag: UInt8 { 16 }

    /// What a record has, and the filter of the group that the message came through.
    static func read(
        _ bytes: Span<UInt8>, _ reader: inout JournalReader
    ) throws(JournalDamage) -> (options: DeliveryOptions, share: [UInt8]?) {
        let flags = try reader.byte(bytes)
        guard flags <= 31, let qos = QoS(rawValue: flags & 3) else {
            throw JournalDamage(detail: "an entry of no QoS")
        }
        var identifiers: [UInt32] = []
        for _ in 0..<(try reader.count(bytes, upTo: reader.end)) {
            let identifier = try reader.uint32(bytes)
            guard identifier > 0, identifier < 1 << 28 else {
                throw JournalDamage(detail: "no subscription identifier")
            }
            identifiers.append(identifier)
        }
        let share = flags & shareFlag == 0 ? nil : try reader.counted(bytes)
        var options = DeliveryOptions(
            qos: qos, retain: flags & 4 != 0, identifiers: identifiers)
        options.withstandsPowerCuts = flags & 8 != 0
        return (options, share)
    }
}

/// Turns the times of the process that wrote into this one's.
struct RecoveredClock {
    /// When the last turn was written, by its own clock.
    let written: MonotonicTime
    /// How long ago that was.
    let away: Duration
    let now: MonotonicTime

    /// `time` by this process's clock; at most `now`, and what it would be before the clock's start is
    /// taken off the expiry interval instead.
    func shift(
        _ time: MonotonicTime, expirySeconds: UInt32
    ) -> (time: MonotonicTime, expirySeconds: UInt32) {
        let age = max(.zero, written - time) + away
        let seconds = UInt32(clamping: age.components.seconds)
        return (now, expirySeconds > seconds ? expirySeconds - seconds : 0)
    }

    /// A deadline by this process's clock; one that has passed is due now.
    func shift(_ deadline: MonotonicTime) -> MonotonicTime {
        deadline == .distantFuture ? deadline : now + max(.zero, deadline - written - away)
    }
}
