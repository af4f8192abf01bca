import IO
import Testing

@Suite struct SocketAddressTests {
    @Test(arguments: [
        "127.0.0.1:1883", "0.0.0.0:0", "255.255.255.255:65535", "[::1]:1883", "[::]:1",
        "[2001:db8::12:0]:8883", "/run/fleet/broker.sock",
    ])
    func addressesRoundTripAsText(text: String) throws {
        #expect(try #require(SocketAddress(text)).description == text)
    }

    @Test(arguments: [
        "", "127.0.0.1", "127.0.0.1:", ":1883", "127.0.0.1:65536", "127.0.0.1:-1", "1:1883",
        "127.1:1883", "::1:1883", "[127.0.0.1]:1883", "[::1]", "localhost:1883", "[::1:1883",
        "256.0.0.1:1", "127.0.0.1 :1",
    ])
    func whatIsNoAddressIsRefused(text: String) {
        #expect(SocketAddress(text) == nil)
    }

    @Test func aPathThatTheKernelCannotHoldIsRefused() {
        let longest = "/" + String(repeating: "x", count: SocketAddress.maximumPathLength - 1)
        #expect(SocketAddress(longest) != nil)
        #expect(SocketAddress(longest + "x") == nil)
    }

    @Test func loopbackIsRecognisedInEveryForm() throws {
        for text in ["127.0.0.1:1", "127.255.3.4:1", "[::1]:1", "[::ffff:127.0.0.1]:1", "/x"] {
            #expect(try #require(SocketAddress(text)).isLoopback, "\(text)")
        }
        for text in ["128.0.0.1:1", "10.0.0.1:1", "[::2]:1", "[::ffff:10.0.0.1]:1", "[fe80::1]:1"] {
            #expect(try !#require(SocketAddress(text)).isLoopback, "\(text)")
        }
    }
}
