import IO
import MQTT
import TLS

/// One connection of the load generator, as publisher or as subscriber.
final class Peer: EventHandler {
    enum Role {
        case publisher(batch: [UInt8], acknowledgements: Int)
        case subscriber(filter: String)
    }

    private let role: Role
    private let number: Int
    private unowned let load: Load
    private var transport: Transport
    private var input = ByteBuffer()
    private var output = ByteBuffer()
    private var decoder: PacketDecoder
    private(set) var isReady = false
    /// Acknowledgements that the last batch still waits for.
    private(set) var awaited = 0
    private var batchesLeft: Int

    init(_ role: Role, number: Int, batches: Int, load: Load) throws {
        self.role = role
        self.number = number
        self.load = load
        batchesLeft = batches
        decoder = PacketDecoder(receiver: .client, version: load.scenario.version)
        let address = SocketAddress.loopbackIPv4(port: load.scenario.port)
        let pending = try FileDescriptor.connecting(to: address)
        transport = Transport(plain: pending.takeSocket())
        try load.loop.add(
            transport.descriptor, interest: [.readable, .writable], token: 0, handler: self)
        connect()
    }

    private func connect() {
        var arena: [UInt8] = Array("load-\(number)".utf8)
        if case .subscriber = role { arena += Array("-s".utf8) }
        let packet = Connect(
            version: load.scenario.version, keepAlive: 0,
            clientID: ByteRange(lowerBound: 0, upperBound: arena.count))
        packet.encode(from: arena.span, into: &output)
    }

    func ready(token: UInt64, readiness: Readiness) {
        do {
            if readiness.contains(.readable) { try receive() }
            if load.failure == nil { try flush() }
        } catch {
            load.fail("peer \(number): \(error)")
        }
    }

    /// Sends the next batch when there is one, the last one is acknowledged, and there is room.
    func publishNext() throws {
        guard case .publisher(let batch, let acknowledgements) = role else { return }
        while isReady, batchesLeft > 0, awaited == 0, output.isEmpty, load.mayPublish {
            batchesLeft -= 1
            awaited = acknowledgements
            output.append(batch)
            load.published(load.scenario.batch)
            try flush()
        }
    }

    private func flush() throws {
        if !output.isEmpty { _ = try transport.write(from: &output) }
        try load.loop.modify(
            transport.descriptor, interest: transport.interest(hasOutput: !output.isEmpty))
    }

    private func receive() throws {
        switch try transport.read(into: &input, atMost: 65_536) {
        case .bytes: break
        case .wouldBlock: return
        case .closed:
            load.loop.remove(transport.descriptor)
            return load.fail("the broker closed the connection of peer \(number)")
        }
        var consumed = 0
        var delivered = 0
        var failure: (any Error)?
        input.withSpan { bytes in
            do {
                while let next = try decoder.decode(bytes, from: consumed) {
                    consumed = next.end
                    delivered += handle(next.packet)
                }
            } catch {
                failure = error
            }
        }
        if let failure { throw failure }
        input.consume(consumed)
        if delivered > 0 { load.delivered(delivered) }
        try publishNext()
    }

    /// Answers one packet; 1 if it was a delivery that counts.
    private func handle(_ packet: Packet) -> Int {
        switch packet {
        case .connAck(let answer):
            guard answer.reasonCode == .success else {
                load.fail("peer \(number) was refused: \(answer.reasonCode)")
                return 0
            }
            if case .subscriber(let filter) = role { subscribe(filter) } else { becomeReady() }
        case .subAck: becomeReady()
        case .publish(let message):
            guard let id = message.packetID else { return 1 }
            acknowledge(message.qos == .atLeastOnce ? .pubAck : .pubRec, id)
            return message.qos == .atLeastOnce ? 1 : 0
        case .pubAck, .pubComp: awaited -= 1
        case .pubRec(let answer): acknowledge(.pubRel, answer.packetID)
        case .pubRel(let answer):
            acknowledge(.pubComp, answer.packetID)
            return 1
        default: break
        }
        return 0
    }

    private func becomeReady() {
        isReady = true
        load.peerIsReady()
    }

    private func subscribe(_ filter: String) {
        var writer = SubscribeWriter()
        let packet = writer.subscribe(filter, qos: load.scenario.qos)
        packet.encode(from: writer.arena.span, version: load.scenario.version, into: &output)
    }

    private func acknowledge(_ kind: PacketType, _ id: UInt16) {
        let packet = Acknowledgement(kind: kind, packetID: id)
        packet.encode(from: [UInt8]().span, version: load.scenario.version, into: &output)
    }
}

/// One SUBSCRIBE with one filter, and the bytes that it points to.
private struct SubscribeWriter {
    var arena: [UInt8] = []

    mutating func subscribe(_ filter: String, qos: QoS) -> Subscribe {
        arena = [UInt8(filter.utf8.count >> 8), UInt8(filter.utf8.count & 255)]
        arena += Array(filter.utf8)
        arena.append(qos.rawValue)
        return Subscribe(
            packetID: 1, filters: ByteRange(lowerBound: 0, upperBound: arena.count),
            filterCount: 1)
    }
}
