import MQTT

/// Numbers the turns of a shard, beginning with 1. 0 is before the first.
public struct TurnNumber: Comparable, Hashable, Sendable {
    public var rawValue: UInt64

    public init(rawValue: UInt64) { self.rawValue = rawValue }

    public static func < (left: TurnNumber, right: TurnNumber) -> Bool {
        left.rawValue < right.rawValue
    }
}

/// All changes of what must survive since the turn before; committed whole or not at all.
///
/// A store keeps turns by their numbers. Read in their order they give the shard's state; keeping one of
/// them twice is the same as keeping it once.
public struct Turn: Sendable {
    public let number: TurnNumber
    /// What its commit must withstand.
    public let durability: Durability
    /// Records (`JournalRecord`), to be kept as they are.
    public let records: [UInt8]
    /// Turns up to this one say nothing any more that later ones do not, and may be deleted.
    public let obsolete: TurnNumber?
}

/// When a journal hands its changes over.
public struct JournalLimits: Sendable, Equatable {
    /// The least time between two commits, so that lone messages do not each cost one; a commit begins at
    /// once when none did for so long, or when `promptBytes` wait.
    public var flushInterval = Duration.milliseconds(10)
    /// Changes for which nobody waits (acknowledgements from subscribers) are written this much later,
    /// with others or alone.
    public var idleInterval = Duration.seconds(1)
    /// Changes of this many bytes do not wait for an interval.
    public var promptBytes = 64 * 1024
    /// Bytes of changes that are not committed; above it publishers are not read.
    public var uncommittedBytes = 16 * 1024 * 1024
    /// Bytes of turns that say nothing any more, beside as many as those that do, at which what is live is
    /// written anew and the old turns are deleted.
    public var slackBytes = 8 * 1024 * 1024
    /// The most that the store's file takes. What is live may take nearly half of it, so that there is room
    /// to write it anew; messages that must be kept are refused above that.
    public var storeBytes = 256 * 1024 * 1024

    public init() {}

    /// The limits of one of several shards; what the store takes counts for all of them together.
    func share(of count: Int) -> JournalLimits {
        var share = self
        share.uncommittedBytes /= count
        share.slackBytes /= count
        return share
    }
}

/// Gathers a turn's changes as bytes. Without a store it gathers nothing and holds nothing back.
///
/// All turns of the event loop that end while a commit runs are one turn here: the next is handed over
/// when the commit before it is done.
struct Journal {
    /// Whether changes are recorded at all: the one test that memory durability pays.
    let isRecording: Bool
    let limits: JournalLimits

    /// The turn that is gathered now.
    private(set) var current = TurnNumber(rawValue: 1)
    /// The last turn of which all changes are safe.
    private(set) var committed = TurnNumber(rawValue: 0)
    /// The last turn of which other shards have committed what they got of it, too. With one shard the
    /// same as `committed`.
    private(set) var completed = TurnNumber(rawValue: 0)
    /// The last turn that was handed over to be committed.
    private(set) var handedOver = TurnNumber(rawValue: 0)
    /// Counts changes for which somebody waits: the same before and after something that changed nothing.
    private(set) var mark: UInt64 = 0
    /// Bytes of all turns that the store holds.
    private(set) var storedBytes = 0
    /// Bytes that the state would take if it were written anew, about.
    private(set) var liveBytes = 0

    private var records: [UInt8] = []
    private var durability = Durability.process
    private var isAwaited = false
    /// Something of this turn is another shard's to commit.
    private var awaitsPeers = false
    private var handedOverBytes = 0
    private var handedOverAt = MonotonicTime.zero
    private var gatheredSince: MonotonicTime?
    private var obsolete: TurnNumber?

    /// The messages of this turn, so that one that many sessions keep is written once.
    private var messageCount = 0
    private var lastMessage: Message?
    private var isLastWritten = false
    private var lastDurability: Durability?

    init(isRecording: Bool, limits: JournalLimits = JournalLimits()) {
        self.isRecording = isRecording
        self.limits = limits
    }

    /// Goes on behind the turns that a store held.
    mutating func resume(after last: TurnNumber, storedBytes: Int) {
        current = TurnNumber(rawValue: last.rawValue + 1)
        committed = last
        completed = last
        handedOver = last
        self.storedBytes = storedBytes
    }

    // MARK: Turns

    /// The turn that must be complete before anything said now is true; `nil` when all is safe.
    var pendingTurn: TurnNumber? {
        if isAwaited { return current }
        return completed < handedOver ? handedOver : nil
    }

    /// Whether anything is not safe yet, here or in another shard.
    var hasUncommitted: Bool { !records.isEmpty || pendingTurn != nil }

    /// Bytes of changes that are not safe yet.
    var uncommittedBytes: Int { records.count + handedOverBytes }

    var isCommitting: Bool { committed < handedOver }

    /// Bytes that have gathered for the next turn.
    var gatheredBytes: Int { records.count }

