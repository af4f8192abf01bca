import MQTT

/// One message to hand to the connection.
public struct ForwardedMessage: Sendable {
    /// Comes back with the acknowledgement; no token is used twice in the life of the process.
    public var token: UInt64
    public var record: MessageRecord
    /// Holds topic and payload, at the record's ranges.
    public var batch: MessageBatch
    public var properties: MessageProperties

    public var topic: ArraySlice<UInt8> { batch.body[record.topic] }
    public var payload: ArraySlice<UInt8> { batch.body[record.payload] }
}

/// The sending half of a route: reads ahead from the store, keeps a window in flight, and lets a
/// message go only when the peer has answered for it.
///
/// Messages leave in the order of their numbers. What is in flight belongs to the client session
/// below, which sends it again when a connection is lost. When that session is given up (`reset`),
/// everything unanswered is sent again in order under new tokens, and answers with the old tokens
/// change nothing.
struct Forwarder {
    private enum Link {
        case down
        case up(LinkLimits, since: MonotonicTime)
    }

    private struct InFlight {
        var sequence: UInt64
        var bytes: Int
        var isDone: Bool
    }

    /// A message on which connections died.
    private struct Suspect {
        var sequence: UInt64
        var kills = 0
        /// Those that died with nothing else in flight.
        var killsAlone = 0
    }

    let route: Route
    let limits: ForwarderLimits
    let stamp: FleetStamp
    private let boot: UInt64

    /// Every number up to this one is done: forwarded, refused or expired.
    private(set) var acknowledgedThrough: UInt64
    /// The last number in the store.
    private(set) var committedThrough: UInt64
    /// Batches from the oldest unanswered message on, contiguous as far as the store is.
    private var batches = Queue<MessageBatch>()
    /// Where the next message to send begins: index in `batches`, offset in its body, number.
    private var sendBatch = 0
    private var sendOffset = MessageBatch.headerLength
    private var sendSequence: UInt64 = 0
    private var unsentBytes = 0
    /// The last number that `batches` holds or has held.
    private var loadedThrough: UInt64
    private var isLoading = false

    private var link = Link.down
    private var inFlight = Queue<InFlight>()
    private var inFlightBytes = 0
    /// Since when the first in flight has been waiting at the head.
    private var headSince = MonotonicTime.zero
    /// The token of the first in flight; the others follow without gaps.
    private var firstToken: UInt64 = 1
    /// Numbers above `acknowledgedThrough` that are done, kept across connections; ascending.
    private var doneAhead: [UInt64] = []
    /// What was stored up to here waited for a connection.
    private var historicThrough: UInt64 = 0
    private var suspect: Suspect?
    /// Up to this number messages travel one at a time, to find out which one kills connections.
    private var carefulThrough: UInt64 = 0

    private(set) var refused: [RefusedMessage] = []
    private(set) var counters = ForwarderCounters()

    init(
        route: Route, acknowledgedThrough: UInt64, committedThrough: UInt64,
        stamp: FleetStamp, boot: UInt64, limits: ForwarderLimits
    ) {
        self.route = route
        self.acknowledgedThrough = acknowledgedThrough
        self.committedThrough = max(committedThrough, acknowledgedThrough)
        self.loadedThrough = acknowledgedThrough
        self.stamp = stamp
        self.boot = boot
        self.limits = limits
    }

    /// Messages in the store that are not done.
    var queueDepth: UInt64 { committedThrough - acknowledgedThrough }

    /// Messages sent and not answered.
    var inFlightCount: Int { inFlight.count }

    /// Bytes held in memory, for the tests of its bound.
    var bufferedBytes: Int {
        var bytes = 0
        for index in 0..<batches.count { bytes += batches[index].body.count }
        return bytes
    }

    /// How long the oldest message has waited; `nil` when none does, or it is not read yet.
    func oldestAgeMilliseconds(at now: Moment) -> UInt64? {
        guard queueDepth > 0, let batch = batches.first,
            let oldest = batch.record(
                sequence: max(batch.firstSequence, acknowledgedThrough + 1))
        else { return nil }
        return oldest.taken.ageMilliseconds(at: now, boot: boot)
    }

    // MARK: - The store

    /// Batches that were just committed: kept in memory when they continue what is there.
    mutating func committed(_ new: [MessageBatch]) {
        for batch in new {
            committedThrough = batch.lastSequence
            let follows = loadedThrough + 1 == batch.firstSequence
            guard follows, unsentBytes < limits.readAheadBytes else { continue }
            append(batch)
        }
    }

    /// The next batches to read, or `nil` while enough is in memory.
    mutating func nextLoad() -> LoadRequest? {
        guard !isLoading, loadedThrough < committedThrough,
            unsentBytes <= limits.readAheadBytes / 2
        else { return nil }
        isLoading = true
        return LoadRequest(
            route: route, after: loadedThrough, maximumBytes: limits.readAheadBytes)
    }

