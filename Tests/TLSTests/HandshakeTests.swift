import Glibc
import IO
import MQTT
import TLS
import Testing

@Suite struct HandshakeTests {
    @Test(arguments: ["localhost", "127.0.0.1", "::1"])
    func aServerIsVerifiedByNameAndByAddress(host: String) throws {
        let meeting = try Meeting(server: .test(), client: .test(), host: host)
        meeting.run()
        #expect(meeting.client.failure == nil)
        #expect(meeting.client.transport.tlsVersion == "TLSv1.3")
        meeting.client.send("hello")
        meeting.loop.run { meeting.server.input.text == "hello" }
        meeting.server.send("welcome")
        meeting.loop.run { meeting.client.input.text == "welcome" }
    }

    @Test func whatIsWrittenBeforeTheHandshakeArrivesAfterIt() throws {
        let meeting = try Meeting(server: .test(), client: .test())
        meeting.client.send("early")
        #expect(!meeting.client.isEstablished)
        meeting.loop.run { meeting.server.input.text == "early" }
    }

    @Test func alpnAgreesOnMQTTWhenTheClientOffersIt() throws {
        var client = TLSClientConfiguration.test()
        client.offersMQTT = true
        let meeting = try Meeting(server: .test(), client: client)
        meeting.run()
        #expect(meeting.client.transport.applicationProtocol == "mqtt")
        #expect(meeting.server.transport.applicationProtocol == "mqtt")
        let without = try Meeting(server: .test(), client: .test())
        without.run()
        #expect(without.client.transport.applicationProtocol == nil)
    }

    // MARK: Certificates that a client refuses

    @Test(arguments: [
        ("expired", "localhost", TLSError.Kind.certificateExpired),
        ("self", "localhost", .unknownAuthority),
        ("intruder", "client", .unknownAuthority),
        ("elsewhere", "localhost", .hostMismatch),
        ("server", "127.0.0.2", .hostMismatch),
        ("server", "localhost.example", .hostMismatch),
    ])
    func aClientRefusesAServer(name: String, host: String, kind: TLSError.Kind) throws {
        let meeting = try Meeting(server: .test(name), client: .test(), host: host)
        meeting.runUntilRefused()
        #expect(meeting.client.kind == kind, "\(String(describing: meeting.client.failure))")
        #expect(!meeting.client.isEstablished)
        #expect(meeting.server.isOver)
    }

    @Test func theSystemsTrustStoreDoesNotKnowOurCA() throws {
        let meeting = try Meeting(server: .test(), client: .test(ca: nil))
        meeting.runUntilRefused()
        #expect(meeting.client.kind == .unknownAuthority)
        #expect(meeting.client.failure?.description.contains("ca_file") == true)
    }

