import Client
import Foundation
import IO
import MQTT
import TLS
import Testing

@Suite("Client with TLS against Debian's Mosquitto", .serialized)
struct ClientTLSTests {
    /// A CA, a stranger's CA, and a server certificate for `localhost` and one for another name.
    private func makeFiles() throws -> URL {
        let folder = FileManager.default.temporaryDirectory
            .appendingPathComponent("fleet-client-tls-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        let key = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes"
        for name in ["ca", "stranger"] {
            try Mosquitto.run(
                "openssl req -x509 \(key) -days 2 -subj /CN=\(name) -keyout \(name).key "
                    + "-out \(name).pem", in: folder)
        }
        let hosts = [("here", "DNS:localhost,IP:127.0.0.1"), ("elsewhere", "DNS:other.example")]
        for (name, host) in hosts {
            try Mosquitto.run(
                "openssl req \(key) -subj /CN=\(name) -keyout \(name).key -out \(name).csr && "
                    + "printf 'subjectAltName=\(host)' > \(name).ext && "
                    + "openssl x509 -req -in \(name).csr -CA ca.pem -CAkey ca.key -CAcreateserial "
                    + "-days 2 -extfile \(name).ext -out \(name).pem", in: folder)
        }
        return folder
    }

    private func lines(_ folder: URL, _ name: String) -> [String] {
        let path = folder.path
        return [
            "allow_anonymous true", "cafile \(path)/ca.pem", "certfile \(path)/\(name).pem",
            "keyfile \(path)/\(name).key",
        ]
    }

    @Test("A trusted certificate of the right host connects; wrong ones say what is wrong")
    func certificates() throws {
        let folder = try makeFiles()
        defer { try? FileManager.default.removeItem(at: folder) }
        let here = try Mosquitto(lines(folder, "here"))
        let elsewhere = try Mosquitto(lines(folder, "elsewhere"))
        let loop = try EventLoop()
        func client(_ port: UInt16, ca: String) throws -> ClientUnderTest {
            try ClientUnderTest("mqtts://127.0.0.1:\(port)", loop: loop) {
                $0.tls.caFile = folder.appendingPathComponent(ca).path
            }
        }
        let good = try client(here.port, ca: "ca.pem")
        good.client?.subscribe([SubscriptionRequestItem("t", qos: .atLeastOnce)])
        let large = String(repeating: "0123456789abcdef", count: 20_000)
        good.publish("t", large, qos: .atLeastOnce)
        try loop.wait(for: "a large message there and back") { good.texts == [large] }

        let untrusting = try client(here.port, ca: "stranger.pem")
        try loop.wait(for: "the refusal") { untrusting.failures.count >= 2 }
        #expect(untrusting.failures[0].kind == .certificateUntrusted)

        let misled = try client(elsewhere.port, ca: "ca.pem")
        try loop.wait(for: "the mismatch") { misled.failures.count >= 2 }
        #expect(misled.failures[0].kind == .hostNameMismatch)

        let missing = try client(here.port, ca: "missing.pem")
        try loop.wait(for: "the missing file") { !missing.failures.isEmpty }
        #expect(missing.failures[0].kind == .tls)
        #expect("\(missing.failures[0])".contains("missing.pem"))
        for failed in [untrusting, misled, missing] { #expect(failed.connections.isEmpty) }
    }
}
