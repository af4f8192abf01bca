import IO

/// The keys of a file with one `identity:key` a line, the key in hexadecimal digits; `#` for comments.
///
/// A line that is not understood is an error of the whole file, which names its number and not its text.
public struct PreSharedKeys: Sendable {
    /// The largest file that is read.
    public static let maximumFileSize = 16 * 1024 * 1024
    /// OpenSSL's limits (PSK_MAX_IDENTITY_LEN and PSK_MAX_PSK_LEN).
    public static let maximumIdentity = 256
    public static let maximumKey = 256

    let keys: [[UInt8]: [UInt8]]

    /// Reads a file that nobody but its owner and group may read.
    public init(path: String) throws(TLSError) {
        let bytes: [UInt8]
        do throws(IOError) {
            bytes = try Files.readPrivate(path, limit: Self.maximumFileSize)
        } catch {
            throw TLSError(.file, subject: path, reason: "\(error)")
        }
        try self.init(bytes, path: path)
    }

    init(_ bytes: [UInt8], path: String) throws(TLSError) {
        var keys: [[UInt8]: [UInt8]] = [:]
        let lines = bytes.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
        for (index, line) in lines.enumerated() {
            func fault(_ reason: String) -> TLSError {
                TLSError(
                    .file, subject: "\(path):\(index + 1)", reason: reason,
                    hint: "a line looks like identity:0123456789abcdef...")
            }
            let line = line.last == UInt8(ascii: "\r") ? line.dropLast() : line
            if line.first == UInt8(ascii: "#") || line.allSatisfy({ $0 == 32 || $0 == 9 }) {
                continue
            }
            guard let colon = line.firstIndex(of: UInt8(ascii: ":")) else {
                throw fault("there is no colon")
            }
            let identity = Array(line[..<colon])
            guard (1...Self.maximumIdentity).contains(identity.count),
                identity.allSatisfy({ $0 >= 0x20 && $0 != 0x7F }),
                String(validating: identity, as: UTF8.self) != nil
            else { throw fault("this is no identity") }
            guard let key = Self.decode(line[line.index(after: colon)...]) else {
                throw fault("the key is not made of pairs of hexadecimal digits, 256 at most")
            }
            guard keys.updateValue(key, forKey: identity) == nil else {
                throw fault("the identity stands in the file twice")
            }
        }
        self.keys = keys
    }

    private static func decode(_ digits: ArraySlice<UInt8>) -> [UInt8]? {
        guard !digits.isEmpty, digits.count.isMultiple(of: 2), digits.count / 2 <= maximumKey
        else { return nil }
        var key: [UInt8] = []
        var high: UInt8?
        for digit in digits {
            let value: UInt8
            switch digit {
            case UInt8(ascii: "0")...UInt8(ascii: "9"): value = digit - 48
            case UInt8(ascii: "a")...UInt8(ascii: "f"): value = digit - 87
            case UInt8(ascii: "A")...UInt8(ascii: "F"): value = digit - 55
            default: return nil
            }
            if let first = high {
                key.append(first << 4 | value)
                high = nil
            } else {
                high = value
            }
        }
        return key
    }
}
