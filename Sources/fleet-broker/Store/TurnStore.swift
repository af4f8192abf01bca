import BrokerCore
import Daemon
import IO
import MQTT
import Store

/// `fleet-broker store …`: what can be done with the file of turns.
enum TurnStore: StoreKeeper {
    static let fileName = TurnTable.fileName
    static var formatVersion: Int { TurnTable.schema.formatVersion }

    static func format(of path: String) throws -> Int? {
        try DaemonError.ofStore { () throws(StoreError) in
            try StoreMaintenance.format(of: path, schema: TurnTable.schema)
        }
    }

    static func backUp(_ path: String, to target: String) throws -> String {
        try DaemonError.ofStore { () throws(StoreError) in
            let database = try TurnTable.open(path, migrates: false)
            defer { database.close() }
            try database.copy(to: target)
            return count(try database.integer("SELECT count(*) FROM turn"), "turn")
        }
    }

    static func restore(
        from source: String, to path: String, ownedLike owner: FileStatus
    ) throws -> String? {
        try DaemonError.ofStore { () throws(StoreError) in
            try StoreMaintenance.restore(
                from: source, to: path, schema: TurnTable.schema, ownedLike: owner)
        }
    }

    static func check(_ path: String) throws -> (problems: [String], content: String) {
        try DaemonError.ofStore { () throws(StoreError) in
            do throws(StoreError) {
                return try lookThrough(path)
            } catch {
                guard error.kind == .corrupt else { throw error }
                return ([error.message], "")
            }
        }
    }

    private static func lookThrough(
        _ path: String
    ) throws(StoreError) -> (problems: [String], content: String) {
        let database = try TurnTable.open(path, migrates: false)
        defer { database.close() }
        var problems = try database.problems()
        let anchor = TimeAnchor(
            monotonic: SystemClock.monotonic(),
            unixMilliseconds: SystemClock.unixMilliseconds(), boot: 0)
        var state = RecoveredState(seed: 0, at: anchor)
        var last = Int64.min
        try TurnTable.read(database, after: &last, into: &state)
        if state.damagedTurns > 0 {
            let damaged = count(state.damagedTurns, "turn")
            problems.append("\(damaged): not what was written")
        }
        let held = [
            count(state.turns, "turn"), count(state.sessionCount, "session"),
            count(state.retainedCount, "retained message"),
        ]
        return (problems, held.joined(separator: ", "))
    }

    private static func count(_ number: some BinaryInteger, _ noun: String) -> String {
        "\(number) \(noun)\(number == 1 ? "" : "s")"
    }
}
