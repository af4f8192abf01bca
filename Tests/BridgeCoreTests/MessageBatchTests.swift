import MQTT
import Testing

@testable import BridgeCore

@Suite("Batches as the store keeps them")
struct MessageBatchTests {
    private func batch() -> MessageBatch {
        var draft = BatchDraft(boot: 77)
        draft.append(
            ArrivingMessage("a/b", "one", qos: .exactlyOnce, retain: true),
            properties: [1, 1], now: .at(5))
        draft.append(ArrivingMessage("c", "", qos: .atMostOnce), properties: [], now: .at(6))
        draft.append(ArrivingMessage("a/b", "three"), properties: [1, 0], now: .at(7))
        return draft.numbered(from: 41)
    }

    @Test("hold what was put in, after the disk as before it")
    func roundTrip() throws {
        let written = batch()
        let read = try MessageBatch(firstSequence: 41, count: 3, body: written.body)
        #expect(read == written)
        #expect(read.lastSequence == 43)
        let first = try #require(read.record(sequence: 41))
        #expect(Array(read.body[first.topic]) == Array("a/b".utf8))
        #expect(Array(read.body[first.properties]) == [1, 1])
        #expect(Array(read.body[first.payload]) == Array("one".utf8))
        #expect(first.qos == .exactlyOnce && first.retain)
        #expect(
            first.taken
                == Taken(
                    unixMilliseconds: Moment.at(5).unixMilliseconds, uptimeMilliseconds: 5000,
                    boot: 77))
        let second = try #require(read.record(sequence: 42))
        #expect(second.qos == .atMostOnce && !second.retain && second.payload.isEmpty)
        let third = try #require(read.record(sequence: 43))
        #expect(Array(read.body[third.payload]) == Array("three".utf8))
        #expect(third.end == read.body.count)
        #expect(read.record(sequence: 40) == nil && read.record(sequence: 44) == nil)
    }

    @Test("cut at any byte are an error and never a trap")
    func truncated() {
        let body = batch().body
        for length in 0..<body.count {
            #expect(throws: BatchError.self, "cut at \(length)") {
                try MessageBatch(firstSequence: 41, count: 3, body: Array(body.prefix(length)))
            }
        }
    }

    @Test("with any byte changed are read or refused, and never trap")
    func damaged() {
        let body = batch().body
        for index in body.indices {
            for value: UInt8 in [0, 0x7F, 0xFF] {
                var damaged = body
                damaged[index] = value
                _ = try? MessageBatch(firstSequence: 41, count: 3, body: damaged)
            }
        }
        #expect(throws: BatchError.unknownFormat(9)) {
            try MessageBatch(firstSequence: 1, count: 3, body: [9] + body.dropFirst())
        }
        #expect(throws: BatchError.countMismatch(expected: 4, found: 3)) {
            try MessageBatch(firstSequence: 41, count: 4, body: body)
        }
    }

    @Test("give one message as a batch of its own")
    func alone() throws {
        let whole = batch()
        let record = try #require(whole.record(sequence: 42))
        let alone = whole.alone(record)
        #expect(alone.firstSequence == 42 && alone.count == 1)
        let again = try MessageBatch(firstSequence: 42, count: 1, body: alone.body)
        #expect(Array(again.body[again.record(at: 9, sequence: 42).topic]) == Array("c".utf8))
    }

    @Test("keep every property, user properties in order")
    func properties() {
        var properties = MessageProperties()
        properties.payloadIsText = true
        properties.messageExpiryInterval = 70_000
        properties.contentType = Array("text/plain".utf8)
        properties.responseTopic = Array("fleet/v1/farm/gate/res/ping/1".utf8)
        properties.correlationData = [0, 255, 3]
        properties.userProperties = [
            UserProperty("b", "1"), UserProperty("a", ""), UserProperty("b", "2"),
        ]
        var bytes: [UInt8] = []
        properties.appendStored(to: &bytes)
        #expect(MessageProperties(stored: bytes[...]) == properties)
        for length in 1..<bytes.count {
            // A cut between two properties leaves fewer of them; any other is refused.
            if let cut = MessageProperties(stored: bytes[..<length]) { #expect(cut != properties) }
        }
        #expect(MessageProperties(stored: [0xEE]) == nil)
        var none: [UInt8] = []
        MessageProperties().appendStored(to: &none)
        #expect(none.isEmpty)
    }
}
