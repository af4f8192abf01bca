import FleetModel
import IO
import Testing

@testable import Daemon

@Suite("The machine and its instance")
struct MachineIdentityTests {
    private func folder() throws -> String {
        var random = SystemRandom()
        let path = "/tmp/fleet-instance-\(random.next())"
        try Files.makeFolder(path)
        return path
    }

    @Test("an instance is kept on its machine, and a clone gets another")
    func instance() throws {
        let folder = try folder()
        let machine = MachineIdentity(hostName: "a", boardSerial: "100000001", machineID: "f00")
        let first = try InstanceFile.load(folder: folder, machine: machine)
        #expect(first.isNew)
        let second = try InstanceFile.load(folder: folder, machine: machine)
        #expect(second.instance == first.instance && !second.isNew)
        var clone = machine
        clone.boardSerial = "100000002"
        let third = try InstanceFile.load(folder: folder, machine: clone)
        #expect(third.instance != first.instance && third.isNew)
        #expect(third.isClone && !first.isClone && !second.isClone)
    }

    @Test("a damaged file is replaced, and a folder that cannot be written is an error")
    func damaged() throws {
        let folder = try folder()
        let machine = MachineIdentity(hostName: "a")
        try Files.writeAtomically(folder + "/instance", Array("nonsense".utf8).span)
        #expect(try InstanceFile.load(folder: folder, machine: machine).isNew)
        #expect(try !InstanceFile.load(folder: folder, machine: machine).isNew)
        #expect(throws: DaemonError.self) {
            try InstanceFile.load(folder: folder + "/missing", machine: machine)
        }
    }

    @Test("is read from the kernel's files, without the NUL of the device tree")
    func read() throws {
        let root = try folder()
        for (name, text) in [
            ("/proc/sys/kernel/hostname", "barn\n"),
            ("/sys/firmware/devicetree/base/serial-number", "10000000abcdef01\0"),
            ("/etc/machine-id", "0123456789abcdef0123456789abcdef\n"),
            ("/proc/sys/kernel/random/boot_id", "1f2e3d4c-5b6a-7988-9700-112233445566\n"),
        ] {
            try Files.makeFolder(Files.folder(of: root + name))
            try Files.writeAtomically(root + name, Array(text.utf8).span)
        }
        func read() -> MachineIdentity {
            MachineIdentity.read(proc: root + "/proc", sys: root + "/sys", root: root)
        }
        let machine = read()
        #expect(machine.hostName == "barn")
        #expect(machine.boardSerial == "10000000abcdef01")
        #expect(machine.defaultNodeName?.text == "barn")
        #expect(machine.bootBits == 0x1f2e_3d4c_5b6a_7988)
        // Without a device tree, as kernels before it said it.
        try Files.remove(root + "/sys/firmware/devicetree/base/serial-number")
        #expect(read().boardSerial == nil)
        try Files.writeAtomically(
            root + "/proc/cpuinfo",
            Array("Model\t\t: Raspberry Pi\nSerial\t\t: 100000009abcdef0\nlast".utf8).span)
        #expect(read().boardSerial == "100000009abcdef0")
        let nothing = MachineIdentity.read(proc: "/no/proc", sys: "/no/sys", root: "/no/root")
        #expect(nothing == MachineIdentity(hostName: ""))
        #expect(nothing.bootBits != nothing.bootBits, "two boots that are unknown are not one")
    }
}
