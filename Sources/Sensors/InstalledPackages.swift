import FleetModel
import IO

/// What dpkg(1) has installed, by its file `status` (deb822(5)).
enum InstalledPackages {
    /// Some megabytes on a desktop; a longer file is not read.
    private static let fileLimit = 32 << 20

    /// Only what begins with `prefix` is copied out of the file.
    static func read(
        _ roots: KernelRoots, prefix: String
    ) -> [(name: String, version: String)] {
        let path = roots.root + "/var/lib/dpkg/status"
        guard let bytes = try? Files.read(path, limit: fileLimit) else { return [] }
        return parse(bytes.span, prefix: Array(prefix.utf8)).sorted { $0.name < $1.name }
    }

    private static func parse(
        _ bytes: Span<UInt8>, prefix: [UInt8]
    ) -> [(name: String, version: String)] {
        let package = Array("Package: ".utf8)
        let version = Array("Version: ".utf8)
        let status = Array("Status: ".utf8)
        let installed = Array(" installed".utf8)
        var packages: [(name: String, version: String)] = []
        var (name, number, isInstalled) = ("", "", false)
        func keep() {
            if isInstalled, !name.isEmpty { packages.append((name, number)) }
            (name, number, isInstalled) = ("", "", false)
        }
        var start = 0
        while start < bytes.count {
            var end = start
            while end < bytes.count, bytes[end] != UInt8(ascii: "\n") { end += 1 }
            let line = bytes.extracting(start..<end)
            if line.isEmpty {
                keep()
            } else if begins(line, with: package, at: 0) {
                if begins(line, with: prefix, at: package.count) {
                    name = String(lossy: line.extracting(package.count...))
                }
            } else if begins(line, with: version, at: 0) {
                if !name.isEmpty { number = String(lossy: line.extracting(version.count...)) }
            } else if begins(line, with: status, at: 0) {
                isInstalled = begins(line, with: installed, at: line.count - installed.count)
            }
            start = end + 1
        }
        keep()
        return packages
    }

    private static func begins(_ line: Span<UInt8>, with text: [UInt8], at start: Int) -> Bool {
        guard start >= 0, start + text.count <= line.count else { return false }
        for index in text.indices where line[start + index] != text[index] { return false }
        return true
    }
}
