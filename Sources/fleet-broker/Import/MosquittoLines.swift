import Daemon
import IO

/// A place in a file of Mosquitto's.
struct MosquittoOrigin: Hashable {
    var path: String
    var line: Int

    var text: String { "\(path):\(line)" }
}

/// One setting: a name, and the rest of its line.
struct MosquittoLine: Hashable {
    var name: String
    var value: String
    var origin: MosquittoOrigin

    /// The value's words.
    var words: [String] {
        value.split(whereSeparator: { $0 == " " || $0 == "\t" }).map(String.init)
    }
}

/// Reads files of Mosquitto's line by line: `mosquitto.conf` with what it includes, and rule files.
enum MosquittoLines {
    private static let maximumFileSize = 16 * 1024 * 1024
    /// Files that include files that include files.
    private static let maximumDepth = 10

    /// The settings of a configuration, those of `include_dir` where it stands.
    static func configuration(
        _ path: String, depth: Int = 0
    ) throws(DaemonError) -> [MosquittoLine] {
        guard depth <= maximumDepth else {
            throw DaemonError(.dataError, "\(path): include_dir leads too deep")
        }
        var lines: [MosquittoLine] = []
        for line in try read(path) {
            guard line.name == "include_dir" else {
                lines.append(line)
                continue
            }
            for file in try files(in: line.value) {
                lines += try configuration(file, depth: depth + 1)
            }
        }
        return lines
    }

    /// The lines of one file, without comments and empty ones.
    static func read(_ path: String) throws(DaemonError) -> [MosquittoLine] {
        let text = try Self.text(path)
        let lines = text.utf8.split(
            separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
        return lines.enumerated().compactMap { index, bytes in
            let line = trimmed(String(Substring(bytes)))
            guard !line.isEmpty, !line.hasPrefix("#") else { return nil }
            let end = line.firstIndex { $0 == " " || $0 == "\t" } ?? line.endIndex
            return MosquittoLine(
                name: String(line[..<end]), value: trimmed(String(line[end...])),
                origin: MosquittoOrigin(path: path, line: index + 1))
        }
    }

    static func text(_ path: String) throws(DaemonError) -> String {
        do throws(IOError) {
            return String(
                decoding: try Files.read(path, limit: maximumFileSize), as: UTF8.self)
        } catch {
            throw DaemonError(.dataError, "\(error)")
        }
    }

    private static func files(in folder: String) throws(DaemonError) -> [String] {
        do throws(IOError) {
            return try Files.names(in: folder).filter { $0.hasSuffix(".conf") }
                .map { "\(folder)/\($0)" }
        } catch {
            throw DaemonError(.dataError, "\(error)")
        }
    }

    private static func trimmed(_ text: String) -> String {
        // A line that ends as on Windows has a lone "\r"; before "\n" it is one character with it.
        func isSpace(_ character: Character) -> Bool {
            character == " " || character == "\t" || character.isNewline
        }
        let head = text.drop(while: isSpace)
        let end = head.lastIndex { !isSpace($0) }.map(head.index(after:)) ?? head.startIndex
        return String(head[..<end])
    }
}
