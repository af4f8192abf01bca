public import FleetModel

/// What is kept of a command so that it never runs twice.
public struct CommandRecord: Hashable, Sendable {
    public var id: RequestID
    public var verb: String
    /// Unix milliseconds when it was taken.
    public var unixMilliseconds: Int64
    /// Whether a second run would do no harm.
    public var isRepeatable: Bool

    public init(id: RequestID, verb: String, unixMilliseconds: Int64, isRepeatable: Bool) {
        self.id = id
        self.verb = verb
        self.unixMilliseconds = unixMilliseconds
        self.isRepeatable = isRepeatable
    }
}

/// The ids of the last seven days' commands.
///
/// Bounded: when it is full, the oldest command that may be repeated is forgotten first; when none
/// may, new commands are refused, because forgetting one could let it run again.
struct CommandMemory {
    private(set) var records: [CommandRecord]
    private var ids: Set<RequestID>

    /// Oldest first; of an id that stands twice, the first counts.
    init(records: [CommandRecord]) {
        self.records = []
        ids = []
        for record in records where ids.insert(record.id).inserted { self.records.append(record) }
    }

    func contains(_ id: RequestID) -> Bool { ids.contains(id) }

    /// Adds a record; `false` when it is full of commands that must not be forgotten.
    mutating func insert(_ record: CommandRecord) -> Bool {
        if records.count >= AgentLimits.rememberedCommands {
            guard let index = records.firstIndex(where: \.isRepeatable) else { return false }
            ids.remove(records.remove(at: index).id)
        }
        ids.insert(record.id)
        records.append(record)
        return true
    }

    /// Forgets what is older than seven days by a clock that is known to be right.
    mutating func prune(unixMilliseconds now: Int64) {
        let (seconds, _) = AgentLimits.commandMemory.components
        let oldest = now - seconds * 1000
        guard let first = records.first, first.unixMilliseconds < oldest else { return }
        for record in records where record.unixMilliseconds < oldest { ids.remove(record.id) }
        records.removeAll { $0.unixMilliseconds < oldest }
    }

    func checkInvariants() {
        precondition(ids.count == records.count)
        precondition(records.count <= AgentLimits.rememberedCommands)
    }
}
