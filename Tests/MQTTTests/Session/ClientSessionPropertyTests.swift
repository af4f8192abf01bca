import MQTT
import Testing

/// A server that a script cannot surprise: it keeps sessions, takes and sends messages of all QoS,
/// and loses connections after any number of bytes.
private final class FaultyServer {
    private let version: ProtocolVersion
    private var decoder: PacketDecoder
    private var input: [UInt8] = []
    private var hasSession = false
    private var generator: SplitMix

    /// What it took: every PUBLISH of QoS 1, and each of QoS 2 once for an identifier.
    private(set) var taken: [String] = []
    private var unreleased: Set<UInt16> = []

    /// What it has to send, oldest first, and how far each is.
    private var toSend: [(id: UInt16, text: String, qos: QoS, isReleased: Bool, isSent: Bool)] = []
    private var nextID: UInt16 = 1
    private(set) var acknowledged: Set<String> = []
    private var window: Int

    init(_ version: ProtocolVersion, seed: UInt64, window: Int) {
        self.version = version
        generator = SplitMix(seed: seed)
        decoder = PacketDecoder(receiver: .server, version: version)
        self.window = window
    }

    func connectionOpened() {
        decoder = PacketDecoder(receiver: .server, version: version)
        input = []
    }

    func loseSession() {
        hasSession = false
        unreleased = []
        for index in toSend.indices { toSend[index].isSent = false }
        // What it wants to deliver is not part of what it lost here: it starts over as new.
        let left = toSend
        toSend = []
        for item in left { queue(item.text, item.qos) }
    }

    func queue(_ text: String, _ qos: QoS) {
        toSend.append((nextID, text, qos, false, false))
        nextID += 1
    }

    var isDone: Bool { toSend.isEmpty }

    /// Takes bytes, and gives what it answers.
    func take(_ bytes: [UInt8]) -> [UInt8] {
        input += bytes
        var answer: [UInt8] = []
        var offset = 0
        do {
            while let next = try decoder.decode(input.span, from: offset) {
                offset = next.end
                answer += respond(to: next.packet)
            }
        } catch {
            preconditionFailure("the client broke the protocol: \(error)")
        }
        input.removeFirst(offset)
        return answer + sendMore()
    }

    private func respond(to packet: Packet) -> [UInt8] {
        switch packet {
        case .connect(let connect):
            if connect.cleanStart { loseSession() }
            let present = hasSession
            hasSession = true
            for index in toSend.indices { toSend[index].isSent = false }
            var writer = PropertyWriter()
            if version == .v5_0 { writer.add(.receiveMaximum, uint16: UInt16(window)) }
            return SessionUnderTest.bytes(
                .connAck(
                    ConnAck(
                        sessionPresent: present, reasonCode: .success,
                        properties: writer.properties)), from: writer.bytes, version)
        case .publish(let publish):
            return publishReceived(publish)
        case .pubRel(let ack):
            unreleased.remove(ack.packetID)
            return bytes(.pubComp, ack.packetID)
        case .pubAck(let ack): finish(ack.packetID)
        case .pubComp(let ack): finish(ack.packetID)
        case .pubRec(let ack):
            guard let index = toSend.firstIndex(where: { $0.id == ack.packetID }) else { break }
            toSend[index].isReleased = true
            return bytes(.pubRel, ack.packetID)
        default: break
        }
        return []
    }

    private func publishReceived(_ publish: Publish) -> [UInt8] {
        let text = String(decoding: input[publish.payload.range], as: UTF8.self)
        guard let id = publish.packetID else { return [] }
        guard publish.qos == .exactlyOnce else {
            taken.append(text)
            return bytes(.pubAck, id)
        }
        if unreleased.insert(id).inserted { taken.append(text) }
        return bytes(.pubRec, id)
    }

    private func finish(_ id: UInt16) {
        guard let index = toSend.firstIndex(where: { $0.id == id }) else { return }
        acknowledged.insert(toSend[index].text)
        toSend.remove(at: index)
    }

    /// At most ten unfinished at a time, in order; again with DUP after a reconnect.
    private func sendMore() -> [UInt8] {
        var out: [UInt8] = []
        for index in toSend.indices.prefix(10) where !toSend[index].isSent {
            let item = toSend[index]
            toSend[index].isSent = true
            if item.isReleased {
                out += bytes(.pubRel, item.id)
            } else {
                let arena = Array("t".utf8) + Array(item.text.utf8)
                out += SessionUnderTest.bytes(
                    .publish(
                        Publish(
                            qos: item.qos, topic: ByteRange(0..<1), packetID: item.id,
                            payload: ByteRange(1..<arena.count))), from: arena, version)
            }
        }
        return out
    }

    private func bytes(_ kind: PacketType, _ id: UInt16) -> [UInt8] {
        let ack = Acknowledgement(kind: kind, packetID: id)
        let packet: Packet =
            switch kind {
            case .pubAck: .pubAck(ack)
            case .pubRec: .pubRec(ack)
            case .pubRel: .pubRel(ack)
            default: .pubComp(ack)
            }
        return SessionUnderTest.bytes(packet, version)
    }
}

@Suite("Client session under lost connections")
struct ClientSessionPropertyTests {
    /// What one run came to.
    private struct Run {
        var published: [(text: String, qos: QoS)] = []
        var succeeded: Set<String> = []
        var again: Set<String> = []
        var delivered: [String] = []
        var connections = 0
    }

