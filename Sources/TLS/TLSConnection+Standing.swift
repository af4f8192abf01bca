import COpenSSL

/// Whether a peer that is connected would be let in again by what it showed.
public enum PeerStanding: Hashable, Sendable {
    case good
    /// Its CA has taken the certificate back.
    case certificateRevoked
    /// The certificate's CA is not trusted any more.
    case certificateUntrusted
    /// There is no key for its identity any more.
    case keyRemoved
    /// There is another key for its identity.
    case keyChanged
}

extension TLSConnection {
    /// What another context than that of its handshake, which has been read since, says of the peer.
    ///
    /// Times do not count: who is connected stays when a certificate or a revocation list expires.
    func standing(under context: TLSContext) -> PeerStanding {
        // SAFETY: the connection is ours, and holds on to the context of its handshake.
        unsafe withPointer { ssl in
            guard let own = unsafe SSL_get_SSL_CTX(ssl), unsafe own != context.pointer else {
                return .good
            }
            if let shown = unsafe Self.preSharedKeyIdentity(of: ssl), shown.isKnown {
                let key = unsafe TLSContext.preSharedKey(of: shown.identity, in: context.pointer)
                guard let key else { return .keyRemoved }
                let known = unsafe TLSContext.preSharedKey(of: shown.identity, in: own)
                return key == known ? .good : .keyChanged
            }
            return context.asksForCertificate ? unsafe verify(ssl, context) : .good
        }
    }

    /// Verifies the peer's certificate again, X509_verify_cert(3).
    private func verify(_ ssl: OpaquePointer, _ context: TLSContext) -> PeerStanding {
        // SAFETY: the certificate and the store's context are ours until they are given back below; the chain
        // and the store belong to what the caller holds.
        guard let certificate = unsafe SSL_get1_peer_certificate(ssl) else { return .good }
        defer { unsafe X509_free(certificate) }
        guard let check = unsafe X509_STORE_CTX_new() else { return .good }
        defer { unsafe X509_STORE_CTX_free(check) }
        OpenSSLErrors.clear()
        defer { OpenSSLErrors.clear() }
        let store = unsafe SSL_CTX_get_cert_store(context.pointer)
        let chain = unsafe SSL_get_peer_cert_chain(ssl)
        guard unsafe X509_STORE_CTX_init(check, store, certificate, chain) == 1 else {
            return .good
        }
        _ = unsafe X509_STORE_CTX_set_default(check, "ssl_client")
        unsafe X509_STORE_CTX_set_flags(check, UInt(X509_V_FLAG_NO_CHECK_TIME))
        guard unsafe X509_verify_cert(check) != 1 else { return .good }
        switch unsafe X509_STORE_CTX_get_error(check) {
        case X509_V_ERR_CERT_REVOKED: return .certificateRevoked
        // A list that is missing keeps others out, and nobody who is in.
        case X509_V_ERR_UNABLE_TO_GET_CRL, X509_V_ERR_OUT_OF_MEM: return .good
        default: return .certificateUntrusted
        }
    }
}

extension Transport {
    /// Whether the peer would be let in again under `context`; a plain one always is.
    public func standing(under context: TLSContext) -> PeerStanding {
        switch tls {
        case .some(let tls): tls.standing(under: context)
        case .none: .good
        }
    }
}
