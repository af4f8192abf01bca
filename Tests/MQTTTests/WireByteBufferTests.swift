import MQTT
import Testing

@Suite struct WireByteBufferTests {
    /// The unread bytes, copied.
    func bytes(_ buffer: borrowing ByteBuffer) -> [UInt8] {
        buffer.withSpan { span in span.indices.map { span[$0] } }
    }

    /// Bytes allocated; a macro cannot read it from a value that has one owner.
    func capacity(_ buffer: borrowing ByteBuffer) -> Int { buffer.capacity }

    @Test func aNewBufferOwnsNoMemoryAndIsEmpty() {
        let buffer = ByteBuffer()
        #expect(capacity(buffer) == 0)
        #expect(bytes(buffer) == [])
    }

    @Test func integersAreAppendedHighestByteFirst() {
        var buffer = ByteBuffer()
        buffer.append(UInt8(0x01))
        buffer.append(bigEndian: UInt16(0x0203))
        buffer.append(bigEndian: UInt32(0x0405_0607))
        #expect(bytes(buffer) == [1, 2, 3, 4, 5, 6, 7])
    }

    @Test(
        arguments: [
            (0, [0x00]), (127, [0x7F]), (128, [0x80, 0x01]), (16_383, [0xFF, 0x7F]),
            (16_384, [0x80, 0x80, 0x01]), (2_097_151, [0xFF, 0xFF, 0x7F]),
            (2_097_152, [0x80, 0x80, 0x80, 0x01]), (268_435_455, [0xFF, 0xFF, 0xFF, 0x7F]),
        ] as [(Int, [UInt8])])
    func variableByteIntegersTakeAsFewBytesAsTheyCan(value: Int, expected: [UInt8]) {
        var buffer = ByteBuffer()
        buffer.append(variableByteInteger: value)
        #expect(bytes(buffer) == expected)
        #expect(VariableByteInteger.encodedSize(of: value) == expected.count)
    }

    @Test func consumingAndAppendingKeepsTheOrderWhileTheMemoryIsReused() {
        var buffer = ByteBuffer()
        var appended: UInt8 = 0
        var consumed: UInt8 = 0
        for round in 0..<1_000 {
            for _ in 0..<(round % 61) {
                buffer.append(appended)
                appended &+= 1
            }
            let count = min(buffer.count, round % 59)
            for byte in bytes(buffer).prefix(count) {
                #expect(byte == consumed)
                consumed &+= 1
            }
            buffer.consume(count)
        }
        #expect(capacity(buffer) <= 4_096)
    }

    @Test func memoryGoesBackWhenTheBufferIsEmptyAndNotBefore() {
        var buffer = ByteBuffer()
        buffer.append([1, 2, 3])
        buffer.releaseIfEmpty()
        #expect(bytes(buffer) == [1, 2, 3])
        buffer.consume(3)
        #expect(capacity(buffer) > 0)
        buffer.releaseIfEmpty()
        #expect(capacity(buffer) == 0)
        buffer.append(9)
        buffer.removeAll(keepingCapacity: true)
        #expect(capacity(buffer) > 0)
        buffer.removeAll()
        #expect(capacity(buffer) == 0)
    }

    @Test func reservedRoomIsNotAllocatedAgain() {
        var buffer = ByteBuffer()
        buffer.reserve(1_000)
        let reserved = buffer.capacity
        buffer.append([UInt8](repeating: 7, count: 1_000))
        #expect(capacity(buffer) == reserved)
    }

    @Test func patchesCountFromTheFirstUnreadByte() {
        var buffer = ByteBuffer()
        buffer.append([1, 2, 3, 4, 5])
        buffer.consume(2)
        buffer.patch(at: 1, bigEndian: 0xAABB)
        buffer.patch(at: 0, 0xCC)
        #expect(bytes(buffer) == [0xCC, 0xAA, 0xBB])
    }

    @Test func bytesAreEqualWhereEachIs() {
        func areEqual(_ a: [UInt8], _ b: [UInt8]) -> Bool { a.isEqual(to: b.span) }
        for count in 0..<40 {
            let bytes = (0..<count).map { UInt8($0) }
            #expect(areEqual(bytes, bytes))
            #expect(!areEqual(bytes, bytes + [0]))
            for index in 0..<count {
                var other = bytes
                other[index] ^= 0x80
                #expect(!areEqual(bytes, other), "\(count) bytes, another at \(index)")
            }
        }
    }
}
