/// The header fields of one request (RFC 9110, 5), by their names in lower case.
struct HTTPFields {
    private var entries: [(name: [UInt8], value: [UInt8])] = []

    /// Adds what one line says, `Name: value`; false where that is no field: no name, white space before it (such a
    /// line once went on with the one before) or a control character in the value.
    mutating func add(line: ArraySlice<UInt8>) -> Bool {
        guard let colon = line.firstIndex(of: UInt8(ascii: ":")), Self.isToken(line[..<colon])
        else { return false }
        let value = line[(colon + 1)...]
        guard value.allSatisfy({ $0 == 9 || $0 >= 32 && $0 != 127 }) else { return false }
        entries.append((line[..<colon].map(Self.lowered), Array(Self.trimmed(value))))
        return true
    }

    /// All values of a field, as they came.
    func all(_ name: String) -> [[UInt8]] {
        entries.filter { $0.name.elementsEqual(name.utf8) }.map(\.value)
    }

    /// The value of a field that must stand there once and not be empty.
    func one(_ name: String) -> [UInt8]? {
        let values = all(name)
        return values.count == 1 && !values[0].isEmpty ? values[0] : nil
    }

    /// The elements of a comma-separated field, over all its lines; in lower case unless told otherwise.
    func list(_ name: String, folding: Bool = true) -> [String] {
        all(name).flatMap { $0.split(separator: UInt8(ascii: ",")) }.map { element in
            let text = Self.trimmed(element)
            return String(decoding: folding ? text.map(Self.lowered) : Array(text), as: UTF8.self)
        }
    }

    static func lowered(_ byte: UInt8) -> UInt8 {
        (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains(byte) ? byte | 0x20 : byte
    }

    /// RFC 9110, 5.6.2.
    static func isToken(_ bytes: ArraySlice<UInt8>) -> Bool {
        !bytes.isEmpty && bytes.allSatisfy(isTokenByte)
    }

    private static func isTokenByte(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"):
            true
        default: "!#$%&'*+-.^_`|~".utf8.contains(byte)
        }
    }

    private static func trimmed(_ text: ArraySlice<UInt8>) -> ArraySlice<UInt8> {
        let isSpace: (UInt8) -> Bool = { $0 == 32 || $0 == 9 }
        let front = text.drop(while: isSpace)
        guard let last = front.lastIndex(where: { !isSpace($0) }) else { return [] }
        return front[...last]
    }
}
