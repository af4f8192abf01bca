import Testing

@testable import IO

@Suite struct WebSocketHandshakeTests {
    private func hex(_ bytes: [UInt8]) -> String {
        bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
    }

    @Test func `SHA-1 gives the digests of FIPS 180`() {
        #expect(hex(SHA1.digest([])) == "da39a3ee5e6b4b0d3255bfef95601890afd80709")
        #expect(hex(SHA1.digest(bytes("abc"))) == "a9993e364706816aba3e25717850c26c9cd0d89d")
        let long = "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"
        #expect(hex(SHA1.digest(bytes(long))) == "84983e441c3bd26ebaae4aa1f95129e5e54670f1")
        let million = [UInt8](repeating: UInt8(ascii: "a"), count: 1_000_000)
        #expect(hex(SHA1.digest(million)) == "34aa973cd4c4daa4f61eeb2bdbad27316534016f")
        // Both sides of the length at which the padding needs a block more.
        let sixty = [UInt8](repeating: 0, count: 60)
        #expect(hex(SHA1.digest(Array(sixty[..<55]))) == "8e8832c642a6a38c74c17fc92ccedc266c108e6c")
        #expect(hex(SHA1.digest(Array(sixty[..<56]))) == "9438e360f578e12c0e0e8ed28e2c125c1cefee16")
    }

    @Test(arguments: [1, 2, 7, 100_000])
    func `MQTT-6.0.0-4: the handshake is answered with the sub-protocol mqtt`(pieces: Int) {
        let outcome = WebSocketOutcome(WebSocketClient.request(), pieces: pieces)
        #expect(outcome.end == nil)
        let lines = outcome.answer.head.split(separator: "\r\n")
        #expect(lines.first == "HTTP/1.1 101 Switching Protocols")
        #expect(lines.contains("Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo="))
        #expect(lines.contains("Sec-WebSocket-Protocol: mqtt"))
        #expect(lines.contains("Upgrade: websocket"))
        #expect(lines.contains("Connection: Upgrade"))
    }

    @Test
    func `field names and tokens have no case, lists have spaces, and others may be offered too`() {
        let request = WebSocketClient.request(
            line: "GET /any?thing HTTP/1.1",
            [
                ("Host", ""), ("HOST", "a"), ("Upgrade", "h2c , WebSocket"),
                ("Connection", "keep-alive,\tUPGRADE"),
                ("Sec-WebSocket-Protocol", "chat, mqttv3.1 ,mqtt"),
                ("Sec-WebSocket-Extensions", "permessage-deflate"), ("Cookie", "a=\u{fc}"),
            ])
        let outcome = WebSocketOutcome(request)
        #expect(outcome.end == nil)
        #expect(outcome.answer.head.contains("\r\nSec-WebSocket-Protocol: mqtt\r\n"))
        // An extension that is not named in the answer is not in use.
        #expect(!outcome.answer.head.contains("deflate"))
    }

    @Test func `a client of 3.1 gets the name that it knows`() {
        let outcome = WebSocketOutcome(
            WebSocketClient.request([("Sec-WebSocket-Protocol", "mqttv3.1")]))
        #expect(outcome.answer.head.contains("\r\nSec-WebSocket-Protocol: mqttv3.1\r\n"))
    }

    struct Refused: Sendable, CustomTestStringConvertible {
        var testDescription: String
        var status: Int
        var request: [UInt8]
        var rules = WebSocketRules()

        init(
            _ name: String, _ status: Int, _ request: [UInt8],
            _ rules: WebSocketRules = WebSocketRules()
        ) {
            testDescription = name
            self.status = status
            self.request = request
            self.rules = rules
        }
    }

