import BrokerCore
import IO
import TLS

/// Looking again, after a reload, at who was let in by certificates and keys that were read before.
extension ShardServer {
    /// Connections looked at in one go: verifying a certificate may cost as much as a thousand messages.
    private static var reviewStep: Int { 32 }
    /// Time for others between two goes.
    private static var reviewPause: Duration { .milliseconds(1) }

    /// Ends the connections that would not be let in any more, step by step.
    ///
    /// - Parameter contexts: what was read now, by the listener's terms.
    func review(_ contexts: [ObjectIdentifier: TLSContext]) {
        self.contexts = contexts
        guard !contexts.isEmpty else { return }
        reviewRound += 1
        review(from: 0, round: reviewRound)
    }

    private func review(from start: Int, round: Int) {
        // A later reload begins anew.
        guard round == reviewRound else { return }
        var slot = start
        var left = Self.reviewStep
        while slot < links.count, left > 0 {
            if let link = links[slot], link.transport.isSecure {
                left -= 1
                review(link)
            }
            slot += 1
        }
        guard slot < links.count else { return }
        loop.schedule(after: Self.reviewPause) { [weak self] in
            self?.review(from: slot, round: round)
        }
    }

    /// Whoever was let in by what has been read again since, perhaps on its way to this loop, is looked at too.
    func review(_ link: Link) {
        guard let context = contexts[ObjectIdentifier(link.terms)],
            !link.state.contains(.inHandshake), link.state.isDisjoint(with: [.closing, .gone]),
            let fault = link.transport.standing(under: context).fault
        else { return }
        shard.credentialEnded(link.id, fault, at: loop.now)
    }
}

extension PeerStanding {
    fileprivate var fault: CredentialFault? {
        switch self {
        case .good: nil
        case .certificateRevoked: .certificateRevoked
        case .certificateUntrusted: .certificateUntrusted
        case .keyRemoved: .keyRemoved
        case .keyChanged: .keyChanged
        }
    }
}
