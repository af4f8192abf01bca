import BrokerCore
import IO
import TLS

/// Checks passwords on a thread of their own: one check takes tens of milliseconds by design.
///
/// What was right once is remembered as a keyed hash, so that a hundred clients that come back after an
/// outage are let in at once. The key is random and never leaves the process.
final class PasswordChecker {
    /// Replacing it forgets what is remembered.
    var users: UserTable {
        didSet { remembered = [:] }
    }

    private let thread: BlockingThread
    private let key = SystemRandom.bytes(32)
    private var remembered: [[UInt8]: [UInt8]] = [:]

    init(_ users: UserTable, loop: EventLoop, waitingLimit: Int) {
        self.users = users
        thread = BlockingThread(
            loop: loop, name: "passwords", limits: BlockingThread.Limits(queueLength: waitingLimit))
    }

    /// Calls `completion` on the loop, or at once.
    func check(
        user: [UInt8], password: [UInt8], _ completion: @escaping (AuthenticationResult) -> Void
    ) {
        let digest = Digest.hmacSHA256(key: key, password)
        if let known = remembered[user], Digest.constantTimeEqual(known, digest) {
            return completion(.accepted)
        }
        let users = users
        let verifier = users.verifiers[user]
        do throws(BlockingThread.Failure) {
            try thread.submit {
                users.accepts(user: user, password: password)
            } completion: { [weak self] result in
                switch result {
                case .success(true):
                    // Not when the file has been read again meanwhile.
                    if let self, self.users.verifiers[user] == verifier {
                        self.remembered[user] = digest
                    }
                    completion(.accepted)
                case .success(false): completion(.wrong)
                case .failure: completion(.busy)
                }
            }
        } catch {
            completion(.busy)
        }
    }
}

extension SystemRandom {
    /// 64 random bits.
    static func number() -> UInt64 {
        bytes(8).reduce(0) { $0 << 8 | UInt64($1) }
    }
}
