import Daemon
import IO
import TLS

/// The users of a password file: one `user:SCRAM-SHA-256$...` a line, `#` for comments.
///
/// A line that is not understood is an error of the whole file: it never becomes a user without a
/// password, nor a user who is left out in silence.
struct UserTable: Sendable {
    /// The largest password file that is read.
    static let maximumFileSize = 16 * 1024 * 1024

    private(set) var verifiers: [[UInt8]: SCRAMVerifier] = [:]
    /// What is asked in place of an unknown user's, so that both take the same time.
    private let nobody: SCRAMVerifier

    init(path: String) throws(DaemonError) {
        let bytes: [UInt8]
        do throws(IOError) {
            bytes = try Files.readPrivate(path, limit: Self.maximumFileSize)
        } catch {
            throw DaemonError(.configuration, "\(error)")
        }
        try self.init(text: String(decoding: bytes, as: UTF8.self), path: path)
    }

    init(text: String, path: String) throws(DaemonError) {
        var iterations = SCRAMVerifier.defaultIterations
        for (index, line) in PasswordFile.lines(of: text).enumerated() {
            guard case .user(let name, let verifierText) = line else {
                if case .malformed(let why) = line {
                    throw Self.fault(path, index, why)
                }
                continue
            }
            let verifier: SCRAMVerifier
            do throws(SCRAMError) {
                verifier = try SCRAMVerifier(verifierText)
            } catch {
                throw Self.fault(path, index, "\(error)")
            }
            guard verifiers.updateValue(verifier, forKey: Array(name.utf8)) == nil else {
                throw Self.fault(path, index, "the user stands in the file twice")
            }
            if verifiers.count == 1 { iterations = verifier.iterations }
        }
        nobody = Self.makeNobody(iterations)
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
        guard let verifier = verifiers[user] else {
            _ = nobody.accepts(password: password)
            return false
        }
        return verifier.accepts(password: password)
    }
}