    /// What the store answered; fewer than asked for is fine, none at all is a hole.
    mutating func loaded(_ read: [MessageBatch]) {
        precondition(isLoading, "batches that nobody asked for")
        isLoading = false
        // Beyond what was committed lies what a commit that was told as failed has written: it comes
        // with its repetition.
        let read = read.filter { $0.lastSequence <= committedThrough }
        for batch in read where batch.lastSequence > loadedThrough {
            append(batch)
        }
        guard read.isEmpty, loadedThrough < committedThrough else { return }
        counters.unreadable += committedThrough - loadedThrough
        loadedThrough = committedThrough
        if inFlight.isEmpty, batches.isEmpty { acknowledgedThrough = committedThrough }
    }

    /// The store could not be read; ask again.
    mutating func loadFailed() {
        isLoading = false
    }

    private mutating func append(_ batch: MessageBatch) {
        let begin = max(batch.firstSequence, acknowledgedThrough + 1)
        if batch.firstSequence > loadedThrough + 1 {
            counters.unreadable += batch.firstSequence - loadedThrough - 1
        }
        batches.append(batch)
        loadedThrough = batch.lastSequence
        unsentBytes += batch.body.count
        if sendBatch == batches.count - 1 { moveSending(to: begin) }
    }

    /// Sends on from `sequence`, which lies in the batch at `sendBatch`.
    private mutating func moveSending(to sequence: UInt64) {
        guard let record = batches[sendBatch].record(sequence: sequence) else {
            preconditionFailure("the batch does not hold the number")
        }
        sendSequence = sequence
        sendOffset = record.topic.lowerBound - MessageBatch.recordHeadLength
    }

    // MARK: - The connection

    mutating func linkUp(_ link: LinkLimits, now: MonotonicTime) {
        self.link = .up(link, since: now)
        headSince = now
        historicThrough = committedThrough
    }

    /// The connection is lost; the client session keeps what is in flight.
    ///
    /// - Returns: whether that session must be given up, because one of its messages seems to kill
    ///   connections and has to travel alone: make a new one, and call `reset`.
    mutating func linkDown(_ end: LinkEnd, now: Moment) -> Bool {
        link = .down
        if end == .closedByPeer { suspectHead(now: now) }
        return isCareful && !inFlight.isEmpty
    }

    /// The client session below is a new one and knows nothing of what was in flight.
    mutating func reset() {
        for index in 0..<inFlight.count where inFlight[index].isDone {
            noteDone(inFlight[index].sequence)
        }
        firstToken += UInt64(inFlight.count)
        inFlight.removeAll()
        inFlightBytes = 0
        rewind()
    }

    private mutating func rewind() {
        sendBatch = 0
        unsentBytes = bufferedBytes
        guard let first = batches.first else { return }
        moveSending(to: max(first.firstSequence, acknowledgedThrough + 1))
    }

    private mutating func suspectHead(now: Moment) {
        guard let head = inFlight.first, let last = inFlight.last, !head.isDone else { return }
        var suspect = self.suspect ?? Suspect(sequence: head.sequence)
        if suspect.sequence != head.sequence { suspect = Suspect(sequence: head.sequence) }
        suspect.kills += 1
        if isCareful { suspect.killsAlone += 1 }
        self.suspect = suspect
        if suspect.kills >= limits.suspectAfterKills {
            carefulThrough = max(carefulThrough, last.sequence)
        }
        guard suspect.killsAlone >= limits.refuseAfterKillsAlone else { return }
        refuse(sequence: head.sequence, .closesConnection, now: now)
        noteDone(head.sequence)
        self.suspect = nil
    }

    private var isCareful: Bool { acknowledgedThrough < carefulThrough }

    private mutating func noteDone(_ sequence: UInt64) {
        let place = doneAhead.firstIndex { $0 >= sequence } ?? doneAhead.count
        if place < doneAhead.count, doneAhead[place] == sequence { return }
        doneAhead.insert(sequence, at: place)
    }

    /// True when a message has waited too long for its answer: end this connection.
    func isStalled(at now: MonotonicTime) -> Bool {
        guard let deadline = stallDeadline else { return false }
        return now >= deadline
    }

    private var stallDeadline: MonotonicTime? {
        guard case .up = link, !inFlight.isEmpty else { return nil }
        return headSince + limits.acknowledgementTimeout
    }

    /// When the forwarder wants to be asked again, if nothing else happens.
    var nextDeadline: MonotonicTime? {
        if case .up(_, let since) = link, isCareful, inFlight.isEmpty {
            return since + limits.quietBeforeSuspect
        }
        return stallDeadline
    }

    // MARK: - Sending

    /// The next message for the connection; `nil` when the window is full or nothing waits.
    mutating func nextMessage(now: Moment) -> ForwardedMessage? {
        guard case .up(let peer, let since) = link, peer.maximumQoS != .atMostOnce else {
            return nil
        }
        while sendBatch < batches.count, windowHasRoom(peer, since: since, now: now.monotonic) {
            let batch = batches[sendBatch]
            let record = batch.record(at: sendOffset, sequence: sendSequence)
            advanceSending(past: record, in: batch)
            if let message = prepare(record, of: batch, now: now) { return message }
        }
        return nil
    }

