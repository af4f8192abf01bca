import Config
import TLS

/// `[[listener]] tls`: a certificate of the server's, or keys that both sides know.
extension BrokerSettings {
    /// What of a client's certificate is its user.
    private enum UserSource: String, CaseIterable {
        case none
        case commonName = "cn"
        case dnsName = "san-dns"
        case emailAddress = "san-email"
        case uri = "san-uri"

        var identity: TLSIdentity? {
            switch self {
            case .none: nil
            case .commonName: .commonName
            case .dnsName: .dnsName
            case .emailAddress: .emailAddress
            case .uri: .uri
            }
        }
    }

    static func readTLS(_ reader: ConfigurationReader) -> TLSServerConfiguration? {
        guard let table = reader.optionalTable("tls") else { return nil }
        if let keys = table.secretPath("psk_file") {
            for key in ["certificate", "key", "client_ca", "client_crl", "user_from"]
            where table.has(key) {
                table.problem(key, "has no meaning with psk_file, which takes its place")
            }
            return TLSServerConfiguration(preSharedKeyFile: keys)
        }
        let certificate = table.secretPath("certificate")
        let key = table.secretPath("key")
        let authority = table.path("client_ca")
        let revoked = table.path("client_crl")
        let source = table.choice("user_from", default: UserSource.none)
        if authority == nil {
            if revoked != nil { table.problem("client_crl", "is for listeners with client_ca") }
            if source != .none { table.problem("user_from", "is for listeners with client_ca") }
        }
        guard let certificate, let key else {
            if certificate == nil { table.reportMissing("certificate") }
            if key == nil { table.reportMissing("key") }
            return nil
        }
        var tls = TLSServerConfiguration(
            certificateFile: certificate, keyFile: key, clientCAFile: authority)
        tls.revocationListFile = revoked
        tls.identity = source.identity
        return tls
    }
}
