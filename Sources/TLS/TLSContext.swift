import COpenSSL
import Glibc
import IO

/// What all connections of one listener or one client share: keys, trust, versions, SSL_CTX_new(3).
///
/// Read once; a certificate that was renewed on disk needs a new context. Connections keep what they need
/// of it alive. libssl is initialised when the first context is made, and not before.
// SAFETY: Sendable, since nothing of it changes once it is made, and OpenSSL lets threads share a context
// that does not change.
@safe
public final class TLSContext: @unchecked Sendable {
    // SAFETY: one reference, taken in init and given back in deinit; OpenSSL counts those of connections.
    let pointer: OpaquePointer
    let isServer: Bool
    /// Every client must show a certificate.
    private(set) var asksForCertificate = false

    /// Forward secrecy and authenticated encryption only; TLS 1.3 has no others.
    private static let ciphers = "ECDHE+AESGCM:ECDHE+CHACHA20:DHE+AESGCM"

    /// A context for a listener.
    public convenience init(server: TLSServerConfiguration) throws(TLSError) {
        let keys = try server.preSharedKeyFile.map { path throws(TLSError) in
            try PreSharedKeys(path: path)
        }
        try self.init(
            isServer: true, minimumVersion: server.minimumVersion,
            ciphers: keys == nil ? Self.ciphers : Self.preSharedKeyCiphers)
        if let certificate = server.certificateFile {
            try use(certificateFile: certificate, keyFile: server.keyFile ?? certificate)
        }
        if let keys { use(keys) }
        // SAFETY: the context is ours; the callback keeps nothing.
        unsafe SSL_CTX_set_alpn_select_cb(pointer, chooseMQTT, nil)
        // Tickets make a second handshake cheap and keep nothing here; the cache would.
        _ = unsafe SSL_CTX_ctrl(
            pointer, SSL_CTRL_SET_SESS_CACHE_MODE, Int(SSL_SESS_CACHE_OFF), nil)
        let name = Array("fleet".utf8)
        _ = unsafe SSL_CTX_set_session_id_context(pointer, name, UInt32(name.count))
        // Who is asked for a certificate or key shows it each time: a ticket would bring back one that has
        // been revoked or has expired since.
        if keys != nil || server.clientCAFile != nil { forbidResumption() }
        guard let clientCA = server.clientCAFile else { return }
        try trust(clientCA)
        // Tells clients which of their certificates is wanted.
        unsafe SSL_CTX_set_client_CA_list(pointer, SSL_load_client_CA_file(clientCA))
        if let list = server.revocationListFile { try checkRevocation(list) }
        asksForCertificate = true
        unsafe SSL_CTX_set_verify(
            pointer, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nil)
    }

    /// A context for connections to servers, whose certificates it always verifies.
    public convenience init(client: TLSClientConfiguration) throws(TLSError) {
        try self.init(isServer: false, minimumVersion: client.minimumVersion)
        if let caFile = client.caFile {
            try trust(caFile)
        } else {
            trustSystem()
        }
        if let certificate = client.certificateFile {
            try use(certificateFile: certificate, keyFile: client.keyFile ?? certificate)
        }
        // SAFETY: the context is ours, and the protocol list is copied.
        unsafe SSL_CTX_set_verify(pointer, SSL_VERIFY_PEER, nil)
        if client.offersMQTT {
            _ = unsafe SSL_CTX_set_alpn_protos(pointer, mqttProtocol, UInt32(mqttProtocol.count))
        }
    }

