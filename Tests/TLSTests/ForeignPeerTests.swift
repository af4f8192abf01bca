import IO
import MQTT
import TLS
import Testing

/// `openssl s_client` and `openssl s_server` at the other end: peers that nobody here wrote.
@Suite struct ForeignPeerTests {
    @Test(arguments: [("-tls1_2", "TLSv1.2"), ("-tls1_3", "TLSv1.3")])
    func sClientTalksToOurServer(flag: String, version: String) throws {
        let host = try Host(.test())
        let output = try host.serve(
            "(echo hello; sleep 1) | openssl s_client -connect \(host.address) -CAfile ca.pem "
                + "-verify_return_error -servername localhost -verify_hostname localhost \(flag)")
        #expect(host.server?.input.text == "hello\n")
        #expect(host.server?.transport.tlsVersion == version)
        #expect(output.contains("Verification: OK"))
        #expect(host.server?.isClosed == true)
    }

    @Test func sClientWithACertificateIsKnownByItsName() throws {
        let host = try Host(.test(clientCA: "ca.pem"))
        _ = try host.serve(
            "(echo hello; sleep 1) | openssl s_client -connect \(host.address) "
                + "-cert client.pem -key client.key")
        #expect(host.server?.transport.peerCommonName == "barn-agent")
    }

    @Test func aServerThatWants1_3RefusesA1_2Client() throws {
        var configuration = TLSServerConfiguration.test()
        configuration.minimumVersion = .tls1_3
        let host = try Host(configuration)
        let output = try host.serve("openssl s_client -connect \(host.address) -tls1_2")
        #expect(host.server?.kind == .nothingInCommon)
        #expect(output.contains("protocol version"))
    }

    @Test func aClientThatAsksToRenegotiateIsNotServed() throws {
        let host = try Host(.test())
        let output = try host.serve(
            "(sleep 1; echo R; sleep 2) | openssl s_client -connect \(host.address) -tls1_2")
        #expect(output.contains("no renegotiation") || output.contains("no_renegotiation"))
    }

    @Test func aClientOf1_1IsRefused() throws {
        let host = try Host(.test())
        _ = try host.serve(
            "openssl s_client -connect \(host.address) -tls1_1 -cipher 'ALL:@SECLEVEL=0'")
        #expect(host.server?.kind == .nothingInCommon)
    }

    @Test(arguments: ["-tls1_2", "-tls1_3"])
    func ourClientTalksToSServer(flag: String) throws {
        let files = Certificates.shared
        let loop = try EventLoop()
        let thread = BlockingThread(loop: loop, name: "s_server")
        let output = files.path("s_server\(flag).out")
        var isOver = false
        try thread.submit {
            Certificates.shell(
                "cd \(files.folder) && timeout 30 openssl s_server -accept 127.0.0.1:0 -naccept 1 "
                    + "-cert server.pem -key server.key -rev \(flag) > \(output) 2>&1")
        } completion: { _ in
            isOver = true
        }
        var address: SocketAddress?
        loop.run {
            address = Self.acceptAddress(in: output)
            return address != nil
        }
        let pending = try FileDescriptor.connecting(to: try #require(address))
        let client = try Peer(
            loop,
            Transport(
                client: pending.takeSocket(), context: TLSContext(client: .test()),
                host: "localhost"))
        // s_server reverses lines.
        client.send("stressed\n")
        loop.run { client.input.text == "desserts\n" || client.isOver }
        #expect(client.input.text == "desserts\n")
        client.transport.shutDown()
        loop.run { isOver }
        client.stop()
    }

    private static func acceptAddress(in output: String) -> SocketAddress? {
        guard let bytes = try? Files.read(output, limit: 1 << 16) else { return nil }
        let lines = String(decoding: bytes, as: UTF8.self).split(separator: "\n")
        guard let line = lines.first(where: { $0.hasPrefix("ACCEPT 127.0.0.1:") }) else {
            return nil
        }
        return SocketAddress(String(line.dropFirst("ACCEPT ".count)))
    }
}

/// A listener whose one connection is a `Peer`, while a command runs against it.
private final class Host {
    let loop: EventLoop
    let listener: Listener
    let context: TLSContext
    private(set) var server: Peer?

    var address: String { "\(listener.address)" }

    init(_ configuration: TLSServerConfiguration) throws {
        loop = try EventLoop()
        context = try TLSContext(server: configuration)
        listener = try Listener(.loopbackIPv4(port: 0))
        try listener.start(on: loop) { [unowned self] connection, _ in
            do {
                server = try Peer(
                    loop, Transport(server: connection, context: context))
            } catch {
                Issue.record(error)
            }
        }
    }

    /// What `command` printed, run in the folder of the certificates, while this listener serves.
    func serve(_ command: String) throws -> String {
        let files = Certificates.shared
        let output = files.path("peer-\(listener.address.port ?? 0).out")
        let thread = BlockingThread(loop: loop, name: "peer")
        var isOver = false
        try thread.submit {
            Certificates.shell(
                "cd \(files.folder) && { timeout 30 sh -c \"\(command)\"; } > \(output) 2>&1")
        } completion: { _ in
            isOver = true
        }
        loop.run { isOver && server?.isOver ?? false }
        return String(decoding: try Files.read(output, limit: 1 << 20), as: UTF8.self)
    }
}
