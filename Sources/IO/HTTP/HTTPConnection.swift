import MQTT

/// One connection of an `HTTPServer`.
final class HTTPConnection {
    private enum State {
        /// Requests are read.
        case reading
        /// An answer is made.
        case answering
        /// The answer leaves.
        case writing
        /// Our direction has ended; the peer's bytes are read and forgotten until it closes, so that no
        /// reset takes the answer away from it.
        case lingering
        case gone
    }

    private static let readSize = 4 * 1024
    private static let lingerTime = Duration.seconds(1)

    private let socket: FileDescriptor
    private let loop: EventLoop
    private let limits: HTTPLimits
    private let slot: Int
    private let answer: HTTPServer.Answer
    private let gone: (Int) -> Void
    private var machine: HTTPRequestMachine
    private var output = ByteBuffer()
    private var state = State.reading
    private var closes = false
    private var timer: TimerID?
    /// What was read since the last request is a part of the next one.
    private var isInRequest = false
    private var isTaking = false
    private var served: UInt64 = 0

    init(
        _ socket: consuming FileDescriptor, loop: EventLoop, limits: HTTPLimits, slot: Int,
        answer: @escaping HTTPServer.Answer, gone: @escaping (Int) -> Void
    ) {
        self.socket = socket
        self.loop = loop
        self.limits = limits
        self.slot = slot
        self.answer = answer
        self.gone = gone
        machine = HTTPRequestMachine(limits: limits)
    }

    func start(handler: any EventHandler) {
        do throws(IOError) {
            try loop.add(
                socket, interest: .readable, token: UInt64(slot), handler: handler)
            allow(limits.idleTime) { $0.close() }
        } catch {
            // The loop has no room for it: it is as if it had been refused.
            state = .gone
            gone(slot)
        }
    }

    func ready(_ readiness: Readiness) {
        if state == .answering && readiness.contains(.hangUp) { return close() }
        if readiness.contains(.readable) && (state == .reading || state == .lingering) { read() }
        if readiness.contains(.writable) && state == .writing {
            write()
            // What was sent together with the last request.
            takeRequests()
        }
        watch()
    }

    func close() {
        guard state != .gone else { return }
        state = .gone
        if let timer { loop.cancel(timer) }
        loop.remove(socket)
        // The last thing: the socket closes with this object.
        gone(slot)
    }

    private func read() {
        var input = ByteBuffer()
        do throws(IOError) {
            switch try socket.read(into: &input, atMost: Self.readSize) {
            case .bytes:
                guard state == .reading else { return }
                input.withSpan { machine.receive($0) }
                takeRequests()
            case .wouldBlock: break
            case .closed: close()
            }
        } catch {
            close()
        }
    }

    /// Serves the requests that have come, one after the other, as long as their answers leave at once.
    private func takeRequests() {
        guard !isTaking else { return }
        isTaking = true
        defer { isTaking = false }
        while state == .reading {
            do throws(HTTPFault) {
                guard let request = try machine.next() else { return awaitRest() }
                serve(request)
            } catch {
                machine.removeAll()
                send(HTTPResponse(error), to: nil, closing: true)
            }
        }
    }

    /// The time runs from the request's first byte, however many follow one by one.
    private func awaitRest() {
        guard !machine.isEmpty, !isInRequest else { return }
        isInRequest = true
        allow(limits.requestTime) { connection in
            connection.send(
                HTTPResponse(.requestTimeout, "the request took too long"), to: nil, closing: true)
        }
    }

    private func serve(_ request: HTTPRequest) {
        isInRequest = false
        state = .answering
        served += 1
        let number = served
        allow(limits.answerTime) { $0.close() }
        answer(request) { [weak self] response in
            // An answer that comes twice is not the next request's.
            guard let self, self.state == .answering, self.served == number else { return }
            self.send(response, to: request, closing: !request.keepsAlive)
            self.takeRequests()
            self.watch()
        }
    }

    private func send(_ response: HTTPResponse, to request: HTTPRequest?, closing: Bool) {
        state = .writing
        closes = closing
        response.encode(
            to: request, closes: closing, unixSeconds: SystemClock.unixMilliseconds() / 1000,
            into: &output)
        allow(limits.answerTime) { $0.close() }
        write()
    }

    private func write() {
        do throws(IOError) {
            while !output.isEmpty {
                guard case .bytes = try socket.write(from: &output) else { return }
            }
        } catch {
            return close()
        }
        output.releaseIfEmpty()
        if closes {
            state = .lingering
            socket.shutDownWriting()
            allow(Self.lingerTime) { $0.close() }
        } else {
            state = .reading
            allow(limits.idleTime) { $0.close() }
        }
    }

    private func watch() {
        let interest: Readiness
        switch state {
        case .reading, .lingering: interest = .readable
        case .answering: interest = []
        case .writing: interest = .writable
        case .gone: return
        }
        do throws(IOError) {
            try loop.modify(socket, interest: interest)
        } catch {
            close()
        }
    }

    /// Calls `body` unless another time is allowed before `time` is over.
    private func allow(_ time: Duration, _ body: @escaping (HTTPConnection) -> Void) {
        if let timer { loop.cancel(timer) }
        timer = loop.schedule(after: time) { [weak self] in
            guard let self else { return }
            self.timer = nil
            body(self)
            self.watch()
        }
    }
}
