import FleetModel
import IO
import MQTT

/// One connection to a control socket: one request, one answer.
final class ControlConnection {
    private enum State {
        case reading
        case answering
        /// The answer is made; what is left of it leaves.
        case ending
        /// Our direction has ended; what the client still sends is read and forgotten, so that no reset
        /// takes the answer away from it.
        case lingering
        case gone
    }

    /// Bytes of an answer that may wait; more is made when the client has taken some.
    private static let waitingBytes = 64 * 1024
    private static let readSize = 4 * 1024
    /// How long a client may leave an answer unread.
    private static let patience = Duration.seconds(60)
    private static let lingerTime = Duration.seconds(1)

    private let socket: FileDescriptor
    private let loop: EventLoop
    private let slot: Int
    private let run: ControlServer.Command
    private let gone: (Int) -> Void
    private var state = State.reading
    private var input = ByteBuffer()
    private var output = ByteBuffer()
    /// The client has ended its direction; it may still read.
    private var hasEnded = false
    private var producer: ControlReply.Producer?
    private var isProducing = false
    private var isScheduled = false
    private var timer: TimerID?

    init(
        _ socket: consuming FileDescriptor, loop: EventLoop, slot: Int,
        run: @escaping ControlServer.Command, gone: @escaping (Int) -> Void
    ) {
        self.socket = socket
        self.loop = loop
        self.slot = slot
        self.run = run
        self.gone = gone
    }

    func start(handler: any EventHandler) {
        do throws(IOError) {
            try loop.add(socket, interest: .readable, token: UInt64(slot), handler: handler)
            allow(ControlServer.requestTime)
        } catch {
            state = .gone
            gone(slot)
        }
    }

    func ready(_ readiness: Readiness) {
        if readiness.contains(.hangUp) && state != .reading { return close() }
        if readiness.contains(.readable) { read() }
        if readiness.contains(.writable) { write() }
        watch()
    }

    func close() {
        guard state != .gone else { return }
        state = .gone
        producer = nil
        if let timer { loop.cancel(timer) }
        loop.remove(socket)
        // The last thing: the socket closes with this object.
        gone(slot)
    }

    // MARK: Reading

    private func read() {
        do throws(IOError) {
            switch try socket.read(into: &input, atMost: Self.readSize) {
            case .bytes: if state == .reading { takeRequest() } else { input.removeAll() }
            case .wouldBlock: break
            case .closed:
                hasEnded = true
                if state == .reading || state == .lingering { close() }
            }
        } catch {
            close()
        }
    }

    private func takeRequest() {
        guard let line = input.withSpan({ ControlLine.first(in: $0) }) else {
            guard input.count > ControlServer.maximumRequestBytes else { return }
            return end("error", ControlLine.tooLong)
        }
        input.removeAll()
        state = .answering
        if let timer { loop.cancel(timer) }
        timer = nil
        let reply = ControlReply(connection: self)
        do throws(DaemonError) {
            run(try ControlRequest(line), reply)
        } catch {
            reply.fail(error)
        }
    }

    // MARK: Answering

    func send(_ name: String, _ value: JSONValue) {
        guard state == .answering else { return }
        append(name, value)
        schedule()
    }

    func produce(_ more: @escaping ControlReply.Producer) {
        guard state == .answering else { return }
        producer = more
        schedule()
    }

    func end(_ name: String, _ value: JSONValue) {
        guard state == .answering || state == .reading else { return }
        append(name, value)
        state = .ending
        producer = nil
        schedule()
    }

    private func append(_ name: String, _ value: JSONValue) {
        output.append(JSONValue.object(JSONObject([.init(name, value)])).encoded())
        output.append(0x0A)
    }

    /// What was said in this tick leaves in the next, in one write.
    private func schedule() {
        guard !isScheduled else { return }
        isScheduled = true
        loop.schedule(after: .zero) { [self] in
            isScheduled = false
            guard state != .gone else { return }
            produceMore()
            write()
            watch()
        }
    }

    private var wantsMore: Bool {
        producer != nil && !isProducing && output.count < Self.waitingBytes
    }

    private func produceMore() {
        guard wantsMore, let producer else { return }
        isProducing = true
        producer { [weak self] hasMore in
            guard let self else { return }
            isProducing = false
            if !hasMore { self.producer = nil }
            schedule()
        }
    }

    private func write() {
        guard state == .answering || state == .ending else { return }
        do throws(IOError) {
            while !output.isEmpty {
                guard case .bytes = try socket.write(from: &output) else { break }
                if let timer { loop.cancel(timer) }
                timer = nil
            }
        } catch {
            return close()
        }
        if output.isEmpty && state == .ending { return linger() }
        if wantsMore { schedule() }
        if !output.isEmpty && timer == nil { allow(Self.patience) }
    }

    private func linger() {
        guard !hasEnded else { return close() }
        state = .lingering
        socket.shutDownWriting()
        allow(Self.lingerTime)
    }

    private func watch() {
        guard state != .gone else { return }
        var interest: Readiness = hasEnded ? [] : .readable
        if !output.isEmpty { interest.formUnion(.writable) }
        do throws(IOError) {
            try loop.modify(socket, interest: interest)
        } catch {
            close()
        }
    }

    private func allow(_ time: Duration) {
        timer = loop.schedule(after: time) { [weak self] in
            self?.timer = nil
            self?.close()
        }
    }
}