    // In a process of its own: the environment is the process's.
    @Test func theSystemsTrustStoreIsAFolderOfHashedNames() async {
        await #expect(processExitsWith: .exitCode(5)) {
            let folder = Certificates.shared.path("trusted")
            Certificates.shell(
                "mkdir -p \(folder) && cp \(Certificates.shared.path("ca.pem")) \(folder)/ "
                    + "&& openssl rehash \(folder)")
            // SAFETY: no other thread reads the environment now.
            unsafe setenv("SSL_CERT_DIR", folder, 1)
            let meeting = try Meeting(server: .test(), client: .test(ca: nil))
            meeting.run()
            exit(meeting.client.isEstablished ? 5 : 6)
        }
    }

    @Test func anEmptyHostIsNeverVerified() throws {
        let loop = try EventLoop()
        let (near, _) = try Meeting.connect(on: loop)
        let context = try TLSContext(client: .test())
        #expect(throws: TLSError.self) {
            guard let socket = near.take() else { return }
            _ = try Transport(client: socket, context: context, host: "")
        }
    }

    // MARK: Mutual TLS

    @Test func aClientWithACertificateOfTheClientCAIsLetInByItsName() throws {
        let meeting = try Meeting(
            server: .test(clientCA: "ca.pem"), client: .test(certificate: "client"))
        meeting.run()
        #expect(meeting.server.transport.peerCommonName == "barn-agent")
        #expect(meeting.client.transport.peerCommonName == "server")
    }

    @Test func aClientWithoutCertificateIsRefused() throws {
        let meeting = try Meeting(server: .test(clientCA: "ca.pem"), client: .test())
        meeting.runUntilRefused()
        #expect(meeting.server.kind == .noCertificate)
        #expect(meeting.client.kind == .refusedByPeer)
        #expect(meeting.client.failure?.description.contains("client_certificate") == true)
    }

    @Test(arguments: [
        ("intruder", TLSError.Kind.unknownAuthority), ("self", .unknownAuthority),
        ("expired", .certificateExpired),
    ])
    func aClientWithAnotherCertificateIsRefused(name: String, kind: TLSError.Kind) throws {
        let meeting = try Meeting(
            server: .test(clientCA: "ca.pem"), client: .test(certificate: name))
        meeting.runUntilRefused()
        #expect(meeting.server.kind == kind)
        #expect(meeting.client.kind == .refusedByPeer)
    }

    @Test func aRevokedClientCertificateIsRefused() throws {
        var server = TLSServerConfiguration.test(clientCA: "ca.pem")
        server.revocationListFile = Certificates.shared.path("empty.crl")
        let before = try Meeting(server: server, client: .test(certificate: "client"))
        before.run()
        #expect(before.server.transport.peerCommonName == "barn-agent")
        server.revocationListFile = Certificates.shared.path("revoked.crl")
        let after = try Meeting(server: server, client: .test(certificate: "client"))
        after.runUntilRefused()
        #expect(after.server.kind == .certificateRevoked)
    }

    // MARK: Peers that do something else

    @Test(arguments: [
        "\u{10}\u{0f}\u{00}\u{04}MQTT\u{04}\u{02}\u{00}\u{3c}\u{00}\u{03}abc",
        "GET / HTTP/1.1\r\n\r\n",
    ])
    func aPlainClientOnATLSPortIsToldApart(words: String) throws {
        let loop = try EventLoop()
        let (near, far) = try Meeting.connect(on: loop)
        guard let socket = far.take(), let plain = near.take() else { return }
        let server = try Peer(
            loop, Transport(server: socket, context: TLSContext(server: .test())))
        _ = try plain.write(Array(words.utf8).span)
        loop.run { server.isOver }
        #expect(server.kind == .notTLS)
        #expect(server.failure?.description.contains("mqtts://") == true)
    }

    @Test func aTLSClientOnAPlainPortIsToldSo() throws {
        let loop = try EventLoop()
        let (near, far) = try Meeting.connect(on: loop)
        guard let socket = near.take(), let plain = far.take() else { return }
        let client = try Peer(
            loop,
            Transport(client: socket, context: TLSContext(client: .test()), host: "localhost"),
            begins: true)
        _ = try plain.write([0x20, 0x02, 0x00, 0x00, 0x00, 0x00].span)
        loop.run { client.isOver }
        #expect(client.kind == .notTLS)
    }

    @Test func aPeerThatClosesInTheHandshakeIsNoOrderlyEnd() throws {
        let loop = try EventLoop()
        let (near, far) = try Meeting.connect(on: loop)
        guard let socket = far.take() else { return }
        let server = try Peer(
            loop, Transport(server: socket, context: TLSContext(server: .test())))
        near.take()?.shutDownWriting()
        loop.run { server.isOver }
        #expect(server.kind == .closedInHandshake)
    }

    @Test func aHandshakeThatStallsCausesNoWorkAndIsNotEstablished() throws {
        let loop = try EventLoop()
        let (near, far) = try Meeting.connect(on: loop)
        guard let socket = far.take(), let stalling = near.take() else { return }
        let server = try Peer(
            loop, Transport(server: socket, context: TLSContext(server: .test())))
        server.send("nobody listens yet")
        // The head of a TLS record that promises 512 bytes, and nothing more.
        _ = try stalling.write([22, 3, 1, 2, 0].span)
        loop.run { server.eventCount == 1 }
        for _ in 0..<10 { loop.turn(waitingAtMost: .milliseconds(5)) }
        #expect(server.eventCount == 1, "a stalled peer makes the loop spin")
        #expect(!server.isEstablished)
        #expect(!server.isOver)
    }
}