    private init(
        isServer: Bool, minimumVersion: TLSVersion, ciphers: String = ciphers
    ) throws(TLSError) {
        guard OpenSSLLibrary.isAvailable else {
            throw TLSError(
                .other, reason: "libssl.so.3 is not on this machine", hint: "apt install libssl3")
        }
        _ = OpenSSLTexts.areLeftOut
        OpenSSLErrors.clear()
        // SAFETY: methods are static; the new context is owned here.
        guard
            let pointer = unsafe SSL_CTX_new(isServer ? TLS_server_method() : TLS_client_method())
        else {
            throw TLSError(.other, reason: OpenSSLErrors.take()?.text ?? "no memory")
        }
        unsafe self.pointer = pointer
        self.isServer = isServer
        let version = minimumVersion == .tls1_2 ? TLS1_2_VERSION : TLS1_3_VERSION
        // SAFETY: the context is ours; controls take numbers.
        _ = unsafe SSL_CTX_ctrl(pointer, SSL_CTRL_SET_MIN_PROTO_VERSION, Int(version), nil)
        // Partial writes and a buffer that may move between two attempts: ByteBuffer grows.
        let mode =
            SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER
            | SSL_MODE_RELEASE_BUFFERS
        _ = unsafe SSL_CTX_ctrl(pointer, SSL_CTRL_MODE, Int(mode), nil)
        _ = unsafe SSL_CTX_set_options(pointer, Self.options)
        guard unsafe SSL_CTX_set_cipher_list(pointer, ciphers) == 1 else {
            throw TLSError(.other, reason: OpenSSLErrors.take()?.text ?? "no ciphers")
        }
        // A key with a passphrase is an error here, and not a question on the terminal.
        unsafe SSL_CTX_set_default_passwd_cb(pointer) { _, _, _, _ in 0 }
    }

    deinit {
        // SAFETY: gives back the one reference that init took.
        unsafe SSL_CTX_free(pointer)
    }

    /// No renegotiation (a peer could make this side work for nothing), the server's order of ciphers,
    /// and an end without close_notify is an end: MQTT's packets say themselves where they end.
    private static let options: UInt64 =
        (1 << 30 /* SSL_OP_NO_RENEGOTIATION */) | (1 << 22 /* SSL_OP_CIPHER_SERVER_PREFERENCE */)
        | (1 << 7 /* SSL_OP_IGNORE_UNEXPECTED_EOF */) | (1 << 17 /* SSL_OP_NO_COMPRESSION */)

    private func forbidResumption() {
        // SAFETY: the context is ours. With this option TLS 1.3 has tickets without state no more, and the
        // cache that others would need is off.
        _ = unsafe SSL_CTX_set_options(pointer, 1 << 14 /* SSL_OP_NO_TICKET */)
        _ = unsafe SSL_CTX_set_num_tickets(pointer, 0)
    }

    private func use(certificateFile: String, keyFile: String) throws(TLSError) {
        try Self.requireReadable(certificateFile)
        try Self.requireReadable(keyFile)
        OpenSSLErrors.clear()
        // SAFETY: the context is ours, the paths are lent for the calls.
        guard unsafe SSL_CTX_use_certificate_chain_file(pointer, certificateFile) == 1 else {
            throw Self.fileError(
                certificateFile, "it must hold a certificate in PEM form (BEGIN CERTIFICATE)")
        }
        let read = unsafe SSL_CTX_use_PrivateKey_file(pointer, keyFile, SSL_FILETYPE_PEM)
        guard read == 1, unsafe SSL_CTX_check_private_key(pointer) == 1 else {
            throw Self.fileError(
                keyFile, "it must hold a private key in PEM form without a passphrase",
                certificateFile: certificateFile)
        }
    }

    private func trust(_ caFile: String) throws(TLSError) {
        try Self.requireReadable(caFile)
        OpenSSLErrors.clear()
        // SAFETY: the context is ours, the path is lent for the call.
        guard unsafe SSL_CTX_load_verify_file(pointer, caFile) == 1 else {
            throw Self.fileError(
                caFile, "it must hold CA certificates in PEM form (BEGIN CERTIFICATE)")
        }
    }