    private func windowHasRoom(
        _ peer: LinkLimits, since: MonotonicTime, now: MonotonicTime
    ) -> Bool {
        var window = min(peer.receiveMaximum, limits.maximumInFlight)
        if isCareful {
            guard now >= since + limits.quietBeforeSuspect else { return false }
            window = 1
        }
        return inFlight.count < window
            && (inFlight.isEmpty || inFlightBytes < limits.maximumInFlightBytes)
    }

    private mutating func advanceSending(past record: MessageRecord, in batch: MessageBatch) {
        guard record.end == batch.body.count else {
            sendOffset = record.end
            sendSequence = record.sequence + 1
            return
        }
        unsentBytes -= batch.body.count
        sendBatch += 1
        sendOffset = MessageBatch.headerLength
        if sendBatch < batches.count { sendSequence = batches[sendBatch].firstSequence }
    }

    /// Puts the message in flight, or settles it at once: done before, or expired.
    private mutating func prepare(
        _ record: MessageRecord, of batch: MessageBatch, now: Moment
    ) -> ForwardedMessage? {
        if doneAhead.first == record.sequence {
            doneAhead.removeFirst()
            settle(record)
            return nil
        }
        let age = record.taken.ageMilliseconds(at: now, boot: boot)
        guard
            let properties = stamp.properties(
                of: record, in: batch, isHistoric: record.sequence <= historicThrough,
                ageMilliseconds: age)
        else {
            counters.expired += 1
            settle(record)
            return nil
        }
        if inFlight.isEmpty { headSince = now.monotonic }
        let bytes = record.end - record.topic.lowerBound
        inFlightBytes += bytes
        inFlight.append(InFlight(sequence: record.sequence, bytes: bytes, isDone: false))
        return ForwardedMessage(
            token: firstToken + UInt64(inFlight.count - 1), record: record, batch: batch,
            properties: properties)
    }

    /// Done without having been sent; keeps its place so that the order of numbers holds.
    private mutating func settle(_ record: MessageRecord) {
        inFlight.append(InFlight(sequence: record.sequence, bytes: 0, isDone: true))
        releaseDone()
    }

    /// The peer has answered for a message (PUBACK, PUBCOMP), or taken it at QoS 0.
    ///
    /// A token of an earlier client session changes nothing.
    mutating func published(token: UInt64, _ answer: Answer, now: Moment) {
        guard token >= firstToken, token < firstToken + UInt64(inFlight.count) else { return }
        let index = Int(token - firstToken)
        guard !inFlight[index].isDone else { return }
        inFlight[index].isDone = true
        inFlightBytes -= inFlight[index].bytes
        headSince = now.monotonic
        suspect = nil
        switch answer {
        case .taken: counters.forwarded += 1
        case .refused(let reason):
            refuse(sequence: inFlight[index].sequence, reason, now: now)
        }
        releaseDone()
    }

    private mutating func refuse(sequence: UInt64, _ reason: RefusalReason, now: Moment) {
        counters.refused += 1
        for index in 0..<batches.count {
            let batch = batches[index]
            guard let record = batch.record(sequence: sequence) else { continue }
            refused.append(
                RefusedMessage(
                    route: route, reason: reason,
                    refusedAtUnixMilliseconds: now.unixMilliseconds,
                    message: batch.alone(record)))
            return
        }
        preconditionFailure("a message in flight is always in memory")
    }

    /// The refused messages since the last call, for the next transaction.
    mutating func takeRefused() -> [RefusedMessage] {
        defer { refused = [] }
        return refused
    }

    private mutating func releaseDone() {
        while let head = inFlight.first, head.isDone {
            acknowledgedThrough = head.sequence
            inFlight.removeFirst()
            firstToken += 1
        }
        while let batch = batches.first, batch.lastSequence <= acknowledgedThrough {
            precondition(sendBatch > 0, "a batch is done before it was sent")
            batches.removeFirst()
            sendBatch -= 1
        }
        if inFlight.isEmpty, batches.isEmpty, loadedThrough > acknowledgedThrough {
            acknowledgedThrough = loadedThrough  // a hole at the end of the store
        }
    }

    func checkInvariants() {
        precondition(acknowledgedThrough <= committedThrough)
        precondition(loadedThrough <= committedThrough)
        precondition(sendBatch <= batches.count)
        var bytes = 0
        for index in 0..<inFlight.count where !inFlight[index].isDone {
            bytes += inFlight[index].bytes
        }
        precondition(bytes == inFlightBytes, "bytes in flight are counted wrongly")
        if let head = inFlight.first { precondition(!head.isDone, "a done head stays") }
        var expected: UInt64?
        for index in 0..<batches.count {
            if let expected { precondition(batches[index].firstSequence >= expected) }
            expected = batches[index].lastSequence + 1
        }
    }
}
