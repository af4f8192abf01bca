/// The lowest version of TLS that is accepted; 1.3 is always offered.
public enum TLSVersion: Hashable, Sendable {
    case tls1_2, tls1_3
}

/// What a TLS listener needs. Paths of PEM files.
public struct TLSServerConfiguration: Hashable, Sendable {
    /// The server's certificate, then those of the CAs between it and the root; `nil` only with
    /// pre-shared keys, which take its place.
    public var certificateFile: String?
    /// Its private key, without a passphrase.
    public var keyFile: String?
    /// CAs whose clients are let in: with it, every client must show a certificate.
    public var clientCAFile: String?
    /// Certificates that these CAs have taken back.
    public var revocationListFile: String?
    /// Identities and keys that both sides know already; no certificate is shown then.
    public var preSharedKeyFile: String?
    /// What says who the client is, if anything does.
    public var identity: TLSIdentity?
    public var minimumVersion = TLSVersion.tls1_2

    public init(certificateFile: String, keyFile: String, clientCAFile: String? = nil) {
        self.certificateFile = certificateFile
        self.keyFile = keyFile
        self.clientCAFile = clientCAFile
    }

    /// A listener for clients that have one of the keys in this file.
    public init(preSharedKeyFile: String) {
        self.preSharedKeyFile = preSharedKeyFile
        identity = .preSharedKey
    }
}

/// What a TLS client needs. Paths of PEM files.
public struct TLSClientConfiguration: Hashable, Sendable {
    /// The only CAs to trust; the system's when `nil`.
    public var caFile: String?
    /// The client's certificate and chain, for servers that want one.
    public var certificateFile: String?
    /// Its private key, without a passphrase.
    public var keyFile: String?
    public var minimumVersion = TLSVersion.tls1_2
    /// Tell the server by ALPN that MQTT follows, as servers with many protocols on one port want it.
    public var offersMQTT = false

    public init(caFile: String? = nil) {
        self.caFile = caFile
    }
}
