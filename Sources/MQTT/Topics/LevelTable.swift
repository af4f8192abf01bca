/// One level of a topic as the tables see it: cut into words, hashed, not copied.
struct LevelKey {
    /// Where the level stands in the bytes that it was read from.
    let start: Int
    let length: Int

    /// The first 21 bytes in words of seven, left-aligned and big-endian, so that words compare as
    /// bytes do. U+0000 is no part of a topic, so padding is never mistaken for a byte.
    let words: LevelWords
    let tag: UInt32

    var end: Int { start + length }

    static let empty = LevelKey(start: 0, length: 0, words: LevelWords(), tag: 0)

    private init(start: Int, length: Int, words: LevelWords, tag: UInt32) {
        self.start = start
        self.length = length
        self.words = words
        self.tag = tag
    }

    /// Reads the level that begins at `start` and ends before the next separator.
    @inline(__always)
    init(_ bytes: Span<UInt8>, from start: Int, hash: TopicHash) {
        var words = LevelWords()
        var sum: UInt64 = 0
        var wordCount = 0
        var index = start
        var held = LevelWords.bytesPerWord
        while held == LevelWords.bytesPerWord {
            let first = index
            let limit = min(first &+ LevelWords.bytesPerWord, bytes.count)
            var word: UInt64 = 0
            while index < limit {
                let byte = bytes[index]
                if byte == TopicSyntax.separator { break }
                word = (word << 8) | UInt64(byte)
                index &+= 1
            }
            held = index &- first
            if held == 0 { break }
            word <<= UInt64(truncatingIfNeeded: 8 &* (LevelWords.bytesPerWord &- held))
            sum = hash.absorb(word, into: sum)
            words.set(wordCount, word)
            wordCount &+= 1
        }
        self.start = start
        self.length = index &- start
        self.words = words
        self.tag = hash.tag(sum)
    }
}

/// The first 21 bytes of a level.
struct LevelWords: Hashable, Sendable {
    static let bytesPerWord = 7
    static let byteCapacity = 21

    var first: UInt64 = 0
    var second: UInt64 = 0
    var third: UInt64 = 0

    @inline(__always)
    mutating func set(_ index: Int, _ word: UInt64) {
        switch index {
        case 0: first = word
        case 1: second = word
        case 2: third = word
        default: break
        }
    }

    /// The word that holds the byte at `index`, which is below 21.
    func word(holding index: Int) -> UInt64 {
        index < 7 ? first : index < 14 ? second : third
    }

    func precedes(_ other: LevelWords) -> Bool {
        if first != other.first { return first < other.first }
        if second != other.second { return second < other.second }
        return third < other.third
    }
}

/// Every level that some filter or retained topic holds, once, counted, and known by a number.
///
/// Fleets repeat few words ("fleet", "v1", "status") under many names, and comparing two numbers is
/// cheaper than comparing two names. A level costs 32 bytes and its slot; one longer than 21 bytes
/// also costs an array.
struct LevelTable: Sendable {
    static let none = SlotTable.none

    private struct Record {
        var words: LevelWords
        /// How many nodes use it; 0 in the list of free records, which `words.first` links.
        var references: UInt32
        var length: UInt16
    }

    private let hash: TopicHash
    private var records: [Record] = []
    private var table = SlotTable()
    private var freeRecord = LevelTable.none
    /// The bytes of levels that do not fit their words, by level.
    private var longLevels: [UInt32: [UInt8]] = [:]

    init(hash: TopicHash) {
        self.hash = hash
    }

    var count: Int { table.count }

    /// The number of the level, or `none` where nothing holds it.
    @inline(__always)
    func find(_ key: LevelKey, in bytes: Span<UInt8>) -> UInt32 {
        table.find(key.tag) { isLevel($0, key, in: bytes) }
    }

    /// The same, where `guess` may know it.
    @inline(__always)
    func find(_ key: LevelKey, in bytes: Span<UInt8>, guessed: UInt32) -> UInt32 {
        guessed != LevelTable.none && isLevel(guessed, key, in: bytes)
            ? guessed : find(key, in: bytes)
    }

    /// What `find` will say, most often; not yet compared.
    @inline(__always)
    func guess(_ key: LevelKey) -> UInt32 { table.guess(key.tag) }

    @inline(__always)
    private func isLevel(_ index: UInt32, _ key: LevelKey, in bytes: Span<UInt8>) -> Bool {
        let record = records[Int(index)]
        guard record.words == key.words, Int(record.length) == key.length else { return false }
        return key.length <= LevelWords.byteCapacity || equalsLong(index, key, in: bytes)
    }

