import BrokerCore
import IO
import TLS

/// SCRAM-SHA-256 for clients that ask for it by AUTH (MQTT 5.0, 4.12).
extension ShardServer {
    func exchange(_ id: ConnectionID, _ data: [UInt8], isFirst: Bool) {
        if isFirst { begin(id, data) } else { finish(id, data) }
    }

    private func begin(_ id: ConnectionID, _ data: [UInt8]) {
        guard let exchange = SCRAMExchange(clientFirst: data) else { return tell(id, .refused) }
        findVerifier(exchange.user) { [weak self] verifier in
            // The connection may have gone meanwhile.
            guard let self, self.link(id) != nil else { return }
            guard let verifier else { return self.tell(id, .refused) }
            var exchange = exchange
            let challenge = exchange.challenge(verifier)
            self.exchanges[id] = exchange
            self.tell(id, .challenge(challenge))
        }
    }

    private func finish(_ id: ConnectionID, _ data: [UInt8]) {
        guard let exchange = exchanges.removeValue(forKey: id),
            let answer = exchange.finish(clientFinal: data)
        else { return tell(id, .refused) }
        findVerifier(exchange.user) { [weak self] verifier in
            guard let self, self.link(id) != nil else { return }
            // Not when the file has been read again meanwhile, and says otherwise.
            guard let verifier, exchange.isChecked(by: verifier) else {
                return self.tell(id, .refused)
            }
            self.tell(id, .accepted(user: exchange.user, data: answer))
        }
    }

    private func tell(_ id: ConnectionID, _ result: ExchangeResult) {
        shard.exchanged(id, result, at: loop.now)
    }
}
