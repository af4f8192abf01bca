import Client
import Testing

@Suite("A broker's URL")
struct BrokerURLTests {
    @Test(
        "Scheme, user, host and port; ports by the scheme",
        arguments: [
            ("mqtt://host", BrokerURL(host: "host", port: 1883, usesTLS: false)),
            ("mqtts://host", BrokerURL(host: "host", port: 8883, usesTLS: true)),
            ("MQTTS://host:443/", BrokerURL(host: "host", port: 443, usesTLS: true)),
            ("mqtt://[::1]", BrokerURL(host: "::1", port: 1883, usesTLS: false)),
            ("mqtt://[fe80::1]:99", BrokerURL(host: "fe80::1", port: 99, usesTLS: false)),
            ("mqtts://me@h:1", BrokerURL(host: "h", port: 1, usesTLS: true, user: "me")),
            ("mqtts://a%40b.c@h", BrokerURL(host: "h", usesTLS: true, user: "a@b.c")),
        ])
    func valid(text: String, url: BrokerURL) throws {
        let parsed = try BrokerURL(text)
        #expect(parsed == url)
        let again = try BrokerURL(parsed.description)
        #expect(again == url)
    }

    @Test(
        "What is wrong is said, with what to write instead",
        arguments: [
            ("host", "mqtt://"), ("http://host", "mqtt://"), ("ssl://host", "mqtts://"),
            ("mqtt://", "mqtt://HOST"), ("mqtt://:1883", "mqtt://HOST"),
            ("mqtt://host:0", "1 to 65535"), ("mqtt://host:65536", "1 to 65535"),
            ("mqtt://host:", "1 to 65535"), ("mqtt://host:+5", "1 to 65535"),
            ("mqtt://::1:1883", "mqtt://[::1:1883]"), ("mqtt://[::1", "[::1]"),
            ("mqtt://[::1]x", "[::1]:1883"), ("mqtt://host/path", "only"),
            ("mqtt://@host", "%40"), ("mqtt://a%zz@host", "%40"),
        ])
    func invalid(text: String, hint: String) {
        let error = #expect(throws: BrokerURLError.self) { try BrokerURL(text) }
        #expect(error?.hint.contains(hint) == true)
    }

    @Test("A password is refused, says what to do, and is not repeated")
    func password() {
        let error = #expect(throws: BrokerURLError.self) {
            try BrokerURL("mqtts://me:s3cret@host")
        }
        #expect(error?.hint.contains("password_file") == true)
        #expect(error?.description.contains("s3cret") == false)
    }
}
