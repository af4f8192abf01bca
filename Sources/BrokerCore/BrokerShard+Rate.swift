import MQTT

/// How much one client may publish a second.
///
/// A client that is faster is not read for a while: TCP then slows it down, and nothing is lost. Each PUBLISH
/// has a price in time; what a client has not paid for within a second's credit, it waits for.
struct PublishRate {
    /// When the client will have paid for all its messages, and for all their bytes.
    private var messagesPaidAt = MonotonicTime.zero
    private var bytesPaidAt = MonotonicTime.zero
    /// It was told of already.
    var isNoted = false

    /// What may come at once after as long a rest: a second's worth.
    static let credit = Duration.seconds(1)
    /// The shortest wait, so that a client at its limit does not wake the loop for each message.
    static let shortestWait = Duration.milliseconds(20)

    /// Takes the price of one PUBLISH of `bytes` bytes; when the client may go on, if it must wait.
    mutating func charge(
        _ bytes: Int, _ limits: BrokerLimits, at now: MonotonicTime
    ) -> MonotonicTime? {
        if limits.publishRate > 0 {
            messagesPaidAt = Self.add(1, limits.publishRate, to: messagesPaidAt, now)
        }
        if limits.publishBytesPerSecond > 0 {
            bytesPaidAt = Self.add(bytes, limits.publishBytesPerSecond, to: bytesPaidAt, now)
        }
        let paidAt = max(messagesPaidAt, bytesPaidAt)
        guard paidAt - now > Self.credit else { return nil }
        return max(paidAt + (.zero - Self.credit), now + Self.shortestWait)
    }

    private static func add(
        _ count: Int, _ rate: Int, to paidAt: MonotonicTime, _ now: MonotonicTime
    ) -> MonotonicTime {
        // A packet has less than 2^28 bytes: no overflow.
        let price = UInt64(count) * 1_000_000_000 / UInt64(rate)
        return max(paidAt, now) + .nanoseconds(Int64(clamping: price))
    }
}

extension BrokerLimits {
    /// Whether PUBLISH has a price at all.
    @inline(__always)
    var hasPublishRate: Bool { publishRate | publishBytesPerSecond != 0 }
}

extension BrokerShard {
    /// Charges for a PUBLISH of `bytes` bytes: whether nothing more is taken from the client for now.
    mutating func mustWait(_ bytes: Int, _ c: UInt32, _ now: MonotonicTime) -> Bool {
        while publishRates.count <= Int(c) { publishRates.append(PublishRate()) }
        guard let time = publishRates[Int(c)].charge(bytes, configuration.limits, at: now) else {
            return false
        }
        connections[c].awaitsRate = true
        pauseReading(c)
        let key = connections.key(at: c)
        addDeadline(time, .publishRate, key.index, key.generation)
        if !publishRates[Int(c)].isNoted {
            publishRates[Int(c)].isNoted = true
            log(.publishRateReached(ConnectionID(key), clientID: clientID(c)))
        }
        return true
    }

    /// The client has paid: what it sent meanwhile is taken, and it is listened to again.
    mutating func endWait(_ c: UInt32, _ now: MonotonicTime) {
        guard connections[c].awaitsRate else { return }
        connections[c].awaitsRate = false
        // It may have said that it lives; nobody listened.
        connections[c].lastReceived = now
        guard connections[c].phase == .connected else { return }
        takeInput(c, now)
        let isFull = connections[c].output.count >= 2 * memory.outputLimit
        if connections[c].mayBeRead && !isFull { resumeReading(c) }
    }

    /// Another client has the place of one that is gone.
    mutating func forgetRate(_ c: UInt32) {
        if Int(c) < publishRates.count { publishRates[Int(c)] = PublishRate() }
    }
}
