import IO
import MQTT
import TLS

/// One connection: splits what comes into packets, and writes once a tick what it has to say.
///
/// Subclasses say what they do with packets; a call for each packet is all that this costs.
class Peer: EventHandler {
    unowned let harness: Harness
    let name: String
    private var transport: Transport
    /// The beginning of a packet whose end has not come.
    private var input = ByteBuffer()
    var output = ByteBuffer()
    private(set) var isOpen = true
    private var isDirty = false

    init(_ harness: Harness, name: String, isPersistent: Bool = false) throws {
        self.harness = harness
        self.name = name
        let address = SocketAddress.loopbackIPv4(port: harness.target.port)
        var options = StreamOptions()
        options.noDelay = true
        let socket = try FileDescriptor.connecting(to: address, options: options).takeSocket()
        if let context = harness.target.tls {
            transport = try Transport(client: socket, context: context, host: "localhost")
        } else {
            transport = Transport(plain: socket)
        }
        try harness.loop.add(
            transport.descriptor, interest: [.readable, .writable], token: 0, handler: self)
        output.append(
            PacketBytes.connect(harness.target, clientID: name, isPersistent: isPersistent))
    }

    /// CONNACK said yes.
    func opened() { harness.peerIsReady() }

    /// Any packet but CONNACK: its first byte, and where its body lies in `bytes`.
    func take(_ first: UInt8, _ body: Range<Int>, _ bytes: Span<UInt8>) {}

    func ready(token: UInt64, readiness: Readiness) {
        guard isOpen else { return }
        if !transport.isEstablished { shakeHands() }
        if readiness.contains(.readable) { receive() }
        if isOpen && readiness.contains(.writable) { flush() }
    }

    private func shakeHands() {
        do { _ = try transport.handshake() } catch { harness.fail("\(name): \(error)") }
    }

    /// What was appended to `output` leaves at the end of the tick.
    func flushLater() {
        guard !isDirty else { return }
        isDirty = true
        harness.markDirty(self)
    }

    /// Writes now, as far as the broker takes it.
    func flush() {
        isDirty = false
        guard isOpen else { return }
        do {
            while !output.isEmpty, case .bytes = try transport.write(from: &output) {}
            try harness.loop.modify(
                transport.descriptor, interest: transport.interest(hasOutput: !output.isEmpty))
        } catch {
            harness.fail("\(name): \(error)")
        }
    }

    /// Ends the connection at once.
    func close() {
        guard isOpen else { return }
        isOpen = false
        harness.loop.remove(transport.descriptor)
        transport.shutDown()
    }

    private func receive() {
        do {
            let isContinued = !input.isEmpty
            let progress =
                isContinued
                ? try transport.read(into: &input, atMost: Harness.readSize)
                : try transport.read(into: &harness.inbox, atMost: Harness.readSize)
            if progress == .closed { return endedByBroker() }
            if isContinued {
                let used = input.withSpan { split($0) }
                input.consume(used)
                input.releaseIfEmpty()
            } else {
                let used = harness.inbox.withSpan { bytes in
                    let used = split(bytes)
                    input.append(bytes.extracting(used..<bytes.count))
                    return bytes.count
                }
                harness.inbox.consume(used)
            }
        } catch {
            harness.fail("\(name): \(error)")
        }
        if !output.isEmpty { flushLater() }
    }

    private func endedByBroker() {
        isOpen = false
        harness.loop.remove(transport.descriptor)
        harness.fail("the broker closed the connection of \(name)")
    }

    /// Takes each whole packet; returns where the rest begins.
    private func split(_ bytes: Span<UInt8>) -> Int {
        var offset = 0
        while bytes.count &- offset >= 2 {
            var length = 0
            var shift = 0
            var position = offset &+ 1
            var isWhole = false
            while position < bytes.count {
                let byte = bytes[position]
                position &+= 1
                length |= Int(byte & 0x7F) << shift
                shift &+= 7
                if byte & 0x80 == 0 {
                    isWhole = position &+ length <= bytes.count
                    break
                }
            }
            guard isWhole else { break }
            if bytes[offset] == 0x20 {
                takeConnAck(bytes[position &+ 1])
            } else {
                take(bytes[offset], position..<position &+ length, bytes)
            }
            offset = position &+ length
        }
        return offset
    }

    private func takeConnAck(_ code: UInt8) {
        if code == 0 { opened() } else { harness.fail("\(name) was refused with \(code)") }
    }

    /// PUBACK, PUBREC, PUBREL or PUBCOMP without anything behind the identifier.
    @inline(__always)
    func acknowledge(_ first: UInt8, _ id: UInt16) {
        output.append(bigEndian: UInt32(first) << 24 | 2 << 16 | UInt32(id))
    }
}