    static let refused: [Refused] = {
        func changed(_ name: String, _ value: String) -> [UInt8] {
            WebSocketClient.request([(name, value)])
        }
        func line(_ line: String) -> [UInt8] { WebSocketClient.request(line: line) }
        let noise = (0..<70).map { ("X-\($0)", "a") }
        return [
            Refused("POST", 405, line("POST /mqtt HTTP/1.1")),
            Refused("HTTP/1.0", 505, line("GET /mqtt HTTP/1.0")),
            Refused("no HTTP", 400, line("HELO there now")),
            Refused("no path", 400, line("GET mqtt HTTP/1.1")),
            Refused("spaces in the path", 400, line("GET /mqtt me HTTP/1.1")),
            Refused(
                "another path", 404, line("GET /mqtt2 HTTP/1.1"), WebSocketRules(path: "/mqtt")),
            Refused("no Host", 400, changed("Host", "")),
            Refused("a browser's visit", 426, changed("Upgrade", "")),
            Refused("no Connection", 426, changed("Connection", "keep-alive")),
            Refused("an older version", 426, changed("Sec-WebSocket-Version", "8")),
            Refused("no key", 400, changed("Sec-WebSocket-Key", "")),
            Refused("a short key", 400, changed("Sec-WebSocket-Key", "YWJj")),
            Refused("a key that is not base 64", 400, changed("Sec-WebSocket-Key", "!!")),
            Refused("MQTT-6.0.0-3: no sub-protocol", 400, changed("Sec-WebSocket-Protocol", "")),
            Refused("another sub-protocol", 400, changed("Sec-WebSocket-Protocol", "chat, MQTT")),
            Refused("a body", 413, changed("Content-Length", "5")),
            Refused("a body in chunks", 413, changed("Transfer-Encoding", "chunked")),
            Refused(
                "a strange page", 403, changed("Origin", "https://evil.example"),
                WebSocketRules(origins: ["https://panel.example"])),
            Refused("many fields", 431, WebSocketClient.request(noise)),
            Refused(
                "a head without end", 431,
                bytes("GET / HTTP/1.1\r\nX: ")
                    + [UInt8](repeating: 65, count: 9_000)),
            Refused("a folded line", 400, changed("X", "a\r\n b")),
            Refused("a line without colon", 400, changed("X", "a\r\nb")),
            Refused("a space before the colon", 400, changed("X ", "a")),
            Refused("a bare line feed", 400, changed("X", "a\nHost: b")),
            Refused("U+0000", 400, changed("X", "a\0")),
            Refused("an MQTT client", 400, [0x10, 0x0D, 0, 4] + bytes("MQTT")),
            Refused("a TLS client", 400, [0x16, 3, 1, 2, 0]),
        ]
    }()

    @Test(arguments: refused)
    func `what is no opening of ours gets a proper answer, whole or byte by byte`(
        refused: Refused
    ) throws {
        let whole = WebSocketOutcome(refused.request, rules: refused.rules)
        #expect(whole.output.starts(with: bytes("HTTP/1.1 \(refused.status) ")))
        guard case .failed(let reason)? = whole.end else {
            Issue.record("it was not refused")
            return
        }
        #expect(reason.hasSuffix("(HTTP \(refused.status))"))
        let text = String(decoding: whole.output, as: UTF8.self)
        let body = try #require(text.firstRange(of: "\r\n\r\n")).upperBound
        #expect(text.contains("\r\nContent-Length: \(text[body...].utf8.count)\r\n"))
        #expect(text.contains("\r\nConnection: close"))
        #expect(whole.payload.isEmpty)
        for size in [1, 2, 3, 50] {
            #expect(WebSocketOutcome(refused.request, rules: refused.rules, pieces: size) == whole)
        }
    }

    @Test func `a page that may connect, and a program that is no browser, are let in`() {
        let rules = WebSocketRules(path: "/mqtt", origins: ["https://panel.example"])
        let page = WebSocketClient.request([("Origin", "https://PANEL.example")])
        #expect(WebSocketOutcome(page, rules: rules).end == nil)
        #expect(WebSocketOutcome(WebSocketClient.request(), rules: rules).end == nil)
    }

    @Test func `a head cut at any byte is waited for, and 408 says that its time is over`() {
        let request = WebSocketClient.request()
        for length in 1..<request.count {
            let outcome = WebSocketOutcome(Array(request[..<length]))
            #expect(outcome == WebSocketOutcome([]))
        }
        var stream = WebSocketStream(WebSocketRules())
        var inbox = byteBuffer(Array(request[..<20]))
        #expect(stream.receive(&inbox) == nil)
        stream.close(.policyViolation)
        var answer: [UInt8] = []
        _ = stream.write([UInt8]().span) { span in
            answer += span.indices.map { span[$0] }
            return span.count
        }
        #expect(answer.starts(with: bytes("HTTP/1.1 408 ")))
    }

    @Test func `frames that come with the request are taken`() {
        let outcome = WebSocketOutcome(
            WebSocketClient.request() + WebSocketClient.frame(2, [1, 2, 3]))
        #expect(outcome.payload == [1, 2, 3])
        #expect(outcome.end == nil)
    }
}