    /// Publishes and receives through connections that are cut at random places.
    private func run(
        _ version: ProtocolVersion, seed: UInt64, losesSession: Bool
    ) -> (Run, FaultyServer) {
        var generator = SplitMix(seed: seed)
        let server = FaultyServer(
            version, seed: seed, window: Int.random(in: 1...8, using: &generator))
        let client = SessionUnderTest(version) {
            $0.sessionExpirySeconds = 1_000
            $0.receiveMaximum = 20
        }
        var run = Run()
        var held: [(DeliveryID, String)] = []
        var isCut = false
        for number in 0..<60 {
            server.queue("s\(number)", number % 2 == 0 ? .atLeastOnce : .exactlyOnce)
        }
        func drain() {
            for event in client.events() {
                switch event {
                case .message(let message):
                    let text = String(decoding: message.payload, as: UTF8.self)
                    run.delivered.append(text)
                    if let delivery = message.delivery { held.append((delivery, text)) }
                case .published(let outcome):
                    let text = run.published[Int(outcome.token)].text
                    if outcome.isSuccess { run.succeeded.insert(text) }
                    if outcome.publishedAgain { run.again.insert(text) }
                case .connected: run.connections += 1
                case .closed(.transportClosed): break
                case .closed(let end): Issue.record("seed \(seed): \(end)")
                case .subscribed, .unsubscribed: break
                }
            }
        }
        var step = 0
        client.open()
        server.connectionOpened()
        while step < 20_000 {
            step += 1
            // After a while no more faults, so that everything can come to its end.
            let isCalm = step > 1_500
            if run.published.count < 100 && Bool.random(using: &generator) {
                let text = "c\(run.published.count)"
                let qos: QoS = Bool.random(using: &generator) ? .atLeastOnce : .exactlyOnce
                let token = UInt64(run.published.count)
                if client.publish("t", text, qos: qos, token: token) == nil {
                    run.published.append((text, qos))
                }
            }
            if let index = held.indices.randomElement(using: &generator) {
                client.acknowledge(held.remove(at: index).0)
            }
            let bytes = client.takeOutput()
            let arriving = cut(bytes, isCalm, &generator, &isCut)
            let answer = server.take(arriving)
            let coming = isCut ? [] : cut(answer, isCalm, &generator, &isCut)
            if !coming.isEmpty { client.receivePart(coming) }
            drain()
            if isCut {
                isCut = false
                client.close()
                drain()
                if losesSession && Int.random(in: 0..<3, using: &generator) == 0 {
                    server.loseSession()
                }
                client.open()
                server.connectionOpened()
            }
            if isCalm && client.isDrained && server.isDone && run.published.count == 100 { break }
        }
        return (run, server)
    }

    /// What of the bytes arrives; sometimes the connection breaks in the middle of them.
    private func cut(
        _ bytes: [UInt8], _ isCalm: Bool, _ generator: inout SplitMix, _ isCut: inout Bool
    ) -> [UInt8] {
        guard !isCalm, Int.random(in: 0..<12, using: &generator) == 0 else { return bytes }
        isCut = true
        return Array(bytes.prefix(Int.random(in: 0...bytes.count, using: &generator)))
    }

    @Test(
        "Nothing acknowledged is lost, QoS 2 comes once, order is kept",
        arguments: [
            ProtocolVersion.v3_1_1, .v5_0,
        ])
    func kept(version: ProtocolVersion) {
        var connections = 0
        for seed in UInt64(1)...60 {
            let (run, server) = run(version, seed: seed, losesSession: false)
            connections += run.connections
            let texts = run.published.map(\.text)
            #expect(run.succeeded == Set(texts), "seed \(seed): all come to an end")
            #expect(run.again.isEmpty)
            #expect(Set(server.taken) == Set(texts), "seed \(seed): nothing is lost")
            for (text, qos) in run.published where qos == .exactlyOnce {
                #expect(server.taken.count { $0 == text } == 1, "seed \(seed): \(text) once")
            }
            #expect(firstOccurrences(server.taken) == texts, "seed \(seed): order")
            let all = (0..<60).map { "s\($0)" }
            #expect(firstOccurrences(run.delivered) == all, "seed \(seed): delivered in order")
            #expect(server.acknowledged == Set(all))
            for number in stride(from: 1, to: 60, by: 2) {
                #expect(run.delivered.count { $0 == "s\(number)" } == 1, "seed \(seed): QoS 2")
            }
        }
        #expect(connections > 60 * 20, "connections broke often enough: \(connections)")
    }

    @Test(
        "A server that forgets sessions still gets everything at least once",
        arguments: [
            ProtocolVersion.v3_1_1, .v5_0,
        ])
    func lost(version: ProtocolVersion) {
        var again = 0
        for seed in UInt64(100)...160 {
            let (run, server) = run(version, seed: seed, losesSession: true)
            let texts = run.published.map(\.text)
            again += run.again.count
            #expect(run.succeeded == Set(texts))
            #expect(Set(server.taken) == Set(texts))
            // Twice only what the outcome says was published again, or QoS 1.
            for (text, qos) in run.published where qos == .exactlyOnce && !run.again.contains(text)
            {
                #expect(server.taken.count { $0 == text } == 1, "seed \(seed): \(text) once")
            }
            #expect(server.acknowledged.count == 60)
        }
        #expect(again > 0)
    }

    private func firstOccurrences(_ texts: [String]) -> [String] {
        var seen: Set<String> = []
        return texts.filter { seen.insert($0).inserted }
    }
}
