import MQTT
import Testing

@testable import IO

/// A server and raw clients on one loop.
private final class Site {
    let loop: EventLoop
    let server: HTTPServer
    var seen: [HTTPRequest] = []
    /// Replies that wait until a test gives them; with none kept, every request is answered at once.
    var kept: [(HTTPResponse) -> Void] = []
    var keeps = false
    var body = bytes("hello")

    init(_ limits: HTTPLimits = HTTPLimits()) throws {
        loop = try EventLoop()
        server = try HTTPServer(.loopbackIPv4(port: 0), limits: limits)
        try server.start(on: loop) { [unowned self] request, reply in
            seen.append(request)
            if keeps { return kept.append(reply) }
            reply(HTTPResponse(.ok, body: body))
        }
    }

    func client() throws -> RawClient { try RawClient(self) }
}

private final class RawClient {
    private let site: Site
    private let socket: FileDescriptor
    private var input = ByteBuffer()
    private(set) var isClosed = false

    init(_ site: Site) throws {
        self.site = site
        socket = try FileDescriptor.connecting(to: site.server.address).takeSocket()
    }

    func send(_ text: String) throws {
        #expect(try socket.write(bytes(text).span) == text.utf8.count)
    }

    private func read() {
        guard !isClosed else { return }
        switch (try? socket.read(into: &input, atMost: 1 << 20)) ?? .closed {
        case .closed: isClosed = true
        default: break
        }
    }

    /// Waits until `condition` holds of what came, and returns that.
    @discardableResult
    func wait(_ condition: @escaping (String) -> Bool) -> String {
        site.loop.run {
            read()
            return condition(input.text)
        }
        return input.text
    }

    @discardableResult
    func waitForEnd() -> String {
        site.loop.run {
            read()
            return isClosed
        }
        return input.text
    }

    var text: String { input.text }
}

@Suite struct HTTPServerTests {
    private let get = "GET /x HTTP/1.1\r\nHost: a\r\n\r\n"

    private func count(_ text: String) -> Int { text.components("HTTP/1.1 200 OK") }

    @Test func anAnswerHasLengthTypeAndDateAndTheConnectionGoesOn() throws {
        let site = try Site()
        let client = try site.client()
        try client.send(get)
        let text = client.wait { $0.hasSuffix("hello") }
        #expect(text.hasPrefix("HTTP/1.1 200 OK\r\nDate: "))
        #expect(text.contains("\r\nContent-Length: 5\r\n"))
        #expect(text.contains("\r\nContent-Type: text/plain; charset=utf-8\r\n"))
        #expect(!text.contains("Connection:"))
        try client.send(get)
        client.wait { count($0) == 2 }
        #expect(!client.isClosed)
    }

