import IO

/// What Mosquitto's password file keeps of a password: `$6$` (salted SHA-512, one round) or `$7$` (PBKDF2
/// with HMAC-SHA-512). Accepted from files that were brought along; new ones are never made.
public struct MosquittoHash: Hashable, Sendable {
    private enum Method: Hashable {
        case sha512
        case pbkdf2(iterations: Int)
    }

    /// Mosquitto writes 101 unless told otherwise; above the upper end one line could stop the broker.
    public static let iterationRange = 1...10_000_000

    private let method: Method
    private let salt: [UInt8]
    private let hash: [UInt8]

    /// Whether `text` is meant to be one.
    public static func isOne(_ text: some StringProtocol) -> Bool {
        text.utf8.first == UInt8(ascii: "$")
    }

    /// Reads `$6$salt$hash` or `$7$iterations$salt$hash`, salt and hash in base 64.
    public init(_ text: some StringProtocol) throws(MosquittoHashError) {
        let parts = text.split(separator: "$", omittingEmptySubsequences: false)
        guard parts.count > 1, parts[0].isEmpty else { throw .shape }
        switch (parts[1], parts.count) {
        case ("6", 4): method = .sha512
        case ("7", 5):
            guard let iterations = Int(parts[2]), Self.iterationRange.contains(iterations) else {
                throw .iterations
            }
            method = .pbkdf2(iterations: iterations)
        case ("6", _), ("7", _): throw .shape
        default: throw .method
        }
        guard let salt = Base64.decode(parts[parts.count - 2]),
            (1...SCRAMVerifier.maximumSaltLength).contains(salt.count),
            let hash = Base64.decode(parts[parts.count - 1]), hash.count == Digest.sha512Length
        else { throw .encoding }
        self.salt = salt
        self.hash = hash
    }

    /// Whether it is the hash of `password`.
    public func accepts(password: [UInt8]) -> Bool {
        let made =
            switch method {
            case .sha512: Digest.sha512(password + salt)
            case .pbkdf2(let iterations):
                Digest.pbkdf2SHA512(password: password, salt: salt, iterations: iterations)
            }
        return Digest.constantTimeEqual(made, hash)
    }
}

/// What is wrong with a hash of Mosquitto's; it never holds the text.
public enum MosquittoHashError: Error, Hashable, Sendable, CustomStringConvertible {
    case shape, method, iterations, encoding

    public var description: String {
        switch self {
        case .shape:
            "a hash of Mosquitto looks like $6$<salt>$<hash> or $7$<iterations>$<salt>$<hash>"
        case .method:
            "of Mosquitto's hashes $6$ and $7$ are known here; set this user's password again with: "
                + "fleet-broker passwd"
        case .iterations:
            "the iterations must be a number from \(MosquittoHash.iterationRange.lowerBound) to "
                + "\(MosquittoHash.iterationRange.upperBound)"
        case .encoding: "salt and hash must be in base 64, and the hash have 64 bytes"
        }
    }
}