    /// Trusts the system's CAs, looked up one by one in the folder of hashed names: the file that holds
    /// all of them would cost 1.5 MB. `SSL_CERT_DIR` and `SSL_CERT_FILE` are respected.
    private func trustSystem() {
        let folder = Self.environment("SSL_CERT_DIR") ?? "/etc/ssl/certs"
        let isHashed = (try? Files.names(in: folder))?.contains { $0.hasSuffix(".0") } ?? false
        // SAFETY: the context is ours. A store that is missing shows at the first connection.
        if isHashed && Self.environment("SSL_CERT_FILE") == nil {
            _ = unsafe SSL_CTX_set_default_verify_dir(pointer)
        } else {
            _ = unsafe SSL_CTX_set_default_verify_paths(pointer)
        }
    }

    private static func environment(_ name: String) -> String? {
        // SAFETY: the text is copied at once, and nothing here changes the environment.
        unsafe getenv(name).map { text in unsafe String(cString: text) }
    }

    private func checkRevocation(_ listFile: String) throws(TLSError) {
        try Self.requireReadable(listFile)
        OpenSSLErrors.clear()
        // SAFETY: the store belongs to the context, the lookup to the store.
        let store = unsafe SSL_CTX_get_cert_store(pointer)
        let lookup = unsafe X509_STORE_add_lookup(store, X509_LOOKUP_file())
        guard unsafe X509_load_crl_file(lookup, listFile, X509_FILETYPE_PEM) > 0 else {
            throw Self.fileError(
                listFile, "it must hold revocation lists in PEM form (BEGIN X509 CRL)")
        }
        _ = unsafe X509_STORE_set_flags(store, UInt(X509_V_FLAG_CRL_CHECK))
    }

    private static func requireReadable(_ path: String) throws(TLSError) {
        do throws(IOError) {
            _ = try Files.read(path, limit: 1 << 20)
        } catch {
            throw TLSError(
                .file, subject: path, reason: "\(error)",
                hint: error.code == .permissionDenied
                    ? "let the service's user read it: chgrp, then chmod 640" : "")
        }
    }

    private static func fileError(
        _ path: String, _ hint: String, certificateFile: String = ""
    ) -> TLSError {
        let entry = OpenSSLErrors.take()
        if entry?.reason == X509_R_KEY_VALUES_MISMATCH || entry?.reason == X509_R_KEY_TYPE_MISMATCH
        {
            return TLSError(
                .keyMismatch, subject: path, reason: "the key is not that of \(certificateFile)",
                hint: "give the key that this certificate was made for")
        }
        return TLSError(.file, subject: path, reason: entry?.text ?? "unreadable", hint: hint)
    }
}

/// `mqtt` as a protocol list of ALPN: a length and the name (IANA's registry).
private let mqttProtocol: [UInt8] = [4] + Array("mqtt".utf8)

/// Answers `mqtt` when the client offers it; a client that offers only others goes on without ALPN.
private func chooseMQTT(
    _ ssl: OpaquePointer?, _ chosen: UnsafeMutablePointer<UnsafePointer<UInt8>?>?,
    _ chosenLength: UnsafeMutablePointer<UInt8>?, _ offered: UnsafePointer<UInt8>?,
    _ offeredLength: UInt32, _ argument: UnsafeMutableRawPointer?
) -> Int32 {
    // SAFETY: OpenSSL lends a well-formed list of `offeredLength` bytes; the answer points into it.
    let list = unsafe UnsafeBufferPointer(start: offered, count: Int(offeredLength))
    var offset = 0
    while offset < list.count {
        let length = unsafe Int(list[offset])
        let end = min(offset + 1 + length, list.count)
        if unsafe list[offset..<end].elementsEqual(mqttProtocol) {
            unsafe chosen?.pointee = unsafe offered.map { unsafe $0 + offset + 1 }
            unsafe chosenLength?.pointee = UInt8(length)
            return SSL_TLSEXT_ERR_OK
        }
        offset = end
    }
    return SSL_TLSEXT_ERR_NOACK
}
