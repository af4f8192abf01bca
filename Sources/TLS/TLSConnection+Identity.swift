import COpenSSL

/// What of a certificate, or in its place, says who the peer is.
public enum TLSIdentity: Hashable, Sendable {
    /// The common name of the subject.
    case commonName
    /// The one name of this kind among the subject's alternative names.
    case dnsName, emailAddress, uri
    /// The identity that belongs to a key that both sides know.
    case preSharedKey
}

/// Reading who the peer is, X509_get_ext_d2i(3).
enum PeerIdentity {
    /// The identity that `certificate` shows; `nil` for none, for several, and for one that holds U+0000.
    static func read(_ kind: TLSIdentity, of certificate: OpaquePointer) -> String? {
        switch kind {
        case .commonName: return unsafe commonName(certificate)
        case .dnsName: return unsafe alternativeName(certificate, GEN_DNS)
        case .emailAddress: return unsafe alternativeName(certificate, GEN_EMAIL)
        case .uri: return unsafe alternativeName(certificate, GEN_URI)
        case .preSharedKey: return nil
        }
    }

    private static func commonName(_ certificate: OpaquePointer) -> String? {
        // SAFETY: names and data belong to the certificate, which the caller holds; the converted text is
        // ours until CRYPTO_free.
        let subject = unsafe X509_get_subject_name(certificate)
        let index = unsafe X509_NAME_get_index_by_NID(subject, NID_commonName, -1)
        guard index >= 0,
            unsafe X509_NAME_get_index_by_NID(subject, NID_commonName, index) < 0
        else { return nil }
        let data = unsafe X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, index))
        var text: UnsafeMutablePointer<UInt8>?
        let length = unsafe ASN1_STRING_to_UTF8(&text, data)
        guard length > 0, let text = unsafe text else { return nil }
        defer { unsafe CRYPTO_free(text, "", 0) }
        return unsafe validated(text, length)
    }

    private static func alternativeName(_ certificate: OpaquePointer, _ kind: Int32) -> String? {
        // SAFETY: the list is a new one, freed below; what it holds is its own. Names of these kinds are
        // ASN1_STRINGs.
        guard
            let list = unsafe X509_get_ext_d2i(certificate, NID_subject_alt_name, nil, nil)
        else { return nil }
        let names = OpaquePointer(list)
        defer { unsafe GENERAL_NAMES_free(names) }
        var found: [String?] = []
        for index in unsafe 0..<max(0, OPENSSL_sk_num(names)) {
            guard let entry = unsafe OPENSSL_sk_value(names, index) else { continue }
            let name = unsafe entry.assumingMemoryBound(to: GENERAL_NAME.self)
            var type: Int32 = -1
            guard let value = unsafe GENERAL_NAME_get0_value(name, &type), type == kind else {
                continue
            }
            let text = unsafe value.assumingMemoryBound(to: ASN1_STRING.self)
            let length = unsafe ASN1_STRING_length(text)
            let data = unsafe ASN1_STRING_get0_data(text)
            unsafe found.append(data.flatMap { unsafe validated($0, length) })
        }
        return found.count == 1 ? found[0] : nil
    }

    private static func validated(_ text: UnsafePointer<UInt8>, _ length: Int32) -> String? {
        guard length > 0 else { return nil }
        // SAFETY: the caller lends `length` bytes for the call, which copies them.
        let bytes = unsafe Array(UnsafeBufferPointer(start: text, count: Int(length)))
        return bytes.contains(0) ? nil : String(validating: bytes, as: UTF8.self)
    }
}
