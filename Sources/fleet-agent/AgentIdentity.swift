import Daemon
import FleetModel
import IO
import JSON

/// Who this installation is: the file `instance` of the state folder, and `identity.json` for its starts.
struct AgentIdentity {
    var instance: Instance
    /// max(last + 1, Unix seconds).
    var session: Int
    /// Of the counters: the kernel's boot and the agent's run in it.
    var boot: BootID

    private static let fileLimit = 4096

    /// Reads it, makes what is new with this start, and writes it back before anything is published.
    ///
    /// A cloned card gets a new instance. A folder that cannot be written is no reason to measure nothing: it is
    /// logged, and the boot id is random then.
    init(_ machine: MachineIdentity, folder: String, log: Log) {
        var random = SystemRandom()
        var isKept = true
        do throws(DaemonError) {
            let loaded = try InstanceFile.load(folder: folder, machine: machine)
            instance = loaded.instance
            if loaded.isClone {
                log.notice(
                    "another machine than at the last start: this is a new instance now",
                    ["instance": instance])
            }
        } catch {
            instance = Instance(bits: random.next())
            isKept = false
            log.error("the instance cannot be kept: \(error)")
        }
        let path = folder + "/identity.json"
        let kernelBoot = machine.bootID ?? ""
        let saved = Self.read(path, log)
        let seconds = Int(SystemClock.unixMilliseconds() / 1000)
        session = max(Int(saved["session"]?.integer ?? 0) + 1, seconds)
        let isSameBoot = !kernelBoot.isEmpty && saved["boot"]?.string == kernelBoot
        let run = isSameBoot ? Int(saved["run"]?.integer ?? 0) + 1 : 1

        let content: JSONValue = .object([
            "session": .integer(Int64(session)), "boot": .string(kernelBoot),
            "run": .integer(Int64(run)),
        ])
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
            log.error("the agent's earlier starts cannot be read: \(error)")
            return .object([:])
        }
    }
}
