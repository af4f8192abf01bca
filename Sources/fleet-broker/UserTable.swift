import Daemon
import IO
import TLS

/// The users of a password file: one `user:SCRAM-SHA-256$...` a line, or a hash of Mosquitto's; `#` for
/// comments. A user's second line is the password before, which counts until it is taken out.
///
/// A line that is not understood is an error of the whole file: it never becomes a user without a
/// password, nor a user who is left out in silence.
struct UserTable: Sendable {
    /// The largest password file that is read.
    static let maximumFileSize = 16 * 1024 * 1024

    private(set) var passwords: [[UInt8]: StoredPassword] = [:]
    /// The file it was read from.
    let path: String
    /// What is asked in place of an unknown user's, so that both take the same time.
    private let nobody: SCRAMVerifier
    /// Salts of users who are not known are made with it.
    private let secret: [UInt8]

    init(path: String, secret: [UInt8]) throws(DaemonError) {
        let bytes: [UInt8]
        do throws(IOError) {
            bytes = try Files.readPrivate(path, limit: Self.maximumFileSize)
        } catch {
            let isMissing = error.code == .noSuchFile
            throw DaemonError(
                .configuration, "\(error)",
                hint: isMissing ? "fleet-broker passwd \(path) USER makes it" : nil)
        }
        try self.init(text: String(decoding: bytes, as: UTF8.self), path: path, secret: secret)
    }

    init(text: String, path: String, secret: [UInt8] = []) throws(DaemonError) {
        self.secret = secret
        self.path = path
        var iterations = SCRAMVerifier.defaultIterations
        for (index, line) in PasswordFile.lines(of: text).enumerated() {
            guard case .user(let name, let verifierText) = line else {
                if case .malformed(let why) = line {
                    throw Self.fault(path, index, why)
                }
                continue
            }
            let password: StoredPassword
            do {
                password = try StoredPassword(verifierText)
            } catch {
                throw Self.fault(path, index, "\(error)")
            }
            guard Self.add(password, to: &passwords[Array(name.utf8)]) else {
                throw Self.fault(
                    path, index,
                    "the user stands in the file twice; fleet-broker passwd --keep-old makes two lines that "
                        + "belong together")
            }
            if passwords.count == 1, case .scram(let verifier) = password {
                iterations = verifier.iterations
            }
        }
        nobody = Self.makeNobody(iterations)
    }

    /// `false` where the user has another password already that this one cannot stand beside.
    private static func add(_ password: StoredPassword, to known: inout StoredPassword?) -> Bool {
        guard let newer = known else {
            known = password
            return true
        }
        guard case .scram(let new) = newer, case .scram(let old) = password,
            let both = new.keeping(old)
        else { return false }
        known = .scram(both)
        return true
    }

    private static func fault(_ path: String, _ index: Int, _ why: String) -> DaemonError {
        DaemonError(.configuration, "\(path):\(index + 1): \(why)")
    }

    /// A verifier that no password has.
    private static func makeNobody(_ iterations: Int) -> SCRAMVerifier {
        let zeros = Base64.encode([UInt8](repeating: 0, count: 32))
        let salt = Base64.encode(SystemRandom.bytes(SCRAMVerifier.saltLength))
        do throws(SCRAMError) {
            return try SCRAMVerifier("SCRAM-SHA-256$\(iterations):\(salt)$\(zeros):\(zeros)")
        } catch {
            preconditionFailure("a verifier of ours is well-formed: \(error)")
        }
    }

    /// Whether the password is the user's. Takes long, for unknown users as well: not for the loop.
    func accepts(user: [UInt8], password: [UInt8]) -> Bool {
        switch passwords[user] {
        case .scram(let verifier): return verifier.accepts(password: password)
        case .mosquitto(let hash) where hash.accepts(password: password): return true
        case .mosquitto, nil:
            // A hash that is cheap to check takes as long as the others, or it would show.
            _ = nobody.accepts(password: password)
            return false
        }
    }

    /// The verifier for SCRAM-SHA-256; `nil` for unknown users, and for those whose password is kept as a
    /// hash of Mosquitto's.
    func verifier(of user: [UInt8]) -> SCRAMVerifier? {
        if case .scram(let verifier) = passwords[user] { return verifier }
        return nil
    }

    /// What a SCRAM exchange is checked by: for who has no verifier one that no password has, always with
    /// the same salt for the same name, so that nobody learns who is known here.
    func exchangeVerifier(of user: [UInt8]) -> SCRAMVerifier {
        if let known = verifier(of: user) { return known }
        let salt = Digest.hmacSHA256(key: secret, user)
        return nobody.with(salt: Array(salt.prefix(SCRAMVerifier.saltLength)))
    }

    /// The user's password is kept otherwise from now on.
    mutating func renew(_ user: [UInt8], _ verifier: SCRAMVerifier) {
        passwords[user] = .scram(verifier)
    }

    /// Those who are not in `later` any more, and those whose password does not count there.
    func changes(to later: UserTable?) -> (removed: Set<[UInt8]>, changed: Set<[UInt8]>) {
        var removed: Set<[UInt8]> = []
        var changed: Set<[UInt8]> = []
        for (user, password) in passwords {
            guard let other = later?.passwords[user] else {
                removed.insert(user)
                continue
            }
            if !password.isCovered(by: other) { changed.insert(user) }
        }
        return (removed, changed)
    }
}
