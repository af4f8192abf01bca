import Daemon
import FleetModel
import IO
import JSON
import Sensors

/// Who this installation is, kept in `identity.json` of the state folder.
struct AgentIdentity {
    var instance: Instance
    /// max(last + 1, Unix seconds).
    var session: Int
    /// Of the counters: the kernel's boot and the agent's run in it.
    var boot: BootID

    private static let fileLimit = 4096

    /// Reads it, makes what is new with this start, and writes it back before anything is published.
    ///
    /// Another board or machine-id means that the card was cloned: it gets a new instance. A folder
    /// that cannot be written is no reason to measure nothing: it is logged, and the boot id is
    /// random then.
    init(_ facts: MachineFacts, folder: String, log: Log) {
        let path = folder + "/identity.json"
        let board = facts.boardSerial ?? ""
        let machine = facts.machineID ?? ""
        let kernelBoot = facts.kernelBootID ?? ""
        let saved = Self.read(path, log)
        var random = SystemRandom()

        let savedInstance = saved["instance"]?.string.flatMap { Instance($0) }
        if let savedInstance, saved["board"]?.string == board, saved["machine"]?.string == machine {
            instance = savedInstance
        } else {
            instance = Instance(bits: random.next())
            if savedInstance != nil {
                log.notice(
                    "another machine than at the last start: this is a new instance now",
                    ["instance": instance])
            }
        }
        let seconds = Int(SystemClock.unixMilliseconds() / 1000)
        session = max(Int(saved["session"]?.integer ?? 0) + 1, seconds)
        let isSameBoot = !kernelBoot.isEmpty && saved["boot"]?.string == kernelBoot
        let run = isSameBoot ? Int(saved["run"]?.integer ?? 0) + 1 : 1

        let content: JSONValue = .object([
            "instance": .string(instance.description), "board": .string(board),
            "machine": .string(machine), "session": .integer(Int64(session)),
            "boot": .string(kernelBoot), "run": .integer(Int64(run)),
        ])
        var isKept = true
        do throws(IOError) {
            try Files.writeAtomically(path, content.encoded().span, mode: 0o640)
        } catch {
            isKept = false
            log.error("this start cannot be noted: \(error)", ["file": path])
        }
        let counted = BootID(
            kernelBootID: kernelBoot, instance: instance, run: UInt16(truncatingIfNeeded: run))
        boot = (isKept ? counted : nil) ?? BootID(bits: random.next())
    }

    private static func read(_ path: String, _ log: Log) -> JSONValue {
        guard Files.exists(path) else { return .object([:]) }
        do {
            return try JSON.parse(Files.read(path, limit: fileLimit))
        } catch {
            log.error("the agent's identity cannot be read; a new one is made: \(error)")
            return .object([:])
        }
    }
}