    @Test func headIsAnsweredWithoutTheBody() throws {
        let site = try Site()
        let client = try site.client()
        try client.send("HEAD /x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        let text = client.waitForEnd()
        #expect(text.contains("\r\nContent-Length: 5\r\n"))
        #expect(text.hasSuffix("Connection: close\r\n\r\n"))
    }

    @Test func manyRequestsInOneWriteAreAnsweredInOrder() throws {
        let site = try Site()
        let client = try site.client()
        try client.send(String(repeating: get, count: 100))
        client.wait { count($0) == 100 }
        #expect(site.seen.count == 100)
    }

    @Test func anAnswerMayComeLaterAndNothingMoreIsTakenMeanwhile() throws {
        let site = try Site()
        site.keeps = true
        let client = try site.client()
        try client.send(get + get)
        site.loop.run { site.kept.count == 1 }
        for _ in 0..<5 { site.loop.turn(waitingAtMost: .milliseconds(2)) }
        #expect(site.kept.count == 1)
        let reply = site.kept.removeFirst()
        reply(HTTPResponse(.ok, "one"))
        // A second answer to the same request is nobody's.
        reply(HTTPResponse(.ok, "again"))
        site.loop.run { site.kept.count == 1 }
        site.kept.removeFirst()(HTTPResponse(.notFound, "two"))
        let text = client.wait { $0.hasSuffix("two\n") }
        #expect(text.contains("one\n"))
        #expect(!text.contains("again"))
    }

    @Test func anAnswerForAConnectionThatIsGoneIsNoError() throws {
        let site = try Site()
        site.keeps = true
        do {
            let client = try site.client()
            try client.send(get)
            site.loop.run { site.kept.count == 1 }
        }
        // The peer has closed; its last answer goes nowhere.
        for _ in 0..<5 { site.loop.turn(waitingAtMost: .milliseconds(2)) }
        site.kept.removeFirst()(HTTPResponse(.ok, "late"))
        site.keeps = false
        let next = try site.client()
        try next.send(get)
        next.wait { count($0) == 1 }
    }

    @Test func whatIsNoRequestIsAnsweredAndTheConnectionEnds() throws {
        let site = try Site()
        let client = try site.client()
        try client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc")
        let text = client.waitForEnd()
        #expect(text.hasPrefix("HTTP/1.1 4"))
        #expect(text.contains("\r\nConnection: close\r\n"))
        #expect(site.seen.isEmpty)
    }

    @Test func aMethodThatIsNotTakenSaysWhichAre() throws {
        let site = try Site()
        let client = try site.client()
        try client.send("DELETE / HTTP/1.1\r\nHost: a\r\n\r\n")
        let text = client.waitForEnd()
        #expect(text.hasPrefix("HTTP/1.1 405 Method Not Allowed\r\n"))
        #expect(text.contains("\r\nAllow: GET, HEAD\r\n"))
    }

    @Test func aRequestThatNeverEndsIsEndedThoughItsBytesComeOn() throws {
        var limits = HTTPLimits()
        limits.requestTime = .milliseconds(100)
        let site = try Site(limits)
        let client = try site.client()
        try client.send("GET / HT")
        let began = SystemClock.monotonic()
        site.loop.run {
            _ = try? client.send("T")
            return client.wait { _ in true }.contains("408")
        }
        #expect(SystemClock.monotonic() - began >= .milliseconds(90))
        client.waitForEnd()
    }

    @Test func aConnectionThatSaysNothingIsClosed() throws {
        var limits = HTTPLimits()
        limits.idleTime = .milliseconds(50)
        let site = try Site(limits)
        let client = try site.client()
        #expect(client.waitForEnd() == "")
    }

    @Test func aPeerThatDoesNotReadItsAnswerIsClosed() throws {
        var limits = HTTPLimits()
        limits.answerTime = .milliseconds(100)
        let site = try Site(limits)
        site.body = Array(repeating: 0x61, count: 32 << 20)
        let client = try site.client()
        try client.send(get)
        site.loop.run { site.seen.count == 1 }
        let end = SystemClock.monotonic() + .milliseconds(300)
        while SystemClock.monotonic() < end { site.loop.turn(waitingAtMost: .milliseconds(50)) }
        #expect(client.waitForEnd().utf8.count < 32 << 20)
    }

    @Test func aConnectionTooManyIsToldSoAndOthersAreServed() throws {
        var limits = HTTPLimits()
        limits.connections = 2
        let site = try Site(limits)
        let first = try site.client()
        try first.send(get)
        first.wait { count($0) == 1 }
        do {
            let second = try site.client()
            try second.send(get)
            second.wait { count($0) == 1 }
            let third = try site.client()
            #expect(third.waitForEnd().hasPrefix("HTTP/1.1 503 Service Unavailable\r\n"))
        }
        // The second has closed; as soon as the server has seen it, there is room again.
        var isServed = false
        for _ in 0..<1_000 where !isServed {
            let next = try site.client()
            try next.send(get)
            isServed = next.wait { $0.hasSuffix("\n") || $0.hasSuffix("hello") }.contains("200 OK")
        }
        #expect(isServed)
    }

    @Test func stoppingClosesEveryConnection() throws {
        let site = try Site()
        let client = try site.client()
        try client.send(get)
        client.wait { count($0) == 1 }
        site.server.stop()
        client.waitForEnd()
    }
}

extension String {
    /// How often `part` stands in it.
    fileprivate func components(_ part: String) -> Int {
        var count = 0
        var rest = self[...]
        while let found = rest.firstRange(of: part) {
            count += 1
            rest = rest[found.upperBound...]
        }
        return count
    }
}
