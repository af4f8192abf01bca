import MQTT
import Testing

@testable import IO

/// Everything that a machine makes of some bytes, fed whole.
private func requests(
    _ text: String, limits: HTTPLimits = HTTPLimits()
) throws(HTTPFault) -> [HTTPRequest] {
    var machine = HTTPRequestMachine(limits: limits)
    machine.receive(bytes(text).span)
    var found: [HTTPRequest] = []
    while let request = try machine.next() { found.append(request) }
    return found
}

private func fault(_ text: String, limits: HTTPLimits = HTTPLimits()) -> Int? {
    do throws(HTTPFault) {
        _ = try requests(text, limits: limits)
        return nil
    } catch {
        return error.status.code
    }
}

@Suite struct HTTPRequestTests {
    private let plain = "GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n"

    @Test func aRequestIsTakenWholeAndByteByByte() throws {
        let expected = HTTPRequest(path: "/metrics")
        #expect(try requests(plain) == [expected])
        var machine = HTTPRequestMachine()
        var found: [HTTPRequest] = []
        for byte in bytes(plain + plain) {
            machine.receive([byte].span)
            while let request = try machine.next() { found.append(request) }
        }
        #expect(found == [expected, expected])
        let isEmpty = machine.isEmpty
        #expect(isEmpty)
    }

    @Test func requestsThatComeTogetherAreTakenInOrder() throws {
        let text = plain + "HEAD /healthz?verbose HTTP/1.1\nhost: b\n\n" + "\r\n\n" + plain
        #expect(
            try requests(text) == [
                HTTPRequest(path: "/metrics"),
                HTTPRequest(method: .head, path: "/healthz", query: "verbose"),
                HTTPRequest(path: "/metrics"),
            ])
    }

    @Test(arguments: [
        ("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", false),
        ("GET / HTTP/1.1\r\nHost: a\r\nConnection: TE , Close\r\n\r\n", false),
        ("GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive\r\n\r\n", true),
        ("GET / HTTP/1.0\r\n\r\n", false),
        ("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", true),
    ])
    func whetherTheConnectionGoesOn(_ text: String, _ keepsAlive: Bool) throws {
        #expect(try requests(text).map(\.keepsAlive) == [keepsAlive])
    }

    @Test(arguments: [
        ("/a/b?c=d?e#f", "/a/b", "c=d?e"),
        ("http://host:9883/metrics", "/metrics", ""),
        ("HTTP://host?x", "/", "x"),
        ("http://host", "/", ""),
        ("/%2e%2E/x", "/%2e%2E/x", ""),
    ])
    func targetsInBothForms(_ target: String, _ path: String, _ query: String) throws {
        let found = try requests("GET \(target) HTTP/1.1\r\nHost: a\r\n\r\n")
        #expect(found.map(\.path) == [path])
        #expect(found.map(\.query) == [query])
    }

    @Test(arguments: [
        ("POST / HTTP/1.1\r\nHost: a\r\n\r\n", 405),
        ("get / HTTP/1.1\r\nHost: a\r\n\r\n", 405),
        ("GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505),
        ("GET / FTP/1.1\r\nHost: a\r\n\r\n", 400),
        ("GET /\r\nHost: a\r\n\r\n", 400),
        ("GET  / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        ("G\u{7F}T / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        ("GET x HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        ("GET * HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        ("GET /ü HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a\r\nX: b\r\n c\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost : a\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a\r\nnonsense\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a\r\nX: a\rb\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a\r\nX: \u{0}\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nContent-Length: 5\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n", 413),
        ("GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", 501),
        ("\u{16}\u{3}\u{1}\r\n\r\n", 400),
    ])
    func whatIsNoRequestOfOursIsAnsweredWithItsStatus(_ text: String, _ code: Int) {
        #expect(fault(text) == code)
    }

    @Test func contentOfNoLengthIsNone() throws {
        #expect(
            fault("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nContent-Length: 0\r\n\r\n")
                == nil)
    }

    @Test func aHeadThatNeverEndsIsRefusedAtItsLimit() {
        var limits = HTTPLimits()
        limits.headBytes = 256
        limits.targetBytes = 64
        let field = "X: " + String(repeating: "y", count: 30) + "\r\n"
        let long = "GET / HTTP/1.1\r\n" + String(repeating: field, count: 8)
        #expect(fault(long, limits: limits) == 431)
        #expect(fault(long + "\r\n", limits: limits) == 431)
        #expect(fault(String(repeating: "x", count: 257), limits: limits) == 414)
        let target = String(repeating: "x", count: 64)
        #expect(fault("GET /\(target) HTTP/1.1\r\nHost: a\r\n\r\n", limits: limits) == 414)
    }

    /// Random bytes, and requests with random bytes in them, never trap and never hold more than a head.
    @Test func noBytesTrap() {
        var random = SplitMix(state: 11)
        for _ in 0..<2_000 {
            var text = bytes(plain)
            for _ in 0..<(random.next() % 8) {
                text[Int(random.next() % UInt64(text.count))] = UInt8(
                    truncatingIfNeeded: random.next())
            }
            var machine = HTTPRequestMachine()
            machine.receive(text.span)
            while case .some? = try? machine.next() {}
        }
    }

    @Test(arguments: [
        (0, "Thu, 01 Jan 1970 00:00:00 GMT"),
        (784_111_777, "Sun, 06 Nov 1994 08:49:37 GMT"),
        (951_782_400, "Tue, 29 Feb 2000 00:00:00 GMT"),
        (4_102_444_799, "Thu, 31 Dec 2099 23:59:59 GMT"),
        (-5, "Thu, 01 Jan 1970 00:00:00 GMT"),
    ])
    func datesOfHTTP(_ seconds: Int64, _ text: String) {
        #expect(HTTPDate.text(unixSeconds: seconds) == text)
    }
}

private struct SplitMix {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ z >> 30) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ z >> 27) &* 0x94D0_49BB_1331_11EB
        return z ^ z >> 31
    }
}
