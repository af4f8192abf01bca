import IO

/// The first hundred bytes of a database file, read before SQLite opens (and perhaps changes) it
/// (https://www.sqlite.org/fileformat2.html, 1.3).
struct StoreHeader: Hashable {
    static let byteCount = 100

    /// What stands at a path.
    enum Finding: Hashable {
        /// Nothing, or an empty file: a new store.
        case new
        /// A crash left a rollback journal: only SQLite can say what the file is after rolling back.
        case unfinished
        case store(StoreHeader)
        /// Why it is no sound database.
        case corrupt(String)
    }

    var applicationID: UInt32
    var userVersion: UInt32
    var wasStoppedCleanly: Bool

    static func read(_ path: String) throws(IOError) -> Finding {
        let journal = StoreKernel.size(path + "-journal") ?? 0
        let log = StoreKernel.size(path + "-wal")
        guard let size = StoreKernel.size(path), size > 0 else {
            if let log, log > 0 { return .corrupt("the file is empty, but its log is not") }
            return .new
        }
        if journal > 0 { return .unfinished }
        let bytes = try StoreKernel.prefix(of: path, count: byteCount)
        guard bytes.count == byteCount else {
            return .corrupt("the file is cut off after \(bytes.count) bytes")
        }
        guard bytes.starts(with: Array("SQLite format 3\0".utf8)) else {
            return .corrupt("the file is no SQLite database")
        }
        func number(_ offset: Int) -> UInt32 {
            bytes[offset..<offset + 4].reduce(0) { $0 << 8 | UInt32($1) }
        }
        // The page count is only valid when written by a version that counts; and while there is a
        // log, pages at the end may stand there alone.
        let pageSize = bytes[16] == 0 && bytes[17] == 1 ? 65_536 : Int(number(14) & 0xFFFF)
        let isCounted = number(24) == number(92)
        let expected = Int(number(28)) * pageSize
        if isCounted, log ?? 0 == 0, size < expected {
            return .corrupt("the file is cut off: \(size) of \(expected) bytes")
        }
        return .store(
            StoreHeader(
                applicationID: number(68), userVersion: number(60), wasStoppedCleanly: log == nil))
    }
}
