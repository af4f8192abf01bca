import TLS

/// What a password file keeps of one user's password.
enum StoredPassword: Hashable, Sendable {
    case scram(SCRAMVerifier)
    /// Brought along from Mosquitto; replaced when the user logs in.
    case mosquitto(MosquittoHash)

    /// Reads what stands behind the colon; what it throws never holds the text.
    init(_ text: Substring) throws {
        self =
            MosquittoHash.isOne(text)
            ? .mosquitto(try MosquittoHash(text)) : .scram(try SCRAMVerifier(text))
    }

    /// Whether what was right by this is right by `later`.
    func isCovered(by later: StoredPassword) -> Bool {
        if case .scram(let own) = self, case .scram(let other) = later {
            return own.isCovered(by: other)
        }
        return self == later
    }

    var isForeign: Bool {
        if case .mosquitto = self { return true }
        return false
    }
}
