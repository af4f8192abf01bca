import COpenSSL

/// OpenSSL's error queue, one for each thread, err(7).
enum OpenSSLErrors {
    /// One entry of the queue.
    struct Entry {
        var code: UInt
        var reason: Int32 { ERR_GET_REASON(code) }

        /// `certificate verify failed`, without OpenSSL's function and file names.
        var text: String {
            _ = OpenSSLTexts.areLoaded
            // SAFETY: OpenSSL's texts are static.
            guard let text = unsafe ERR_reason_error_string(code) else { return "error \(code)" }
            return unsafe String(cString: text)
        }
    }

    /// Forgets what earlier calls left, so that the next call's errors are its own.
    static func clear() {
        // SAFETY: touches this thread's queue only, as the calls below.
        unsafe ERR_clear_error()
    }

    /// The first error since `clear`, which is the cause of those that follow; empties the queue.
    static func take() -> Entry? {
        let code = unsafe ERR_get_error()
        unsafe ERR_clear_error()
        return code == 0 ? nil : Entry(code: code)
    }
}

extension TLSError {
    /// The error of a handshake, read or write on `ssl` that OpenSSL called fatal.
    static func captured(
        from entry: OpenSSLErrors.Entry?, verifyResult: Int, peer: String, isServer: Bool
    ) -> TLSError {
        guard let entry else {
            return TLSError(
                .closedInHandshake, subject: peer, reason: "the peer closed the connection")
        }
        if verifyResult != Int(X509_V_OK) && entry.reason == SSL_R_CERTIFICATE_VERIFY_FAILED {
            return certificateRefused(verifyResult, peer: peer, isServer: isServer)
        }
        let (kind, hint) = explain(entry.reason, isServer: isServer)
        return TLSError(kind, subject: peer, reason: entry.text, hint: hint)
    }

    /// The handshake failed after a client had named itself for a pre-shared key.
    static func preSharedKey(
        _ identity: [UInt8], isKnown: Bool, _ entry: OpenSSLErrors.Entry?
    ) -> TLSError {
        let name = String(decoding: identity, as: UTF8.self)
        return isKnown
            ? TLSError(
                .wrongKey, subject: name, reason: entry?.text ?? "the peer closed the connection",
                hint: "the client's key is not that of the psk_file, or no cipher suits both")
            : TLSError(
                .wrongKey, subject: name, reason: "there is no pre-shared key for this identity",
                hint: "give it one in the psk_file")
    }

    private static func certificateRefused(
        _ result: Int, peer: String, isServer: Bool
    ) -> TLSError {
        // SAFETY: OpenSSL's texts are static.
        let text = unsafe X509_verify_cert_error_string(result).map {
            unsafe String(cString: $0)
        }
        let (kind, hint): (Kind, String) =
            switch Int32(result) {
            case X509_V_ERR_CERT_HAS_EXPIRED:
                (.certificateExpired, "renew the peer's certificate, and look at both clocks")
            case X509_V_ERR_CERT_NOT_YET_VALID:
                (.certificateNotYetValid, "is this machine's clock set? timedatectl shows it")
            case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT, X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN,
                X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT,
                X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY,
                X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE, X509_V_ERR_CERT_UNTRUSTED:
                (
                    .unknownAuthority,
                    isServer
                        ? "it must be signed by a CA in the listener's client_ca file"
                        : "name the file with the CA that signed it (ca_file), or have the server "
                            + "send its whole chain"
                )
            case X509_V_ERR_HOSTNAME_MISMATCH, X509_V_ERR_IP_ADDRESS_MISMATCH:
                (.hostMismatch, "use a host name that stands in the server's certificate")
            case X509_V_ERR_CERT_REVOKED:
                (.certificateRevoked, "give the peer a new certificate")
            case X509_V_ERR_CRL_HAS_EXPIRED:
                (.certificateRefused, "the client_crl file is out of date: renew it, then reload")
            case X509_V_ERR_CRL_NOT_YET_VALID:
                (.certificateRefused, "is this machine's clock set? timedatectl shows it")
            case X509_V_ERR_UNABLE_TO_GET_CRL:
                (
                    .certificateRefused,
                    "the client_crl file has no list of the CA that signed this certificate"
                )
            default: (.certificateRefused, "")
            }
        return TLSError(
            kind, subject: peer, reason: "certificate refused: \(text ?? "unknown reason")",
            hint: hint)
    }

    private static func explain(_ reason: Int32, isServer: Bool) -> (Kind, String) {
        switch reason {
        case SSL_R_WRONG_VERSION_NUMBER, SSL_R_HTTP_REQUEST, SSL_R_PACKET_LENGTH_TOO_LONG,
            SSL_R_HTTPS_PROXY_REQUEST, SSL_R_BAD_PROTOCOL_VERSION_NUMBER:
            (
                .notTLS,
                isServer
                    ? "the peer speaks plain MQTT or HTTP to a TLS port; use mqtts:// there"
                    : "the server does not speak TLS on this port; TLS is mostly on 8883"
            )
        case SSL_R_NO_SHARED_CIPHER, SSL_R_UNSUPPORTED_PROTOCOL, SSL_R_VERSION_TOO_LOW,
            SSL_R_NO_SUITABLE_SIGNATURE_ALGORITHM, SSL_R_TLSV1_ALERT_PROTOCOL_VERSION,
            SSL_R_SSLV3_ALERT_HANDSHAKE_FAILURE, SSL_R_TLSV1_ALERT_INSUFFICIENT_SECURITY:
            (.nothingInCommon, "both sides need TLS 1.2 or 1.3 with a modern cipher")
        case SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE:
            (.noCertificate, "this listener wants a client certificate")
        case SSL_R_TLSV13_ALERT_CERTIFICATE_REQUIRED:
            (
                .refusedByPeer,
                "the server wants a client certificate; set client_certificate and client_key"
            )
        case SSL_R_TLSV1_ALERT_UNKNOWN_CA, SSL_R_SSLV3_ALERT_BAD_CERTIFICATE,
            SSL_R_SSLV3_ALERT_UNSUPPORTED_CERTIFICATE, SSL_R_SSLV3_ALERT_CERTIFICATE_UNKNOWN:
            (.refusedByPeer, "the peer does not trust the CA that signed this side's certificate")
        case SSL_R_SSLV3_ALERT_CERTIFICATE_EXPIRED:
            (.refusedByPeer, "renew this side's certificate, and look at both clocks")
        case SSL_R_SSLV3_ALERT_CERTIFICATE_REVOKED:
            (.refusedByPeer, "this side's certificate has been revoked; get a new one")
        case SSL_R_UNEXPECTED_EOF_WHILE_READING:
            (.closedInHandshake, "")
        default: (.other, "")
        }
    }
}
