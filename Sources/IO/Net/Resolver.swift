import MQTT

/// Names to addresses, off the loop: getaddrinfo(3) on a thread for each family, so that a slow answer for
/// one does not hold up the other.
///
/// One for a process. A call that hangs is given up after `giveUpAfter`, and others go on.
public final class Resolver {
    /// How long one call may take; a mute name server holds getaddrinfo for ten seconds and more.
    public static let giveUpAfter = Duration.seconds(15)

    typealias LookUp =
        @Sendable (String, AddressFamily, UInt16) -> Result<[SocketAddress], NameError>

    private let threads: [AddressFamily: BlockingThread]
    private let lookUp: LookUp

    public convenience init(loop: EventLoop) {
        self.init(loop: loop, giveUpAfter: Self.giveUpAfter) { host, family, port in
            Syscalls.lookUp(host, family: family, port: port)
        }
    }

    init(loop: EventLoop, giveUpAfter: Duration, lookUp: @escaping LookUp) {
        let limits = BlockingThread.Limits(giveUpAfter: giveUpAfter)
        threads = [
            .ipv6: BlockingThread(loop: loop, name: "resolve-ipv6", limits: limits),
            .ipv4: BlockingThread(loop: loop, name: "resolve-ipv4", limits: limits),
        ]
        self.lookUp = lookUp
    }

    /// Looks up one family's addresses; `completion` comes on the loop, never within this call.
    ///
    /// `nil` when it cannot be asked now: too many wait, or too many hang.
    func resolve(
        _ host: String, _ family: AddressFamily, port: UInt16,
        completion: @escaping (Result<[SocketAddress], NameError>) -> Void
    ) -> Result<JobID, NameError> {
        guard let thread = threads[family] else { preconditionFailure("a thread for each family") }
        let lookUp = lookUp
        do throws(BlockingThread.Failure) {
            return .success(
                try thread.submit {
                    lookUp(host, family, port)
                } completion: { result in
                    switch result {
                    case .success(let answer): completion(answer)
                    case .failure(let failure):
                        completion(.failure(Self.error(host, failure)))
                    }
                })
        } catch {
            return .failure(Self.error(host, error))
        }
    }

    func cancel(_ job: JobID, _ family: AddressFamily) {
        threads[family]?.cancel(job)
    }

    private static func error(_ host: String, _ failure: BlockingThread.Failure) -> NameError {
        let reason =
            switch failure {
            case .gaveUp: "the name server does not answer"
            case .tooManyHang: "the name server does not answer earlier questions either"
            case .queueFull: "too many names wait to be resolved"
            case .noThread(let error): "\(error)"
            }
        return NameError(host: host, reason: reason, isFinal: false)
    }
}
