import IO

/// What a server keeps instead of a password: SCRAM-SHA-256 (RFC 5802, RFC 7677).
///
/// As text `SCRAM-SHA-256$<iterations>:<salt>$<StoredKey>:<ServerKey>`, the last three in base 64: the
/// form of RFC 5803 that PostgreSQL uses as well. Whoever reads it cannot log in with it, and must guess
/// the password at `iterations` rounds a guess. Passwords are bytes, as MQTT sends them: no SASLprep,
/// which changes nothing for ASCII.
public struct SCRAMVerifier: Hashable, Sendable, CustomStringConvertible {
    /// Rounds of a new verifier: about 25 ms on one core of a PC, and several times that on a Pi.
    ///
    /// RFC 7677 asks for 4,096 at least. More rounds make a stolen file harder to guess, and a hundred
    /// clients that come back at once wait longer.
    public static let defaultIterations = 100_000
    /// What a verifier may have: below, guessing is too cheap; above, one line could stop the broker.
    public static let iterationRange = 4_096...10_000_000
    /// Bytes of a new salt.
    public static let saltLength = 16
    /// The longest salt that is read.
    public static let maximumSaltLength = 128

    public let iterations: Int
    public let salt: [UInt8]
    public let keys: Keys
    /// Those of the password before, which counts as well until somebody takes it away. Salt and iterations
    /// are the same, so that one derivation, and one challenge, is for both.
    public private(set) var former: Keys?

    public struct Keys: Hashable, Sendable {
        public let stored: [UInt8]
        public let server: [UInt8]
    }

    /// The verifier of a password, with a random salt unless one is given. Takes long.
    public init(
        password: [UInt8], iterations: Int = defaultIterations,
        salt: [UInt8] = SystemRandom.bytes(saltLength)
    ) {
        self.iterations = iterations
        self.salt = salt
        let salted = Digest.pbkdf2SHA256(
            password: password, salt: salt, iterations: iterations)
        keys = Self.keys(salted)
    }

    /// Reads the text form.
    public init(_ text: some StringProtocol) throws(SCRAMError) {
        let parts = text.split(separator: "$", omittingEmptySubsequences: false)
        guard parts.count == 3 else { throw SCRAMError.shape }
        guard parts[0] == "SCRAM-SHA-256" else { throw SCRAMError.mechanism }
        let cost = parts[1].split(separator: ":", omittingEmptySubsequences: false)
        let keys = parts[2].split(separator: ":", omittingEmptySubsequences: false)
        guard cost.count == 2, keys.count == 2 else { throw SCRAMError.shape }
        guard let iterations = Int(cost[0]), Self.iterationRange.contains(iterations) else {
            throw SCRAMError.iterations
        }
        guard let salt = Base64.decode(cost[1]), (1...Self.maximumSaltLength).contains(salt.count)
        else { throw SCRAMError.salt }
        guard let stored = Base64.decode(keys[0]), let server = Base64.decode(keys[1]),
            stored.count == Digest.sha256Length, server.count == Digest.sha256Length
        else { throw SCRAMError.keys }
        self.iterations = iterations
        self.salt = salt
        self.keys = Keys(stored: stored, server: server)
    }

    private init(_ other: SCRAMVerifier, salt: [UInt8]) {
        iterations = other.iterations
        self.salt = salt
        keys = other.keys
    }

    /// The same with another salt: the verifier of no password.
    public func with(salt: [UInt8]) -> SCRAMVerifier { SCRAMVerifier(self, salt: salt) }

    /// The same where the password of `other` counts too; `nil` where one derivation is not for both.
    public func keeping(_ other: SCRAMVerifier) -> SCRAMVerifier? {
        guard former == nil, other.former == nil, other.keys != keys,
            other.iterations == iterations, other.salt == salt
        else { return nil }
        var result = self
        result.former = other.keys
        return result
    }

    /// Whether what counts here counts in `later` as well.
    public func isCovered(by later: SCRAMVerifier) -> Bool {
        let accepted = [later.keys, later.former]
        return later.iterations == iterations && later.salt == salt && accepted.contains(keys)
            && (former == nil || accepted.contains(former))
    }

    /// The text form of the newest password, without the password.
    public var description: String {
        "SCRAM-SHA-256$\(iterations):\(Base64.encode(salt))"
            + "$\(Base64.encode(keys.stored)):\(Base64.encode(keys.server))"
    }

    /// Whether this is the verifier of `password`. Takes as long as making one: not for a loop's thread.
    public func accepts(password: [UInt8]) -> Bool {
        let salted = Digest.pbkdf2SHA256(
            password: password, salt: salt, iterations: iterations)
        let given = Self.keys(salted)
        let isNew = Self.areEqual(given, keys)
        let isFormer = former.map { Self.areEqual(given, $0) } ?? false
        return isNew || isFormer
    }

    private static func areEqual(_ given: Keys, _ kept: Keys) -> Bool {
        let isStored = Digest.constantTimeEqual(given.stored, kept.stored)
        return Digest.constantTimeEqual(given.server, kept.server) && isStored
    }

    /// StoredKey and ServerKey of a salted password (RFC 5802, 3).
    private static func keys(_ salted: [UInt8]) -> Keys {
        let client = Digest.hmacSHA256(key: salted, Array("Client Key".utf8))
        return Keys(
            stored: Digest.sha256(client),
            server: Digest.hmacSHA256(key: salted, Array("Server Key".utf8)))
    }
}

/// What is wrong with a verifier's text; it never holds the text.
public enum SCRAMError: Error, Hashable, Sendable, CustomStringConvertible {
    case shape, mechanism, iterations, salt, keys

    public var description: String {
        switch self {
        case .shape:
            "a verifier looks like SCRAM-SHA-256$<iterations>:<salt>$<StoredKey>:<ServerKey>; "
                + "make one with: fleet-broker passwd"
        case .mechanism: "only SCRAM-SHA-256 verifiers are known here"
        case .iterations:
            "the iterations must be a number from \(SCRAMVerifier.iterationRange.lowerBound) to "
                + "\(SCRAMVerifier.iterationRange.upperBound)"
        case .salt: "the salt must be 1 to \(SCRAMVerifier.maximumSaltLength) bytes in base 64"
        case .keys: "StoredKey and ServerKey must be 32 bytes each in base 64"
        }
    }
}
