import Config
import FleetModel
import IO

/// What a machine says of itself: names and numbers that tell it from others.
public struct MachineIdentity: Sendable, Equatable {
    public var hostName: String
    /// The board's serial number, as the firmware gives it; PCs and virtual machines have none here.
    public var boardSerial: String?
    /// machine-id(5).
    public var machineID: String?
    /// The kernel's boot, a UUID; random(4).
    public var bootID: String?

    public init(
        hostName: String, boardSerial: String? = nil, machineID: String? = nil,
        bootID: String? = nil
    ) {
        self.hostName = hostName
        self.boardSerial = boardSerial
        self.machineID = machineID
        self.bootID = bootID
    }

    /// Reads them; what cannot be read is `nil`, or empty for the host name.
    ///
    /// - Parameters: where the kernel's folders are, and what stands before `/etc`.
    public static func read(
        proc: String = "/proc", sys: String = "/sys", root: String = ""
    ) -> MachineIdentity {
        let ownName = proc == "/proc" ? Kernel.hostName : nil
        // Where a sandbox hides it, systemd can load it: LoadCredential=boot_id:/proc/sys/kernel/random/boot_id.
        let boot = CredentialFolder.ofProcess.path(for: proc + "/sys/kernel/random/boot_id")
        return MachineIdentity(
            hostName: ownName ?? text(proc + "/sys/kernel/hostname") ?? "",
            boardSerial: text(sys + "/firmware/devicetree/base/serial-number")
                ?? serial(cpuInfo: proc + "/cpuinfo"),
            machineID: text(root + "/etc/machine-id"),
            bootID: text(boot))
    }

    /// Where there is no device tree, the kernel of a Raspberry Pi says it so: `Serial : 10000000abcdef01`.
    private static func serial(cpuInfo path: String) -> String? {
        guard let bytes = try? Files.read(path, limit: 64 * 1024) else { return nil }
        for line in bytes.split(separator: UInt8(ascii: "\n")) {
            let parts = line.split(separator: UInt8(ascii: ":"), maxSplits: 1)
            if parts.count == 2, printable(parts[0]) == "Serial" { return printable(parts[1]) }
        }
        return nil
    }

    /// The name of this node where none is configured.
    public var defaultNodeName: NodeName? {
        NodeName.default(hostName: hostName, boardSerial: boardSerial, machineID: machineID)
    }

    /// The boot in 64 bits, for what only compares boots; where it is unknown, a number that no other start has,
    /// so that no two are taken for one.
    public var bootBits: UInt64 {
        let digits = (bootID ?? "").filter { $0 != "-" }.prefix(16)
        var random = SystemRandom()
        return UInt64(digits, radix: 16) ?? random.next()
    }

    /// Changes when the card moves into another machine or the image is cloned.
    var fingerprint: String { "\(boardSerial ?? "-") \(machineID ?? "-")" }

    private static func text(_ path: String) -> String? {
        (try? Files.read(path, limit: 256)).flatMap { printable($0[...]) }
    }

    /// Without white space, and without the NUL of the device tree; `nil` where nothing is left.
    private static func printable(_ bytes: ArraySlice<UInt8>) -> String? {
        let text = String(decoding: bytes.filter { $0 > 0x20 && $0 < 0x7F }, as: UTF8.self)
        return text.isEmpty ? nil : text
    }
}

/// The file `instance` of a state folder: 64 random bits made at the first start, bound to the machine.
public enum InstanceFile {
    /// Reads the instance, or makes a new one: where there is none yet, and where the file was made on
    /// another machine, so that a cloned card is never taken for its original.
    ///
    /// - Returns: `isNew` when it was made just now; `isClone` when it replaced that of another machine.
    public static func load(
        folder: String, machine: MachineIdentity
    ) throws(DaemonError) -> (instance: Instance, isNew: Bool, isClone: Bool) {
        let path = folder + "/instance"
        let lines = String(decoding: (try? Files.read(path, limit: 1_024)) ?? [], as: UTF8.self)
            .split(separator: "\n", omittingEmptySubsequences: false)
        let kept = lines.count >= 2 ? Instance(String(lines[0])) : nil
        if let kept, lines[1] == machine.fingerprint { return (kept, false, false) }
        var random = SystemRandom()
        let instance = Instance(bits: random.next())
        let content = Array("\(instance)\n\(machine.fingerprint)\n".utf8)
        do throws(IOError) {
            try Files.writeAtomically(path, content.span, mode: 0o640)
        } catch {
            throw DaemonError(.cannotCreate, "the file \(path) cannot be written: \(error)")
        }
        return (instance, true, kept != nil)
    }
}
