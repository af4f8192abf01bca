import Testing

@testable import IO

@Suite struct MachineMemoryTests {
    @Test func `the machine has some, and no more than the kernel says`() throws {
        let text = String(
            decoding: try Files.read("/proc/meminfo", limit: 1 << 16), as: UTF8.self)
        let line = try #require(text.split(separator: "\n").first { $0.hasPrefix("MemTotal:") })
        let kilobytes = try #require(line.split(separator: " ").compactMap { Int($0) }.first)
        let total = MachineMemory.total()
        #expect(total > 16 << 20)
        #expect(total <= kilobytes * 1_024 * 9 / 8)
    }

    @Test func `the least limit of the control groups above counts`() throws {
        let folder = try TemporaryFolder()
        let root = folder.path
        func limit(_ path: String, _ text: String) throws {
            try Files.makeFolder(root + path)
            try Files.writeAtomically(root + path + "/memory.max", Array(text.utf8).span)
        }
        try limit("/system.slice", "536870912\n")
        try limit("/system.slice/a.service", "max\n")
        try limit("/system.slice/b.service", "1048576\n")
        func found(_ own: String) -> Int { MachineMemory.groupLimit(root: root, own: own) }
        #expect(found("0::/system.slice/a.service\n") == 536_870_912)
        #expect(found("1:name=x:/\n0::/system.slice/b.service\n") == 1_048_576)
        #expect(found("0::/\n") == .max)
        #expect(found("4:memory:/old\n") == .max)
        #expect(found("") == .max)
    }
}
