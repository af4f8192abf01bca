import MQTT

/// The name that the receiving connection gave to one delivery, to acknowledge it by.
public struct Delivery: Hashable, Sendable {
    public var id: UInt64
    public init(id: UInt64) { self.id = id }
}

/// Limits of what one route takes in.
public struct IntakeLimits: Sendable, Equatable {
    /// Bytes of one batch, the unit that is read from and deleted in the store. A larger message
    /// is a batch of its own.
    public var maximumBatchBytes = 64 * 1024
    /// Bytes that may wait for their commit; from there on the connection is not read.
    public var maximumPendingBytes = 4 * 1024 * 1024
    /// Bytes in the store; from there on nothing more is committed, so nothing acknowledged. The
    /// last batch before may go beyond.
    public var maximumStoredBytes = 1024 * 1024 * 1024
    /// Messages in the store; likewise.
    public var maximumStoredMessages = 10_000_000

    public init() {}
}

/// What happened to one arriving message.
public enum Admission: Equatable, Sendable {
    case pending
    /// QoS 0 while the store is full: there is nobody to hold back, so it is dropped and counted.
    case dropped
}

/// The receiving half of a route: messages wait here for their commit, deliveries for their
/// acknowledgement, which leave in the order of arrival and only after the commit.
struct Intake: Sendable {
    private struct Waiting {
        var delivery: Delivery
        var connection: UInt32
        /// The draft after whose commit it may be acknowledged.
        var draft: UInt64
    }

    let limits: IntakeLimits
    private let boot: UInt64
    /// The number that the next committed message gets.
    private(set) var nextSequence: UInt64
    /// Bytes in the store, as far as commits have been confirmed.
    private(set) var storedBytes: Int
    /// Bytes not yet in a transaction.
    private(set) var pendingBytes = 0
    private var drafts = Queue<BatchDraft>()
    private var draftsMade: UInt64 = 0
    private var draftsTaken: UInt64 = 0
    private var draftsCommitted: UInt64 = 0
    private var takenBytes = 0
    private var waiting = Queue<Waiting>()
    /// Counts the receiving connections; a delivery of an earlier one is never acknowledged.
    private var connection: UInt32 = 0

    init(boot: UInt64, nextSequence: UInt64, storedBytes: Int, limits: IntakeLimits) {
        self.boot = boot
        self.nextSequence = nextSequence
        self.storedBytes = storedBytes
        self.limits = limits
    }

    var hasPending: Bool { !drafts.isEmpty }

    /// True when what waits for its commit has reached its limit: read no more until it shrinks.
    var isPaused: Bool { pendingBytes >= limits.maximumPendingBytes }

    mutating func connectionOpened() {
        connection &+= 1
    }

    /// What was not acknowledged stays and is committed: the peer may have forgotten it. A peer
    /// that has not sends it again, and it goes up twice rather than never.
    mutating func connectionClosed() {
        connection &+= 1
    }

    mutating func append(
        _ message: ArrivingMessage, isFull: Bool, now: Moment
    ) -> Admission {
        if message.delivery == nil, isFull || isPaused { return .dropped }
        var properties: [UInt8] = []
        message.properties.appendStored(to: &properties)
        let size =
            MessageBatch.recordHeadLength + message.topic.count + properties.count
            + message.payload.count
        if drafts.isEmpty || drafts[drafts.count - 1].body.count + size > limits.maximumBatchBytes {
            drafts.append(BatchDraft(boot: boot))
            draftsMade += 1
            pendingBytes += MessageBatch.headerLength
        }
        drafts[drafts.count - 1].append(message, properties: properties, now: now)
        pendingBytes += size
        skip(message.delivery)
        return .pending
    }

    /// A delivery that needs no store: acknowledged in its turn.
    mutating func skip(_ delivery: Delivery?) {
        guard let delivery else { return }
        waiting.append(
            Waiting(delivery: delivery, connection: connection, draft: draftsMade))
    }

    /// The batches of the next transaction, until `room` bytes or `messages` are used up; the last
    /// may go beyond, so that no message is too large for ever.
    mutating func takeBatches(room: Int, messages: Int) -> [MessageBatch] {
        precondition(takenBytes == 0, "one transaction at a time")
        var batches: [MessageBatch] = []
        var messagesLeft = messages
        while let draft = drafts.first, takenBytes < room, messagesLeft > 0 {
            drafts.removeFirst()
            batches.append(draft.numbered(from: nextSequence))
            nextSequence += UInt64(draft.count)
            messagesLeft -= draft.count
            takenBytes += draft.body.count
            pendingBytes -= draft.body.count
            draftsTaken += 1
        }
        return batches
    }

    /// These batches, the next of those that were taken, are in the store.
    mutating func committed(_ batches: [MessageBatch]) {
        let bytes = batches.reduce(0) { $0 + $1.body.count }
        storedBytes += bytes
        takenBytes -= bytes
        draftsCommitted += UInt64(batches.count)
    }

    /// So many bytes were deleted from the store.
    mutating func freed(_ bytes: Int) {
        storedBytes = max(0, storedBytes - bytes)
    }

    /// Nothing of this route is in the store any more.
    mutating func storeIsEmpty() {
        storedBytes = 0
    }

    /// The next delivery to acknowledge on the connection that stands now.
    mutating func nextAcknowledgement() -> Delivery? {
        while let first = waiting.first, first.draft <= draftsCommitted {
            waiting.removeFirst()
            if first.connection == connection { return first.delivery }
        }
        return nil
    }

    func checkInvariants() {
        precondition(draftsCommitted <= draftsTaken && draftsTaken <= draftsMade)
        precondition(draftsMade - draftsTaken == UInt64(drafts.count))
        var bytes = 0
        for index in 0..<drafts.count { bytes += drafts[index].body.count }
        precondition(bytes == pendingBytes, "pending bytes are counted wrongly")
    }
}
