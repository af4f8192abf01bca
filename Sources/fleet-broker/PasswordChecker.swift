import BrokerCore
import Daemon
import IO
import TLS

/// Checks passwords on a thread of their own: one check takes tens of milliseconds by design.
///
/// What was right once is remembered as a keyed hash, so that a hundred clients that come back after an
/// outage are let in at once. The key is random and never leaves the process. A password that the file
/// keeps as a hash of Mosquitto's is kept as a verifier of ours once its user has logged in.
final class PasswordChecker {
    /// `nil`: there are none, and nobody is let in.
    private(set) var users: UserTable?
    private let thread: BlockingThread
    private let log: Log
    /// Checks of one network that may wait: half of all, so that others find room in a flood from there.
    private let share: Int
    private var waiting: [SocketAddress: Int] = [:]
    private let key = SystemRandom.bytes(32)
    private var remembered: [[UInt8]: [UInt8]] = [:]
    /// What was renewed: checks that began before it still count.
    private var renewed: [[UInt8]: StoredPassword] = [:]
    /// The file could be written so far.
    private var canRenew = true

    /// What the thread found out.
    private struct Verdict: Sendable {
        var isRight = false
        /// What the file keeps now in place of a hash of Mosquitto's, or why it could not be written.
        var renewal: Result<SCRAMVerifier, DaemonError>?
    }

    init(_ users: UserTable?, loop: EventLoop, log: Log, waitingLimit: Int) {
        self.users = users
        self.log = log
        share = max(1, waitingLimit / 2)
        thread = BlockingThread(
            loop: loop, name: "passwords", limits: BlockingThread.Limits(queueLength: waitingLimit))
    }

    /// Takes over what the file says now, and forgets what is remembered.
    func replaceUsers(_ users: UserTable?) {
        self.users = users
        remembered = [:]
        renewed = [:]
        canRenew = true
    }

    /// Calls `completion` on the loop, or at once.
    func check(
        user: [UInt8], password: [UInt8], from peer: SocketAddress,
        _ completion: @escaping (AuthenticationResult) -> Void
    ) {
        let digest = Digest.hmacSHA256(key: key, password)
        if let known = remembered[user], Digest.constantTimeEqual(known, digest) {
            return completion(.accepted)
        }
        guard let users else { return completion(.wrong) }
        let network = peer.network
        guard waiting[network, default: 0] < share else { return completion(.busy) }
        let stored = users.passwords[user]
        let renews = canRenew
        do throws(BlockingThread.Failure) {
            try thread.submit {
                Self.judge(users, user, password, renews: renews)
            } completion: { [weak self] result in
                guard let self else { return }
                self.ended(network)
                switch result {
                // Not when the file has been read again meanwhile, and says otherwise.
                case .success(let verdict)
                where verdict.isRight && self.isCurrent(stored, of: user):
                    self.remembered[user] = digest
                    if let renewal = verdict.renewal { self.note(renewal, of: user, stored) }
                    completion(.accepted)
                case .success: completion(.wrong)
                case .failure: completion(.busy)
                }
            }
            waiting[network, default: 0] += 1
        } catch {
            completion(.busy)
        }
    }

    /// Whether the password is right; on the thread.
    private static func judge(
        _ users: UserTable, _ user: [UInt8], _ password: [UInt8], renews: Bool
    ) -> Verdict {
        var verdict = Verdict(isRight: users.accepts(user: user, password: password))
        guard verdict.isRight, renews, let old = users.passwords[user], old.isForeign else {
            return verdict
        }
        let verifier = SCRAMVerifier(password: password)
        do throws(DaemonError) {
            try PasswordFile.renew(users.path, user: user, old, verifier)
            verdict.renewal = .success(verifier)
        } catch {
            verdict.renewal = .failure(error)
        }
        return verdict
    }

    private func isCurrent(_ stored: StoredPassword?, of user: [UInt8]) -> Bool {
        guard let stored, let current = users?.passwords[user] else { return false }
        return stored.isCovered(by: current) || renewed[user] == stored
    }

    private func note(
        _ renewal: Result<SCRAMVerifier, DaemonError>, of user: [UInt8], _ old: StoredPassword?
    ) {
        let name = String(decoding: user, as: UTF8.self)
        switch renewal {
        case .success(let verifier):
            users?.renew(user, verifier)
            renewed[user] = old
            log.info("password hash of Mosquitto's renewed", ["user": name])
        case .failure(let error):
            // The next user's would fail as well: once is enough.
            canRenew = false
            log.warning(
                "the password file cannot be written; hashes of Mosquitto's stay", ["error": error])
        }
    }

    private func ended(_ network: SocketAddress) {
        let left = waiting[network, default: 1] - 1
        waiting[network] = left == 0 ? nil : left
    }
}

extension SocketAddress {
    /// Who shares its addresses with whom: an IPv4 address, the 64 bits of an IPv6 network.
    fileprivate var network: SocketAddress {
        switch self {
        case .ipv6(let bytes, _, _):
            .ipv6(IPv6Bytes(high: bytes.high, low: 0), port: 0, scope: 0)
        case .ipv4, .unix: withPort(0)
        }
    }
}

extension SystemRandom {
    /// 64 random bits.
    static func number() -> UInt64 {
        bytes(8).reduce(0) { $0 << 8 | UInt64($1) }
    }
}
