import Daemon
import IO

/// What the salts of users who are not known are made with, for SCRAM.
///
/// Kept in the state folder: whoever asks for a name before and after a restart, and gets another salt, would
/// learn that the name is not in the password file.
final class SaltSecret {
    static let length = 32

    private let path: String
    private let log: Log
    private var known: [UInt8]?

    init(folder: String, log: Log) {
        path = folder + "/salt.secret"
        self.log = log
    }

    /// The secret; made where there is none. One that cannot be kept lasts as long as the process.
    func load() -> [UInt8] {
        if let known { return known }
        let secret = read() ?? make()
        known = secret
        return secret
    }

    private func read() -> [UInt8]? {
        guard let bytes = try? Files.readPrivate(path, limit: Self.length),
            bytes.count == Self.length
        else { return nil }
        return bytes
    }

    private func make() -> [UInt8] {
        let secret = SystemRandom.bytes(Self.length)
        do throws(IOError) {
            try Files.writeAtomically(path, secret.span, mode: 0o600)
        } catch {
            log.warning(
                "the secret behind made-up salts cannot be kept; they change with the next start",
                ["error": error])
        }
        return secret
    }
}
