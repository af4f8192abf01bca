import MQTT
import Testing

@testable import IO

func byteBuffer(_ bytes: [UInt8]) -> ByteBuffer {
    var buffer = ByteBuffer()
    buffer.append(bytes)
    return buffer
}

@Suite struct WebSocketFrameTests {
    private typealias Client = WebSocketClient

    private static let numbers = (0..<70_000).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ $0 >> 8) }

    @Test(arguments: [0, 1, 3, 7, 8, 9, 125, 126, 127, 1_000, 65_535, 65_536, 70_000])
    func `a frame of any length brings its payload`(length: Int) {
        let payload = Array(Self.numbers[..<length])
        let outcome = WebSocketOutcome(Client.request() + Client.frame(2, payload))
        #expect(outcome.payload == payload)
        #expect(outcome.end == nil)
    }

    @Test func `MQTT-6.0.0-2: payload need not align with frames, fragments or reads`() {
        var stream = Client.request()
        var expected: [UInt8] = []
        for (index, length) in [5, 0, 130, 1, 700, 2, 0, 64].enumerated() {
            let payload = Array(Self.numbers[..<length])
            let mask = [UInt8(index), 200, 7, UInt8(17 &* index)]
            if length > 100 {
                stream += Client.frame(2, Array(payload[..<50]), final: false, mask: mask)
                stream += Client.frame(9, bytes("between"))
                stream += Client.frame(0, Array(payload[50..<51]), final: false)
                stream += Client.frame(0, Array(payload[51...]), mask: mask)
            } else {
                stream += Client.frame(2, payload, mask: mask)
            }
            expected += payload
        }
        let whole = WebSocketOutcome(stream)
        #expect(whole.payload == expected)
        #expect(whole.answer.frames.map(\.opcode) == [10, 10])
        for size in [1, 2, 3, 5, 13, 64, 1_000] {
            #expect(WebSocketOutcome(stream, pieces: size) == whole)
        }
    }

    @Test func `a ping is answered with its payload, a pong with nothing`() {
        let longest = [UInt8](repeating: 9, count: 125)
        let outcome = WebSocketOutcome(
            Client.request() + Client.frame(9, []) + Client.frame(10, [1, 2])
                + Client.frame(9, longest) + Client.frame(2, [4]))
        #expect(outcome.payload == [4])
        let frames = outcome.answer.frames
        #expect(frames.map(\.opcode) == [10, 10])
        #expect(frames.map(\.payload) == [[], longest])
    }

    @Test func `a closing frame is answered with its code, and ends the connection in order`() {
        for payload in [[], [0x03, 0xE8], [0x03, 0xE9] + bytes("bye \u{fc}")] as [[UInt8]] {
            let outcome = WebSocketOutcome(
                Client.request() + Client.frame(2, [1]) + Client.frame(8, payload)
                    + Client.frame(2, [2]))
            #expect(outcome.end == .closed)
            // What came before the goodbye is taken, and nothing behind it.
            #expect(outcome.payload == [1])
            #expect(outcome.answer.frames.map(\.opcode) == [8])
            #expect(outcome.answer.frames.first?.payload == Array(payload.prefix(2)))
        }
    }

    struct Fault: Sendable, CustomTestStringConvertible {
        var testDescription: String
        var code: UInt16
        var frames: [UInt8]
    }

    static let faults: [Fault] = [
        Fault(
            testDescription: "MQTT-6.0.0-1: a text frame", code: 1003,
            frames: Client.frame(1, bytes("a"))),
        Fault(
            testDescription: "an unmasked frame", code: 1002,
            frames: Client.frame(2, [1], mask: nil)),
        Fault(testDescription: "a reserved bit", code: 1002, frames: Client.frame(0x42, [1])),
        Fault(testDescription: "a reserved opcode", code: 1002, frames: Client.frame(3, [1])),
        Fault(testDescription: "a reserved control", code: 1002, frames: Client.frame(11, [1])),
        Fault(
            testDescription: "a fragment of a control frame", code: 1002,
            frames: Client.frame(9, [1], final: false)),
        Fault(
            testDescription: "a long control frame", code: 1002,
            frames: Client.frame(9, [UInt8](repeating: 0, count: 126))),
        Fault(
            testDescription: "a continuation of nothing", code: 1002, frames: Client.frame(0, [1])),
        Fault(
            testDescription: "a message inside of another", code: 1002,
            frames: Client.frame(2, [], final: false) + Client.frame(2, [])),
        Fault(
            testDescription: "a length in more bytes than it takes", code: 1002,
            frames: Client.frame(2, [1], lengthBytes: 2)),
        Fault(
            testDescription: "a length in eight bytes for two", code: 1002,
            frames: Client.frame(2, [UInt8](repeating: 0, count: 300), lengthBytes: 8)),
        Fault(
            testDescription: "a length above all sense", code: 1009,
            frames: [0x82, 0xFF, 0, 0, 0, 0, 0x40, 0, 0, 1]),
        Fault(
            testDescription: "a length with the highest bit", code: 1009,
            frames: [0x82, 0xFF, 0x80, 0, 0, 0, 0, 0, 0, 0]),
        Fault(testDescription: "half a close code", code: 1002, frames: Client.frame(8, [3])),
        Fault(testDescription: "close code 1005", code: 1002, frames: Client.frame(8, [3, 0xED])),
        Fault(testDescription: "close code 0", code: 1002, frames: Client.frame(8, [0, 0])),
        Fault(
            testDescription: "a close reason that is no UTF-8", code: 1007,
            frames: Client.frame(8, [3, 0xE8, 0xC3, 0x28])),
    ]

    @Test(arguments: faults)
    func `a fault ends the connection with its code, whole or byte by byte`(fault: Fault) {
        let stream = Client.request() + Client.frame(2, [7]) + fault.frames + Client.frame(2, [8])
        let whole = WebSocketOutcome(stream)
        guard case .failed? = whole.end else {
            Issue.record("it was taken")
            return
        }
        let last = whole.answer.frames.last
        #expect(last?.opcode == 8)
        #expect(last?.payload.prefix(2) == [UInt8(fault.code >> 8), UInt8(fault.code & 255)])
        // For an empty fragment of the faulty stream itself there is nothing to add.
        #expect(whole.payload == [7])
        for size in [1, 2, 5] { #expect(WebSocketOutcome(stream, pieces: size) == whole) }
    }

    @Test func `payload goes out in frames, and what the socket does not take comes first later`() {
        var stream = WebSocketStream(WebSocketRules())
        var inbox = byteBuffer(Client.request())
        #expect(stream.receive(&inbox) == nil)
        var sent: [UInt8] = []
        var room = 10
        func write(_ payload: ArraySlice<UInt8>) -> Int {
            stream.write(Array(payload).span) { span in
                let count = min(room, span.count)
                room -= count
                sent += (0..<count).map { span[$0] }
                return count
            }
        }
        // The answer to the request has not left: no payload is taken.
        #expect(write(Self.numbers[...]) == 0)
        let answerWaits = stream.hasOutput
        #expect(answerWaits)
        var left = Self.numbers[...]
        while !left.isEmpty || stream.hasOutput {
            room = 1_001
            let taken = write(left)
            #expect(taken <= WebSocketStream.frameSize + 1_001)
            left = left.dropFirst(taken)
        }
        let outcome = WebSocketOutcome(payload: [], end: nil, output: sent)
        #expect(outcome.answer.frames.allSatisfy { $0.opcode == 2 })
        #expect(outcome.answer.frames.flatMap(\.payload) == Self.numbers)
        #expect(outcome.answer.frames.count == 3)
    }

    @Test
    func `a peer that pings and never reads is not listened to, and costs no more than its limit`()
    {
        var stream = WebSocketStream(WebSocketRules())
        var inbox = byteBuffer(Client.request())
        #expect(stream.receive(&inbox) == nil)
        let pings = (0..<100).flatMap { _ in Client.frame(9, Array(Self.numbers[..<100])) }
        for _ in 0..<6 {
            inbox = byteBuffer(pings)
            #expect(stream.receive(&inbox) == nil)
            _ = stream.write([UInt8]().span) { _ in 0 }
        }
        let fullWithMost = stream.isFull
        inbox = byteBuffer(pings)
        _ = stream.receive(&inbox)
        let fullWithAll = stream.isFull
        _ = stream.write([UInt8]().span) { $0.count }
        let fullWhenRead = stream.isFull || stream.hasOutput
        #expect([fullWithMost, fullWithAll, fullWhenRead] == [false, true, false])
    }

    @Test func `a server's goodbye is a closing frame, and nothing follows it`() {
        var stream = WebSocketStream(WebSocketRules())
        var inbox = byteBuffer(Client.request())
        #expect(stream.receive(&inbox) == nil)
        stream.close(.goingAway)
        stream.close(.normal)
        var output: [UInt8] = []
        let taken = stream.write([1, 2, 3].span) { span in
            output += span.indices.map { span[$0] }
            return span.count
        }
        #expect(taken == 3)
        let outcome = WebSocketOutcome(payload: [], end: nil, output: output)
        #expect(outcome.answer.frames.map(\.opcode) == [8])
        #expect(outcome.answer.frames.first?.payload == [0x03, 0xE9])
        // What the peer still sends is dropped.
        inbox = byteBuffer(Client.frame(2, [1]))
        #expect(stream.receive(&inbox) == nil)
        let left = inbox.count
        #expect(left == 0)
    }

    @Test func `an idle WebSocket is as small as its comment says`() {
        #expect(MemoryLayout<WebSocketStream>.size <= 120)
    }

    @Test func `noise never traps, and is the same whole and byte by byte`() {
        var state: UInt64 = 4
        func random() -> UInt64 {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return state >> 33
        }
        for _ in 0..<300 {
            let noise = (0..<random() % 40).map { index in
                // Often enough what begins a frame: else the first byte decides almost always.
                index == 0 && random() % 4 > 0
                    ? [0x82, 0x02, 0x80, 0x89, 0x88][Int(random() % 5)]
                    : index == 1 && random() % 4 > 0
                        ? UInt8(0x80 | random() % 16) : UInt8(random() & 255)
            }
            let stream = Client.request() + noise
            #expect(WebSocketOutcome(stream) == WebSocketOutcome(stream, pieces: 1), "\(noise)")
        }
    }
}
