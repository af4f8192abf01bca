/// How much of `limits.memory` is used, and how much of what is free one client may have.
///
/// An eighth is set aside. One output may take a 32nd of what is free beside it, one queue all of it. As less
/// is free, both shrink: QoS 0 to slow readers is dropped first, then the largest queues are full, and the
/// small ones never notice. However many there are, they leave the eighth alone: what eats into it has no
/// cap of its own.
struct MemoryUse {
    /// Messages in queues and in flight, of all sessions.
    var entries = 0
    /// The sum of all `Connection.countedBuffers`.
    var bufferBytes = 0
    /// Bytes put into outputs since they were counted last.
    var turnBytes = 0
    /// What the meter was told of entries and buffers.
    var toldBytes = 0
    /// What was used when people were told that the limit is at work; 0: they have not been.
    private var notedAt = 0

    /// Bytes of the whole broker, when they were last added up.
    private(set) var used = 0
    /// Bytes that one output may hold now.
    private(set) var outputLimit: Int
    /// Bytes that one queue may hold now, and a session's messages in flight.
    private(set) var queueLimit: Int
    /// `turnBytes` at which it is weighed again before the turn ends.
    private(set) var turnLimit = Int.max
    /// Publishers are refused whose messages somebody would have to hold.
    private(set) var isTight = false
    /// Nothing is free.
    private(set) var isExhausted = false

    /// What an entry takes beside its message.
    static let entryBytes = 48
    /// An output that everybody may have, whatever is free: what a reader that keeps up needs.
    static let freeOutput = 16 * 1024
    /// A part of a packet that everybody may have sent.
    static let freeInput = 64 * 1024

    init(_ limits: BrokerLimits) {
        outputLimit = limits.outputBytes
        queueLimit = limits.queueBytes
    }

    var ownBytes: Int { entries * Self.entryBytes + bufferBytes }

    /// Notes what the whole broker uses.
    mutating func weigh(_ bytes: Int, _ limits: BrokerLimits) {
        used = bytes + turnBytes
        let free = max(0, limits.memoryBytes - used)
        let share = max(0, free - limits.memoryBytes / 8)
        outputLimit = min(limits.outputBytes, max(Self.freeOutput, share / 32))
        queueLimit = min(limits.queueBytes, share)
        turnLimit = turnBytes + max(Self.freeInput, free / 8)
        // Once tight, it stays so until half as much again is free.
        isTight = free < limits.memoryBytes / 32 * (isTight ? 3 : 2)
        isExhausted = free == 0
        if used < notedAt / 2 { notedAt = 0 }
    }

    /// Whether people are to be told that the limit is at work: once, until half as much is used.
    mutating func isNews() -> Bool {
        guard notedAt == 0 else { return false }
        notedAt = max(1, used)
        return true
    }
}
