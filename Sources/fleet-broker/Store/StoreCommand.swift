import BrokerCore
import Daemon
import IO
import MQTT
import Store

/// `fleet-broker store backup FILE` and `fleet-broker store check`: look at the store, also while the
/// broker runs.
enum StoreCommand {
    static let specification = SubcommandSpecification(
        "store", summary: "copy the store, or look for damage; also while the broker runs",
        operands: [
            OperandSpecification("ACTION", help: "backup or check"),
            OperandSpecification(
                "FILE", help: "the copy that backup makes; there must be none yet",
                isOptional: true),
        ],
        flags: [.stateDirectory])

    static func run(_ flags: ParsedFlags) throws -> ExitCode {
        let action = flags.operands[0]
        let target = flags.operands.count > 1 ? flags.operands[1] : nil
        let folder = try StateDirectory.path(flags, name: BrokerProgram.specification.stateName)
        let path = folder + "/" + TurnTable.fileName
        guard Files.exists(path) else {
            throw DaemonError(
                .dataError, "there is no store at \(path)",
                hint: "name the broker's folder with --state-directory DIR")
        }
        switch (action, target) {
        case ("backup", let target?): return try backUp(path, to: target)
        case ("check", nil): return try check(path)
        case ("backup", nil):
            throw DaemonError(.usage, "backup needs the FILE to write")
        default:
            throw DaemonError(
                .usage, "\"\(action)\" is nothing that can be done with a store",
                hint: "backup FILE, or check")
        }
    }

    private static func backUp(_ path: String, to target: String) throws -> ExitCode {
        guard !Files.exists(target) else {
            throw DaemonError(
                .cannotCreate, "\(target) exists already; a backup overwrites nothing")
        }
        do throws(StoreError) {
            let database = try TurnTable.open(path)
            defer { database.close() }
            try database.copy(to: target)
            let turns = try database.integer("SELECT count(*) FROM turn")
            print("\(target): \(count(turns, "turn"))")
            return .success
        } catch {
            throw DaemonError(.dataError, error.message, hint: error.hint)
        }
    }

    private static func count(_ number: some BinaryInteger, _ noun: String) -> String {
        "\(number) \(noun)\(number == 1 ? "" : "s")"
    }

    private static func check(_ path: String) throws -> ExitCode {
        do throws(StoreError) {
            let database = try TurnTable.open(path)
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
            for problem in problems { print(problem) }
            let held = [
                count(state.turns, "turn"), count(state.sessionCount, "session"),
                count(state.retainedCount, "retained message"),
            ]
            print(
                "\(path): \(problems.isEmpty ? "sound" : "damaged"), "
                    + held.joined(separator: ", "))
            return problems.isEmpty ? .success : .dataError
        } catch {
            guard error.kind == .corrupt else {
                throw DaemonError(.dataError, error.message, hint: error.hint)
            }
            print("\(path): damaged: \(error.message)")
            return .dataError
        }
    }
}
