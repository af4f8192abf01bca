import COpenSSL
import Glibc
import IO
import MQTT

/// TLS on one non-blocking socket, SSL_new(3).
///
/// On the socket itself and not on memory buffers: an idle connection then has no buffer of its own
/// (`SSL_MODE_RELEASE_BUFFERS`). WANT_READ and WANT_WRITE are no errors.
@safe
struct TLSConnection: ~Copyable {
    /// What the last call waits for.
    enum Want {
        case nothing, readable, writable
    }

    /// A record's largest payload (RFC 8446, 5.1).
    static let maximumRecord = 16_384

    // SAFETY: made in init, freed in deinit, used by one thread at a time.
    private let ssl: OpaquePointer

    /// `descriptor` must stay open as long as this value lives. A client (`host` given) verifies that `host`
    /// stands in the server's certificate, and sends it as SNI unless it is an address.
    static func open(
        _ context: TLSContext, descriptor: Int32, host: String?
    ) throws(TLSError) -> TLSConnection {
        OpenSSLErrors.clear()
        // SAFETY: the context is alive; the connection takes its own reference to it.
        guard let new = unsafe SSL_new(context.pointer) else {
            throw TLSError(.other, reason: OpenSSLErrors.take()?.text ?? "no memory")
        }
        let connection = unsafe TLSConnection(takingOwnership: new)
        // SAFETY: the connection is ours; OpenSSL does not close the descriptor (BIO_NOCLOSE). It fails
        // for want of memory only, and then the handshake reports that there is no socket.
        _ = unsafe SSL_set_fd(new, descriptor)
        if let host {
            unsafe SSL_set_connect_state(new)
            try connection.expect(host)
        } else {
            unsafe SSL_set_accept_state(new)
        }
        return connection
    }

    private init(takingOwnership ssl: OpaquePointer) {
        unsafe self.ssl = ssl
    }

    private var isServer: Bool {
        // SAFETY: the connection is ours.
        unsafe SSL_is_server(ssl) == 1
    }

    deinit {
        // SAFETY: made in init, and nobody else has it.
        unsafe SSL_free(ssl)
    }