    /// Closes the turn; `nil` when nothing changed, a commit runs, or the changes may wait a little.
    mutating func endTurn(at now: MonotonicTime) -> Turn? {
        guard !records.isEmpty || obsolete != nil || awaitsPeers else { return nil }
        if gatheredSince == nil { gatheredSince = now }
        guard !isCommitting, let due, due <= now else { return nil }
        if hasNothingToStore {
            handedOver = current
            committed = current
            startTurn()
            return nil
        }
        let turn = Turn(
            number: current, durability: durability, records: records, obsolete: obsolete)
        handedOver = current
        handedOverBytes = records.count
        handedOverAt = now
        storedBytes += records.count
        startTurn()
        records.reserveCapacity(min(turn.records.count, 4 * limits.promptBytes))
        return turn
    }

    private mutating func startTurn() {
        current.rawValue += 1
        records = []
        durability = .process
        isAwaited = false
        awaitsPeers = false
        gatheredSince = nil
        obsolete = nil
        messageCount = 0
        lastMessage = nil
        lastDurability = nil
    }

    /// All that this turn waits for is committed by other shards.
    private var hasNothingToStore: Bool { records.isEmpty && obsolete == nil }

    /// When `endTurn` has something to hand over; `nil` while a commit runs or when nothing has changed.
    var due: MonotonicTime? {
        guard !isCommitting, let gatheredSince else { return nil }
        if records.count >= limits.promptBytes || obsolete != nil || hasNothingToStore {
            return .zero
        }
        return isAwaited
            ? handedOverAt + limits.flushInterval : gatheredSince + limits.idleInterval
    }

    mutating func committed(_ turn: TurnNumber) {
        precondition(turn <= handedOver, "a turn was committed before it ended")
        if committed < turn { committed = turn }
        if committed == handedOver { handedOverBytes = 0 }
    }

    /// Other shards have committed what they got of the turns up to this one, which is committed.
    mutating func completed(_ turn: TurnNumber) {
        if completed < turn { completed = turn }
    }

    /// What this turn gave to another shard must be safe there before anything said now is true.
    mutating func awaitPeers() {
        mark &+= 1
        isAwaited = true
        awaitsPeers = true
    }

    /// What is live has been written anew behind `turn`: all up to it goes with the next turn.
    mutating func forget(through turn: TurnNumber, storedBytes remaining: Int) {
        obsolete = turn
        storedBytes = remaining
        isAwaited = true
        if gatheredSince == nil { gatheredSince = .zero }
    }

    mutating func hurry() {
        isAwaited = isAwaited || !records.isEmpty
        handedOverAt = .zero
    }

    /// The turn that was handed over will not be committed: its store is gone.
    mutating func takeBack() {
        handedOver = committed
        handedOverBytes = 0
        records = []
        messageCount = 0
        lastMessage = nil
    }

    /// The store is a new one, and what was recorded since `takeBack` is all of its content.
    mutating func replaceStore(at now: MonotonicTime) {
        storedBytes = 0
        isAwaited = true
        durability = .power
        gatheredSince = now
    }

    // MARK: What is live

    mutating func live(_ bytes: Int) { liveBytes += bytes }

    mutating func dead(_ bytes: Int) {
        liveBytes = max(0, liveBytes - bytes)
    }

    // MARK: Recording

    /// Begins a record for whose commit somebody waits, and which withstands `durability`.
    @inline(__always)
    mutating func begin(_ kind: JournalRecord, _ durability: Durability = .process) {
        mark &+= 1
        isAwaited = true
        if durability > self.durability { self.durability = durability }
        records.append(kind)
    }

    /// Begins a record that nobody waits for: lost in a crash, it only has something done twice.
    @inline(__always)
    mutating func beginLazily(_ kind: JournalRecord) { records.append(kind) }

    @inline(__always)
    mutating func put(_ value: UInt64) { records.append(number: value) }

    @inline(__always)
    mutating func put(_ value: Int) { records.append(number: value) }

    @inline(__always)
    mutating func put(_ value: UInt8) { records.append(value) }

    mutating func put(_ value: MonotonicTime) { records.append(number: value.nanoseconds) }

    mutating func put(_ bytes: [UInt8]) { records.append(counted: bytes) }

    mutating func put(_ bytes: Span<UInt8>) { records.append(counted: bytes) }

    /// `share` is the filter of the group that the message came through, if it did.
    mutating func put(_ options: DeliveryOptions, share: [UInt8]?) {
        records.append(options.journalFlags | (share == nil ? 0 : DeliveryOptions.shareFlag))
        let further = options.identifiers
        records.append(number: further.count)
        for identifier in further { records.append(number: UInt64(identifier)) }
        if let share { records.append(counted: share) }
    }

    /// What was remembered of the message that was last spoken of.
    func durability(of message: Message) -> Durability? {
        lastMessage === message ? lastDurability : nil
    }

    mutating func remember(_ durability: Durability, of message: Message) {
        if lastMessage !== message { isLastWritten = false }
        lastMessage = message
        lastDurability = durability
    }

    /// The place of `message` among the turn's; writes it where it is not there yet. Call it before the
    /// record that names it is begun.
    mutating func place(of message: Message) -> Int {
        if let lastMessage, lastMessage === message, isLastWritten { return messageCount - 1 }
        if lastMessage !== message { lastDurability = nil }
        lastMessage = message
        isLastWritten = true
        messageCount += 1
        records.append(.message)
        message.write(to: &records)
        return messageCount - 1
    }
}
