import Glibc

/// Reads configuration files and lists drop-ins; the only place of this module that asks the kernel.
enum ConfigurationFiles {
    /// No configuration of ours comes near; a larger file is a wrong file.
    static let maximumFileBytes = 1 << 20
    /// Drop-ins of one folder.
    static let maximumDropIns = 256

    /// The bytes of the file, which are well-formed UTF-8.
    static func read(_ path: String) throws(ConfigurationError) -> [UInt8] {
        // SAFETY: open(2) with a string that lives for the call.
        let descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK)
        guard descriptor >= 0 else { throw failure(path, errno) }
        defer { close(descriptor) }

        var status = stat()
        // SAFETY: fstat(2) fills the structure that it is given.
        guard unsafe fstat(descriptor, &status) == 0 else { throw failure(path, errno) }
        if status.st_mode & S_IFMT == S_IFDIR { throw failure(path, EISDIR) }

        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 16_384)
        while true {
            // SAFETY: read(2) writes at most `count` bytes into the array.
            let count = unsafe chunk.withUnsafeMutableBytes { buffer in
                unsafe Glibc.read(descriptor, buffer.baseAddress, buffer.count)
            }
            if count < 0 {
                if errno == EINTR { continue }
                throw failure(path, errno)
            }
            if count == 0 { break }
            bytes.append(contentsOf: chunk[..<count])
            if bytes.count > maximumFileBytes {
                throw ConfigurationError(
                    ConfigurationProblem(
                        "\(path): larger than \(maximumFileBytes) bytes",
                        hint: "is this the right file?"))
            }
        }
        if let line = lineOfIllFormedText(bytes) {
            throw ConfigurationError(
                ConfigurationProblem(
                    "not UTF-8", at: .file(path: path, line: line, column: 1),
                    hint: "save the file as UTF-8"))
        }
        return bytes
    }

    /// `folder/*.toml` in lexical (byte) order, hidden files left out; empty without the folder.
    static func dropIns(in folder: String) throws(ConfigurationError) -> [String] {
        // SAFETY: opendir(3) with a string that lives for the call; closed below, once.
        guard let directory = unsafe opendir(folder) else {
            if errno == ENOENT { return [] }
            throw failure(folder, errno)
        }
        defer { unsafe closedir(directory) }
        var names: [String] = []
        while true {
            errno = 0
            // SAFETY: readdir(3)'s entry is valid until the next call; the name is copied at once.
            guard let entry = unsafe readdir(directory) else {
                if errno != 0 { throw failure(folder, errno) }
                break
            }
            let name = unsafe withUnsafeBytes(of: entry.pointee.d_name) { buffer in
                unsafe String(decoding: buffer.prefix { $0 != 0 }, as: UTF8.self)
            }
            if name.hasSuffix(".toml"), !name.hasPrefix(".") { names.append(name) }
        }
        guard names.count <= maximumDropIns else {
            throw ConfigurationError(
                ConfigurationProblem("\(folder): more than \(maximumDropIns) drop-ins"))
        }
        names.sort { $0.utf8.lexicographicallyPrecedes($1.utf8) }
        return names.map { "\(folder)/\($0)" }
    }

    private static func failure(_ path: String, _ code: Int32) -> ConfigurationError {
        let hint: String? =
            switch code {
            case ENOENT: "create it, or name another with --config FILE"
            case EACCES, EPERM: "the user that runs this program must be able to read it"
            case EISDIR: "name a file; drop-ins are found by the name of the main file"
            default: nil
            }
        // SAFETY: strerror(3) returns a terminated string; it is copied at once.
        let reason = unsafe String(cString: strerror(code))
        return ConfigurationError(
            ConfigurationProblem("\(path): cannot read: \(reason)", hint: hint))
    }

    private static func lineOfIllFormedText(_ bytes: [UInt8]) -> Int? {
        if String(validating: bytes, as: UTF8.self) != nil { return nil }
        // A line feed is never part of a longer UTF-8 sequence, so lines can be judged alone.
        let lines = bytes.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
        let index = lines.firstIndex { String(validating: $0, as: UTF8.self) == nil }
        return (index ?? 0) + 1
    }
}
