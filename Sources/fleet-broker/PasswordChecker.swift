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
    /// Checks of one network that may wait: half of all, so that others find room in a flood from there.
    private let share: Int
    private var waiting: [SocketAddress: Int] = [:]
    private let key = SystemRandom.bytes(32)
    private var remembered: [[UInt8]: [UInt8]] = [:]

    init(_ users: UserTable, loop: EventLoop, waitingLimit: Int) {
        self.users = users
        share = max(1, waitingLimit / 2)
        thread = BlockingThread(
            loop: loop, name: "passwords", limits: BlockingThread.Limits(queueLength: waitingLimit))
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
        let network = peer.network
        guard waiting[network, default: 0] < share else { return completion(.busy) }
        let users = users
        let verifier = users.verifiers[user]
        do throws(BlockingThread.Failure) {
            try thread.submit {
                users.accepts(user: user, password: password)
            } completion: { [weak self] result in
                guard let self else { return }
                self.ended(network)
                switch result {
                // Not when the file has been read again meanwhile, and says otherwise.
                case .success(true) where self.users.verifiers[user] == verifier:
                    self.remembered[user] = digest
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
