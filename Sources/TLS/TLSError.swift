/// Why TLS does not come about: what kind of thing, OpenSSL's own words, and what can be done.
public struct TLSError: Error, Hashable, Sendable, CustomStringConvertible {
    /// What a program may want to tell apart.
    public enum Kind: Hashable, Sendable {
        /// A certificate, key or CA file cannot be read or holds something else.
        case file
        /// The key does not belong to the certificate.
        case keyMismatch
        /// The peer's certificate has expired.
        case certificateExpired
        /// The peer's certificate is not valid yet; often this machine's clock is wrong.
        case certificateNotYetValid
        /// Nobody whom this side trusts has signed the peer's certificate.
        case unknownAuthority
        /// The peer's certificate has been revoked.
        case certificateRevoked
        /// The peer's certificate is for another host.
        case hostMismatch
        /// The peer's certificate is refused for another reason.
        case certificateRefused
        /// The peer should have shown a certificate and did not.
        case noCertificate
        /// The peer does not have the key that belongs to its identity, or the identity is unknown.
        case wrongKey
        /// The peer refused this side's certificate.
        case refusedByPeer
        /// The peer does not speak TLS.
        case notTLS
        /// Nothing that both sides allow: version or ciphers.
        case nothingInCommon
        /// The peer closed in the middle of the handshake.
        case closedInHandshake
        case other
    }

    public var kind: Kind
    /// The file, host or peer that it is about; empty when there is none.
    public var subject: String
    /// OpenSSL's words.
    public var reason: String
    /// The one thing the user can do about it; empty when there is none.
    public var hint: String

    public init(_ kind: Kind, subject: String = "", reason: String, hint: String = "") {
        self.kind = kind
        self.subject = subject
        self.reason = reason
        self.hint = hint
    }

    public var description: String {
        var text = "TLS: "
        if !subject.isEmpty { text += subject + ": " }
        text += reason
        if !hint.isEmpty { text += "; " + hint }
        return text
    }
}