    private func expect(_ host: String) throws(TLSError) {
        var done: Int32
        if SocketAddress(numericHost: host, port: 0) != nil {
            // SAFETY: the parameters belong to the connection; the text is copied.
            done = unsafe X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), host)
        } else {
            // SAFETY: the connection is ours; texts are copied. The control is SSL_set_tlsext_host_name.
            unsafe SSL_set_hostflags(ssl, UInt32(X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS))
            done = unsafe SSL_set1_host(ssl, host)
            var name = Array(host.utf8CString)
            let named = unsafe SSL_ctrl(
                ssl, SSL_CTRL_SET_TLSEXT_HOSTNAME, Int(TLSEXT_NAMETYPE_host_name), &name)
            done = min(done, Int32(named))
        }
        guard done == 1, !host.isEmpty else {
            throw TLSError(
                .hostMismatch, subject: host, reason: "this is no host name to verify",
                hint: "connect by the name that stands in the server's certificate")
        }
    }

    /// Lends the connection to `body`.
    func withPointer<Value>(_ body: (OpaquePointer) -> Value) -> Value { unsafe body(ssl) }

    /// Whether both sides have finished the handshake.
    var isEstablished: Bool {
        // SAFETY: the connection is ours.
        unsafe SSL_is_init_finished(ssl) == 1
    }

    /// Goes on with the handshake: what it waits for, `.nothing` when it is done.
    mutating func handshake() throws(TransportError) -> Want {
        OpenSSLErrors.clear()
        // SAFETY: the connection is ours.
        let result = unsafe SSL_do_handshake(ssl)
        if result == 1 { return .nothing }
        switch try outcome(result) {
        case .want(let want): return want
        case .closed: throw .tls(closedInHandshake())
        }
    }

    /// What a read came to.
    struct ReadResult {
        var progress: StreamProgress
        var want = Want.nothing
        /// The peer's goodbye came behind these bytes; no event will tell of it.
        var hasEnded = false
    }

    /// Reads plain bytes into `buffer`. No decrypted byte is left inside.
    ///
    /// May bring more than `count` bytes: a record that has been decrypted is read to its end, since no
    /// event would tell of its rest.
    mutating func read(
        into buffer: inout ByteBuffer, atMost count: Int
    ) throws(TransportError) -> ReadResult {
        var total = 0
        repeat {
            OpenSSLErrors.clear()
            // SAFETY: SSL_pending looks at the connection, which is ours.
            let room = unsafe max(count - total, Int(SSL_pending(ssl)))
            var result: Int32 = 0
            unsafe buffer.appendFromFill(atLeast: room) { target in
                // SAFETY: SSL_read writes at most `room` bytes, which `target` has.
                result = unsafe SSL_read(ssl, target.baseAddress, Int32(clamping: room))
                return max(0, Int(result))
            }
            if result <= 0 {
                switch try outcome(result) {
                case .want(let want):
                    return ReadResult(
                        progress: total > 0 ? .bytes(total) : .wouldBlock, want: want)
                case .closed:
                    return ReadResult(
                        progress: total > 0 ? .bytes(total) : .closed, hasEnded: true)
                }
            }
            total += Int(result)
            // SAFETY: as above.
        } while unsafe total < count || SSL_pending(ssl) > 0
        return ReadResult(progress: .bytes(total))
    }

    /// Encrypts and sends what `bytes` holds: how much of it, and what the rest waits for.
    mutating func write(
        _ bytes: Span<UInt8>
    ) throws(TransportError) -> (written: Int, want: Want) {
        var written = 0
        while written < bytes.count {
            OpenSSLErrors.clear()
            let rest = bytes.extracting(written...)
            // SAFETY: the bytes are lent for the call. After WANT_WRITE the same bytes come again, at
            // another address perhaps, which SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER allows.
            let result = unsafe rest.withUnsafeBufferPointer {
                unsafe SSL_write(ssl, $0.baseAddress, Int32(clamping: $0.count))
            }
            if result <= 0 {
                switch try outcome(result) {
                case .want(let want): return (written, want)
                case .closed: throw .tls(TLSError(.other, reason: "the connection has ended"))
                }
            }
            written += Int(result)
        }
        return (written, .nothing)
    }

    /// Says goodbye, close_notify (RFC 8446, 6.1); does not wait for the peer's.
    mutating func shutDown() {
        guard isEstablished else { return }
        OpenSSLErrors.clear()
        // SAFETY: the connection is ours. A full socket drops the goodbye, and the peer reads an end.
        _ = unsafe SSL_shutdown(ssl)
        OpenSSLErrors.clear()
    }

    private enum Outcome {
        case want(Want), closed
    }

    /// What a result below one means, SSL_get_error(3).
    private func outcome(_ result: Int32) throws(TransportError) -> Outcome {
        let number = errno
        // SAFETY: the connection is ours, and no other OpenSSL call came in between.
        let code = unsafe SSL_get_error(ssl, result)
        switch code {
        case SSL_ERROR_WANT_READ: return .want(.readable)
        case SSL_ERROR_WANT_WRITE: return .want(.writable)
        case SSL_ERROR_ZERO_RETURN:
            guard isEstablished else { throw .tls(closedInHandshake()) }
            return .closed
        case SSL_ERROR_SYSCALL:
            if number != 0 { throw .io(IOError("read or write", ErrorNumber(rawValue: number))) }
            guard isEstablished else { throw .tls(closedInHandshake()) }
            return .closed
        default:
            // SAFETY: the connection is ours.
            let verified = unsafe SSL_get_verify_result(ssl)
            if let shown = unsafe Self.preSharedKeyIdentity(of: ssl), !isEstablished {
                let entry = OpenSSLErrors.take()
                throw .tls(.preSharedKey(shown.identity, isKnown: shown.isKnown, entry))
            }
            throw .tls(
                .captured(
                    from: OpenSSLErrors.take(), verifyResult: verified, peer: "",
                    isServer: isServer))
        }
    }

    private func closedInHandshake() -> TLSError {
        TLSError(
            .closedInHandshake, reason: "the peer closed the connection during the handshake",
            hint: isServer ? "" : "does the server speak TLS on this port?")
    }

    // MARK: What was agreed

    /// `TLSv1.3`.
    var version: String {
        // SAFETY: OpenSSL's texts are static.
        unsafe SSL_get_version(ssl).map { unsafe String(cString: $0) } ?? ""
    }

    /// The protocol that ALPN agreed on; `nil` for none.
    var applicationProtocol: String? {
        var name: UnsafePointer<UInt8>?
        var length: UInt32 = 0
        // SAFETY: the name is the connection's and is copied at once.
        unsafe SSL_get0_alpn_selected(ssl, &name, &length)
        guard let name = unsafe name, length > 0 else { return nil }
        return unsafe String(
            decoding: UnsafeBufferPointer(start: name, count: Int(length)), as: UTF8.self)
    }

    /// Who the peer is, by what `kind` says; `nil` when it showed nothing of the kind, or several.
    func peerIdentity(_ kind: TLSIdentity) -> String? {
        guard kind != .preSharedKey else {
            // SAFETY: the connection is ours.
            guard let shown = unsafe Self.preSharedKeyIdentity(of: ssl), shown.isKnown else {
                return nil
            }
            return String(decoding: shown.identity, as: UTF8.self)
        }
        // SAFETY: the certificate is a new reference, given back below.
        guard let certificate = unsafe SSL_get1_peer_certificate(ssl) else { return nil }
        defer { unsafe X509_free(certificate) }
        return unsafe PeerIdentity.read(kind, of: certificate)
    }
}
