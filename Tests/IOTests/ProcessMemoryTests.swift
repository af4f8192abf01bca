import IO
import Testing

@Suite struct ProcessMemoryTests {
    /// kB of this process that are resident.
    private func resident() throws -> Int {
        let text = String(
            decoding: try Files.read("/proc/self/smaps_rollup", limit: 1 << 16), as: UTF8.self)
        let line = try #require(text.split(separator: "\n").first { $0.hasPrefix("Rss:") })
        return try #require(line.split(separator: " ").compactMap { Int($0) }.first)
    }

    @Test func `code that is not in use leaves the resident memory and comes back`() throws {
        let before = try resident()
        ProcessMemory.release()
        // The test program and the libraries that it links take many times as much.
        #expect(try resident() < before - 1_000)
        #expect(try resident() > 0)
    }
}
