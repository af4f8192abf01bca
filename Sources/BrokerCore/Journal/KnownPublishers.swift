import MQTT

/// Who published the messages of a store: one object for each of them, however many messages there are.
struct KnownPublishers {
    private var rights: [Principal: Rights] = [:]
    /// The bytes that named the last one: the next message is often of the same.
    private var last: (bytes: [UInt8], rights: Rights)?

    /// Reads what `Principal.write` wrote.
    mutating func read(
        _ bytes: Span<UInt8>, _ reader: inout JournalReader
    ) throws(JournalDamage) -> Rights {
        if let last, reader.skip(last.bytes, in: bytes) { return last.rights }
        let start = reader.position
        let principal = try Principal(reading: bytes, &reader)
        let known = rights[principal] ?? Rights(unresolved: principal)
        rights[principal] = known
        last = ([UInt8](copying: bytes.extracting(start..<reader.position)), known)
        return known
    }
}
