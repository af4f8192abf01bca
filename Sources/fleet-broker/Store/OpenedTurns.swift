import BrokerCore
import Daemon
import IO
import MQTT
import Store

/// A store that is open, and the state that it held.
struct OpenedTurns: ~Copyable {
    let path: String
    let database: Database
    let boot: UInt64
    var state: RecoveredState

    /// Opens the store in `folder`, or makes one. A damaged one is put aside, and what can be read of it is
    /// the state.
    static func open(
        folder: String, log: Log, progress: StartProgress
    ) throws -> OpenedTurns {
        let path = folder + "/" + TurnTable.fileName
        let boot = MachineIdentity.read().bootBits
        let anchor = TimeAnchor(
            monotonic: SystemClock.monotonic(),
            unixMilliseconds: SystemClock.unixMilliseconds(), boot: boot)
        var state = RecoveredState(seed: SystemRandom.number(), at: anchor)
        do throws(StoreError) {
            let database = try TurnTable.open(path)
            do throws(StoreError) {
                var last = Int64.min
                try TurnTable.read(database, after: &last, into: &state) { turns in
                    progress.advance("reading the store: \(turns) turns")
                }
            } catch {
                database.close()
                throw error
            }
            guard state.damagedTurns == 0 else {
                database.close()
                throw StoreError(.corrupt, "a turn's checksum is wrong", path: path)
            }
            return OpenedTurns(
                path: path, database: database, boot: boot, state: state)
        } catch {
            // A flipped bit in the schema is a column that is missing, to SQLite.
            guard error.kind == .corrupt || error.kind == .other else { throw error }
            return try salvage(path, boot, anchor, error, log)
        }
    }

    private static func salvage(
        _ path: String, _ boot: UInt64, _ anchor: TimeAnchor, _ why: StoreError, _ log: Log
    ) throws -> OpenedTurns {
        let target = try StoreFile.quarantine(path)
        var state = RecoveredState(seed: SystemRandom.number(), at: anchor)
        // The copy that is kept for people is not changed by reading it.
        let copy = path + ".salvage"
        if let database = try? StoreFile.openCopy(
            of: target, at: copy, schema: TurnTable.schema, options: TurnTable.options)
        {
            TurnTable.salvage(database, into: &state)
            database.close()
        }
        StoreFile.remove(copy)
        log.error(
            "the store is damaged and was put aside; what could be read of it goes on",
            [
                "why": why.message, "file": target, "sessions": state.sessionCount,
                "retained": state.retainedCount, "turns": state.turns,
                "lost_turns": state.damagedTurns,
                "hint": "keep the file until someone has looked at it",
            ])
        state.isSalvaged = true
        return OpenedTurns(
            path: path, database: try TurnTable.open(path), boot: boot, state: state)
    }
}