    /// Takes one more reference to the level, which is added where it is new.
    ///
    /// - Parameter known: what `find` says.
    mutating func intern(_ key: LevelKey, in bytes: Span<UInt8>, known: UInt32) -> UInt32 {
        precondition(key.length <= 65_535, "a level is longer than a topic")
        if known != LevelTable.none {
            records[Int(known)].references += 1
            return known
        }
        let record = Record(words: key.words, references: 1, length: UInt16(key.length))
        let index: UInt32
        if freeRecord != LevelTable.none {
            index = freeRecord
            freeRecord = UInt32(truncatingIfNeeded: records[Int(index)].words.first)
            records[Int(index)] = record
        } else {
            index = UInt32(records.count)
            records.append(record)
        }
        if key.length > LevelWords.byteCapacity {
            longLevels[index] = [UInt8](copying: bytes.extracting(key.start..<key.end))
        }
        table.insert(key.tag, index)
        return index
    }

    /// Gives one reference back; the level goes with its last one.
    mutating func release(_ index: UInt32) {
        precondition(records[Int(index)].references > 0, "released a level that nobody holds")
        records[Int(index)].references -= 1
        guard records[Int(index)].references == 0 else { return }
        table.remove(tag(of: index), index)
        if records[Int(index)].length > LevelWords.byteCapacity { longLevels[index] = nil }
        if table.count == 0 {
            records = []
            freeRecord = LevelTable.none
        } else {
            records[Int(index)].words.first = UInt64(freeRecord)
            freeRecord = index
        }
    }

    func length(of index: UInt32) -> Int { Int(records[Int(index)].length) }

    /// The first byte of the level; nil where the level is empty.
    func firstByte(of index: UInt32) -> UInt8? {
        let record = records[Int(index)]
        return record.length == 0 ? nil : UInt8(truncatingIfNeeded: record.words.first >> 48)
    }

    func append(_ index: UInt32, to bytes: inout [UInt8]) {
        let record = records[Int(index)]
        let length = Int(record.length)
        if length > LevelWords.byteCapacity {
            bytes.append(contentsOf: longLevels[index, default: []])
            return
        }
        var start = 0
        while start < length {
            var word = record.words.word(holding: start)
            for _ in start..<min(start + LevelWords.bytesPerWord, length) {
                bytes.append(UInt8(truncatingIfNeeded: word >> 48))
                word <<= 8
            }
            start += LevelWords.bytesPerWord
        }
    }

    /// Whether level `a` sorts before level `b`, byte by byte.
    func precedes(_ a: UInt32, _ b: UInt32) -> Bool {
        let left = records[Int(a)]
        let right = records[Int(b)]
        if left.words != right.words { return left.words.precedes(right.words) }
        if let longLeft = longLevels[a], let longRight = longLevels[b] {
            return longLeft.lexicographicallyPrecedes(longRight)
        }
        return left.length < right.length
    }

    private func equalsLong(_ index: UInt32, _ key: LevelKey, in bytes: Span<UInt8>) -> Bool {
        guard let long = longLevels[index] else { return false }
        for position in long.indices where long[position] != bytes[key.start + position] {
            return false
        }
        return true
    }

    /// The tag of the level's key.
    func tag(of index: UInt32) -> UInt32 {
        var bytes: [UInt8] = []
        append(index, to: &bytes)
        return LevelKey(bytes.span, from: 0, hash: hash).tag
    }

    /// Bytes of memory that the table holds, long levels left out.
    var byteCount: Int { records.capacity * MemoryLayout<Record>.stride + table.byteCount }

    /// Traps unless each level is counted as `references` says, can be found, and free records are
    /// all in the list. `references` counts the nodes by level.
    func checkInvariants(references: [UInt32: UInt32]) {
        table.checkInvariants()
        var live = 0
        for index in 0..<UInt32(records.count) where records[Int(index)].references > 0 {
            live += 1
            precondition(
                records[Int(index)].references == references[index], "a level is miscounted")
            var bytes: [UInt8] = []
            append(index, to: &bytes)
            let key = LevelKey(bytes.span, from: 0, hash: hash)
            precondition(find(key, in: bytes.span) == index, "a level cannot be found")
        }
        precondition(live == table.count && live == references.count, "a level is lost")
        var free = 0
        var next = freeRecord
        while next != LevelTable.none {
            precondition(records[Int(next)].references == 0, "a free level is in use")
            next = UInt32(truncatingIfNeeded: records[Int(next)].words.first)
            free += 1
        }
        precondition(free + live == records.count, "a free level is lost")
    }
}
