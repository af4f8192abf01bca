import IO

/// Reads configuration files and lists drop-ins.
enum ConfigurationFiles {
    /// No configuration of ours comes near; a larger file is a wrong file.
    static let maximumFileBytes = 1 << 20
    /// Drop-ins of one folder.
    static let maximumDropIns = 256

    /// The bytes of the file, which are well-formed UTF-8.
    static func read(_ path: String) throws(ConfigurationError) -> [UInt8] {
        let bytes: [UInt8]
        do throws(IOError) {
            bytes = try Files.read(path, limit: maximumFileBytes)
        } catch {
            throw failure(path, error)
        }
        if let line = lineOfIllFormedText(bytes) {
            throw ConfigurationError(
                ConfigurationProblem(
                    "not UTF-8", at: .file(path: path, line: line, column: 1),
                    hint: "save the file as UTF-8"))
        }
        return bytes
    }

    /// Whether there is a folder for the file and no file: in the wrong folder, somebody has mistyped.
    static func isMissing(_ path: String) -> Bool {
        !Files.exists(path) && Files.exists(Files.folder(of: path))
    }

    /// The names of `folder/*.toml`, hidden files left out, and `others`, in lexical (byte) order; the folder
    /// need not be there.
    static func dropIns(
        in folder: String, and others: [String]
    ) throws(ConfigurationError) -> [String] {
        var names: [String] = []
        do throws(IOError) {
            names = try Files.names(in: folder)
        } catch {
            if error.code != .noSuchFile { throw failure(folder, error) }
        }
        let found = names.filter { $0.hasSuffix(".toml") && !$0.hasPrefix(".") }
        let dropIns = Set(found + others).sorted {
            $0.utf8.lexicographicallyPrecedes($1.utf8)
        }
        guard dropIns.count <= maximumDropIns else {
            throw ConfigurationError(
                ConfigurationProblem("\(folder): more than \(maximumDropIns) drop-ins"))
        }
        return dropIns
    }

    private static func failure(_ path: String, _ error: IOError) -> ConfigurationError {
        let (reason, hint): (String, String?) =
            switch error.code {
            case .noSuchFile:
                ("no such file", "create it, or name another with --config FILE")
            case .permissionDenied:
                ("permission denied", "the user that runs this program must be able to read it")
            case .isDirectory:
                ("a folder", "name a file; drop-ins are found by the name of the main file")
            case .fileTooLarge:
                ("larger than \(maximumFileBytes) bytes", "is this the right file?")
            default: ("\(error.code)", nil)
            }
        return ConfigurationError(
            ConfigurationProblem("\(path): cannot be read: \(reason)", hint: hint))
    }

    private static func lineOfIllFormedText(_ bytes: [UInt8]) -> Int? {
        if String(validating: bytes, as: UTF8.self) != nil { return nil }
        // A line feed is never part of a longer UTF-8 sequence, so lines can be judged alone.
        let lines = bytes.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
        let index = lines.firstIndex { String(validating: $0, as: UTF8.self) == nil }
        return (index ?? 0) + 1
    }
}
