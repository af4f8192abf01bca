import Testing

@testable import MQTT

@Suite struct LevelTableTests {
    /// Two levels of one length with the same tag: whoever trusts the tag takes one for the other.
    private func collidingLevels(prefix: String, hash: TopicHash) -> ([UInt8], [UInt8])? {
        var seen: [UInt32: Int] = [:]
        func level(_ number: Int) -> [UInt8] { Array("\(prefix)\(1_000_000 + number)".utf8) }
        for number in 0..<400_000 {
            let tag = LevelKey(level(number).span, from: 0, hash: hash).tag
            if let other = seen.updateValue(number, forKey: tag) {
                return (level(other), level(number))
            }
        }
        return nil
    }

    @Test(arguments: ["", "a-prefix-of-21-bytes--", "a-prefix-of-thirty-bytes------"])
    func levelsWithTheSameTagStayApart(_ prefix: String) throws {
        let hash = TopicHash(seed: 3)
        let (first, second) = try #require(collidingLevels(prefix: prefix, hash: hash))
        #expect(first != second && first.count == second.count)
        var table = LevelTable(hash: hash)
        let firstKey = LevelKey(first.span, from: 0, hash: hash)
        let secondKey = LevelKey(second.span, from: 0, hash: hash)
        let firstNumber = table.intern(
            firstKey, in: first.span, known: table.find(firstKey, in: first.span))
        #expect(table.find(secondKey, in: second.span) == LevelTable.none)
        let secondNumber = table.intern(
            secondKey, in: second.span, known: table.find(secondKey, in: second.span))
        #expect(firstNumber != secondNumber)
        #expect(table.find(firstKey, in: first.span) == firstNumber)
        #expect(table.find(secondKey, in: second.span) == secondNumber)
        table.checkInvariants(references: [firstNumber: 1, secondNumber: 1])
        table.release(firstNumber)
        #expect(table.find(firstKey, in: first.span) == LevelTable.none)
        #expect(table.find(secondKey, in: second.span) == secondNumber)
        table.checkInvariants(references: [secondNumber: 1])
    }

    @Test func anotherSeedTellsThemApart() throws {
        let (first, second) = try #require(
            collidingLevels(prefix: "", hash: TopicHash(seed: 3)))
        let other = TopicHash(seed: 4)
        let tags = [first, second].map { LevelKey($0.span, from: 0, hash: other).tag }
        #expect(tags[0] != tags[1])
    }
}
